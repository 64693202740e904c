"""Reads what an OpenTelemetry exporter sends over OTLP/HTTP, JSON or protobuf, into spans as the record has them. Pure.

The sender is a platform that nobody here wrote. What is malformed raises `MalformedTraces`; what is odd is dropped or
cut. Of the attributes only those are taken that say whom a span asked and how it ended: others may hold what is secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from harness.input_file import NOT_JSON
from harness.record.collecting.spans import SpanLine
from harness.record.collecting.tail import SWARM

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
ATTRIBUTES: Final = frozenset(
    {
        "http.request.method", "http.method", "http.route", "http.response.status_code", "http.status_code",
        "error.type",
        "db.system.name", "db.system", "db.operation.name", "db.operation", "peer.service", "server.address",
        "messaging.system", "rpc.system", "rpc.service", "rpc.method",
    }
)  # fmt: skip
"""The attributes that are taken."""
_TEXT_MOST: Final = 120
_TRACE_DIGITS: Final = 32
_SPAN_DIGITS: Final = 16
_NS_MOST: Final = 2**63
_KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")
_ERROR: Final = 2
_NAMED_LIKE_OURS: Final = f"{SWARM} of the platform"
_UNNAMED: Final = "platform"
Value = str | int | float | bool


class MalformedTraces(Exception):
    """The body is no ExportTraceServiceRequest."""


class _Value(msgspec.Struct, frozen=True, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None


class _KeyValue(msgspec.Struct, frozen=True):
    key: str = ""
    value: _Value = _Value()


class _Status(msgspec.Struct, frozen=True):
    code: int | str = 0


class _Span(msgspec.Struct, frozen=True, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int | str = 0
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: tuple[_KeyValue, ...] = ()
    status: _Status | None = None


class _ScopeSpans(msgspec.Struct, frozen=True):
    spans: tuple[_Span, ...] = ()


class _Resource(msgspec.Struct, frozen=True):
    attributes: tuple[_KeyValue, ...] = ()


class _ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: _Resource | None = None
    scope_spans: tuple[_ScopeSpans, ...] = ()


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    resource_spans: tuple[_ResourceSpans, ...] = ()


_decode: Final = msgspec.json.Decoder(_Request).decode


def spans_of(body: bytes, content_type: str) -> Sequence[SpanLine[Value]]:
    """The spans of an ExportTraceServiceRequest in that encoding. Raises MalformedTraces."""
    return list(_of_json(body) if content_type == JSON else _of_protobuf(body))


def _of_json(body: bytes) -> Iterator[SpanLine[Value]]:
    try:
        request = _decode(body)
    except NOT_JSON as problem:
        raise MalformedTraces(str(problem)) from None
    for resource in request.resource_spans:
        told = _json_attributes(resource.resource.attributes if resource.resource else (), _RESOURCE)
        for scope in resource.scope_spans:
            for span in scope.spans:
                line = _line(
                    (span.trace_id, span.span_id, span.parent_span_id),
                    told,
                    span.name,
                    _number(span.kind),
                    (_number(span.start_time_unix_nano), _number(span.end_time_unix_nano)),
                    failed=span.status is not None and _number(span.status.code) == _ERROR,
                    attributes=_json_attributes(span.attributes, ATTRIBUTES),
                )
                if line is not None:
                    yield line


_RESOURCE: Final = frozenset({"service.name", "service.instance.id", "host.name"})


def _json_attributes(given: Sequence[_KeyValue], wanted: frozenset[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in given:
        value = pair.value
        if pair.key not in wanted:
            continue
        if value.string_value is not None:
            found[pair.key] = _cut(value.string_value)
        elif value.bool_value is not None:
            found[pair.key] = value.bool_value
        elif value.int_value is not None:
            found[pair.key] = _number(value.int_value)
    return found


def _of_protobuf(body: bytes) -> Iterator[SpanLine[Value]]:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise MalformedTraces("no ExportTraceServiceRequest") from None
    for resource in request.resource_spans:
        told = _attributes(resource.resource.attributes, _RESOURCE)
        for scope in resource.scope_spans:
            for span in scope.spans:
                line = _line(
                    (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()),
                    told,
                    span.name,
                    span.kind,
                    (span.start_time_unix_nano, span.end_time_unix_nano),
                    failed=span.status.code == _ERROR,
                    attributes=_attributes(span.attributes, ATTRIBUTES),
                )
                if line is not None:
                    yield line


def _attributes(given: Sequence[KeyValue], wanted: frozenset[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in given:
        if pair.key not in wanted:
            continue
        match pair.value.WhichOneof("value"):
            case "string_value":
                found[pair.key] = _cut(pair.value.string_value)
            case "bool_value":
                found[pair.key] = pair.value.bool_value
            case "int_value":
                found[pair.key] = pair.value.int_value
    return found


def _line(
    ids: tuple[str, str, str],
    told: Mapping[str, Value],
    name: str,
    kind: int,
    times_ns: tuple[int, int],
    *,
    failed: bool,
    attributes: dict[str, Value],
) -> SpanLine[Value] | None:
    """The span; null where it has no usable ids or times."""
    trace_id, span_id, parent_id = (one.lower() for one in ids)
    start_ns, end_ns = times_ns
    whole = _is_id(trace_id, _TRACE_DIGITS) and _is_id(span_id, _SPAN_DIGITS)
    if not whole or not 0 < start_ns <= end_ns < _NS_MOST:
        return None
    service = str(told.get("service.name") or _UNNAMED)
    return SpanLine(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id if _is_id(parent_id, _SPAN_DIGITS) else "",
        service=_NAMED_LIKE_OURS if service == SWARM else service,
        node=str(told.get("service.instance.id") or told.get("host.name") or ""),
        name=_cut(name),
        kind=_KINDS[kind] if 0 <= kind < len(_KINDS) else _KINDS[0],
        start_ns=start_ns,
        end_ns=end_ns,
        status="error" if failed else "ok",
        attributes=attributes,
    )


def _is_id(text: str, digits: int) -> bool:
    return len(text) == digits and not set(text) - set("0123456789abcdef") and bool(text.strip("0"))


def _number(value: int | str) -> int:
    """A number of JSON, which 64-bit ones are written as text; 0 for what is none."""
    if isinstance(value, int):
        return value if abs(value) < _NS_MOST else 0
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else 0


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MOST else f"{text[: _TEXT_MOST - 1]}…"
