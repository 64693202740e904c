"""Spans over OTLP/HTTP, sent by OpenTelemetry's own exporter and by whoever sends garbage."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from harness.errors import EnvironmentProblem
from harness.processes.ports import free_ports
from harness.record.collecting import trace_receiver
from harness.record.collecting.otlp import JSON, PROTOBUF, MalformedTraces, spans_of
from harness.record.collecting.trace_receiver import BODY_BYTES_MAX, TraceReceiver
from tests.waiting import wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
OURS = {TRACE}


class Listening:
    """A receiver, what it has kept, and a client of it."""

    def __init__(self, receiver: TraceReceiver, port: int, file: Path) -> None:
        self.receiver = receiver
        self.port = port
        self.file = file

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def kept(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def post(self, body: bytes, kind: str = JSON, path: str = "/v1/traces", **headers: str) -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            client.request("POST", path, body, {"Content-Type": kind, **headers})
            answer = client.getresponse()
            return answer.status, answer.read()
        finally:
            client.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    [port] = free_ports(1)
    file = tmp_path / "spans-otlp.jsonl"
    with TraceReceiver("127.0.0.1", port, file, OURS.__contains__) as receiver:
        yield Listening(receiver, port, file)


def document(trace: str = TRACE, **fields: object) -> bytes:
    span = {"traceId": trace, "spanId": PARENT, "name": "GET /cart", "kind": 2, "startTimeUnixNano": "1000"}
    span |= {"endTimeUnixNano": "2000", **fields}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}).encode()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_what_opentelemetry_exports_of_our_traces_is_kept_with_its_parents(
    listening: Listening, compression: Compression
) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "shop", "host.name": "web-1"}))
    exporter = OTLPSpanExporter(endpoint=listening.url, compression=compression)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    caller = TraceContextTextMapPropagator().extract({"traceparent": f"00-{TRACE}-{PARENT}-01"})
    with tracer.start_as_current_span("POST /cart", caller, SpanKind.SERVER) as server:
        server.set_attributes({"http.route": "/cart", "http.request.header.cookie": "secret", "user.email": "a@b.c"})
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT) as query:
            query.set_attribute("db.system.name", "mariadb")
            query.set_status(StatusCode.ERROR)
    with tracer.start_as_current_span("of somebody else"):
        pass
    provider.shutdown()
    select, post = listening.kept()
    assert (post["trace_id"], post["parent_id"], post["service"], post["node"]) == (TRACE, PARENT, "shop", "web-1")
    assert (post["name"], post["kind"], post["status"]) == ("POST /cart", "server", "ok")
    assert post["attributes"] == {"http.route": "/cart"}
    assert (select["parent_id"], select["kind"], select["status"]) == (post["span_id"], "client", "error")
    assert select["attributes"] == {"db.system.name": "mariadb"}
    assert (listening.receiver.taken, listening.receiver.foreign) == (2, 1)
    assert listening.receiver.anomalies() == ()


def test_json_is_read_as_protobuf_is(listening: Listening) -> None:
    more = {"parentSpanId": PARENT, "status": {"code": 2}, "attributes": [
        {"key": "http.response.status_code", "value": {"intValue": "503"}},
        {"key": "url.full", "value": {"stringValue": "https://shop/?token=secret"}},
    ]}  # fmt: skip
    assert listening.post(document(**more)) == (200, b"{}")
    [span] = listening.kept()
    assert (span["kind"], span["status"], span["start_ns"], span["end_ns"]) == ("server", "error", 1000, 2000)
    assert span["attributes"] == {"http.response.status_code": 503}


def test_a_service_that_is_called_as_the_load_generator_does_not_pass_for_it(listening: Listening) -> None:
    listening.post(document().replace(b"shop", b"swarm"))
    [span] = listening.kept()
    assert span["service"] == "swarm of the platform"


@pytest.mark.parametrize(
    ("body", "kind", "path", "headers", "status"),
    [
        (b"{", JSON, "/v1/traces", {}, 400),
        (b"[" * 100_000, JSON, "/v1/traces", {}, 400),
        (b'{"resourceSpans": 7}', JSON, "/v1/traces", {}, 400),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}', JSON, "/v1/traces", {}, 400),
        (b"\xff\xff\xff", PROTOBUF, "/v1/traces", {}, 400),
        (b"{}", "text/plain", "/v1/traces", {}, 415),
        (b"{}", JSON, "/v1/metrics", {}, 404),
        (b"{}", JSON, "/v1/traces", {"Content-Encoding": "br"}, 415),
        (b"{}", JSON, "/v1/traces", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b" " * 17 * 1024 * 1024), JSON, "/v1/traces", {"Content-Encoding": "gzip"}, 413),
        (b"", JSON, "/v1/traces", {"Content-Length": f"{BODY_BYTES_MAX + 1}"}, 413),
        (b"", JSON, "/v1/traces", {"Content-Length": "9" * 5000}, 413),
        (b"", JSON, "/v1/traces", {"Content-Length": "-1"}, 411),
    ],
)
def test_what_is_no_export_is_refused_counted_and_ends_nothing(
    listening: Listening, body: bytes, kind: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert listening.post(body, kind, path, **headers)[0] == status
    assert listening.receiver.refused == 1
    assert listening.post(document())[0] == 200
    assert len(listening.kept()) == 1


def test_spans_without_usable_ids_or_times_are_left_out(listening: Listening) -> None:
    for wrong in (
        {"traceId": "0" * 32},
        {"traceId": TRACE[:-1]},
        {"spanId": "x" * 16},
        {"startTimeUnixNano": "3000"},
        {"startTimeUnixNano": 0},
        {"endTimeUnixNano": "9" * 19 + "9"},
        {"endTimeUnixNano": 10**30},
    ):
        assert listening.post(document(**wrong))[0] == 200
    assert listening.kept() == []


def test_the_file_is_bounded_and_the_exporter_is_told(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    listening.post(document())
    monkeypatch.setattr(trace_receiver, "FILE_BYTES_MAX", listening.file.stat().st_size)
    assert json.loads(listening.post(document())[1]) == {
        "partialSuccess": {"rejectedSpans": "1", "errorMessage": "no room"}
    }
    assert listening.receiver.dropped == 1


def test_what_was_dropped_is_in_the_file_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [port], file = free_ports(1), tmp_path / "spans-otlp.jsonl"
    with TraceReceiver("127.0.0.1", port, file, OURS.__contains__) as receiver:
        monkeypatch.setattr(trace_receiver, "FILE_BYTES_MAX", 100)
        Listening(receiver, port, file).post(document())
    assert json.loads(file.read_text()) == {"dropped": 1}


def served(listening: Listening) -> bool:
    try:
        return listening.post(document())[0] == 200
    except OSError:
        return False


def test_too_many_connections_are_closed_and_the_others_are_served(listening: Listening) -> None:
    silent = [socket.create_connection(("127.0.0.1", listening.port)) for _ in range(trace_receiver.CONNECTIONS_MAX)]
    try:
        refused = socket.create_connection(("127.0.0.1", listening.port))
        refused.settimeout(20)
        assert refused.recv(1) == b""
        refused.close()
        silent.pop().close()
        wait_until(lambda: served(listening), what="a free place")  # its thread sees that the other side has gone
        assert len(listening.kept()) == 1
    finally:
        for one in silent:
            one.close()


def test_a_port_that_is_taken_is_said_with_what_to_do(listening: Listening, tmp_path: Path) -> None:
    with (
        pytest.raises(EnvironmentProblem) as problem,
        TraceReceiver("127.0.0.1", listening.port, tmp_path / "x", OURS.__contains__),
    ):
        pass
    assert f"127.0.0.1:{listening.port}" in problem.value.message
    assert "platform.traces.listen" in (problem.value.hint or "")


def test_a_platform_that_sends_nothing_of_ours_is_told(listening: Listening) -> None:
    listening.post(document(trace="c" * 32))
    [anomaly] = listening.receiver.anomalies()
    assert anomaly.text == "the platform sent no span of a journey of this run; 1 spans were of other traces"


@given(st.binary(max_size=300), st.sampled_from([JSON, PROTOBUF]))
def test_no_body_is_an_error_of_ours(body: bytes, kind: str) -> None:
    with contextlib.suppress(MalformedTraces):
        spans_of(body, kind)


@given(st.data())
def test_no_change_of_a_whole_export_is_an_error_of_ours(data: st.DataObject) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(TRACE), bytes.fromhex(PARENT), "GET /cart"
    span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
    span.attributes.add(key="http.route").value.string_value = "/cart"
    kind = data.draw(st.sampled_from([JSON, PROTOBUF]))
    whole = bytearray(document() if kind == JSON else request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedTraces):
        assert len(spans_of(bytes(whole), kind)) <= 1
