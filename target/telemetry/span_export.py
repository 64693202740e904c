"""Exports finished spans to a file of JSON lines, an OTLP/HTTP collector, or both; in batches, each on a thread.

Memory and disk are bounded: what has no room is dropped, counted, and told in the file.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from target.settings import Settings
from target.telemetry.spans import Span, Value

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

FLUSH_S: Final = 0.5
WAITING_MAX: Final = 16_384  # spans; beyond them the newest are dropped, and requests go on
BATCH_MAX: Final = 128  # so that encoding a batch keeps no request waiting for long
FILE_BYTES_MAX: Final = 128 * 1024 * 1024
COLLECTOR_TIMEOUT_S: Final = 1
_CLOSES_WITHIN_S: Final = 3.0

Export = Callable[[Sequence[Span]], bool]
"""Exports a batch; False: it was lost."""


class SpanLine(msgspec.Struct, frozen=True):
    """One finished span. Times are unix ns; `parent_id`: the caller's span; `status`: ok | error."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    node: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    attributes: dict[str, Value]


class Dropped(msgspec.Struct, frozen=True):
    """So many further spans were dropped since the last line of this kind."""

    dropped: int


class Outlet:
    """Hands finished spans to `export` from a thread of its own. `tell_dropped`: told how many found no room."""

    def __init__(self, export: Export, tell_dropped: Callable[[int], None] = lambda _: None) -> None:
        self._export = export
        self._tell_dropped = tell_dropped
        self._waiting: deque[Span] = deque()
        self._dropped = self._told = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """A span has ended. It never waits."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(span)
        else:
            self._dropped += 1

    def close(self) -> None:
        """Export what is left, and end."""
        self._over.set()
        self._thread.join(_CLOSES_WITHIN_S)

    def _run(self) -> None:
        while not self._over.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lost, waiting = 0, self._waiting
        for _ in range(-(-len(waiting) // BATCH_MAX)):
            batch = [waiting.popleft() for _ in range(min(BATCH_MAX, len(waiting)))]
            lost += 0 if self._export(batch) else len(batch)
        untold, self._told = self._dropped - self._told, self._dropped
        if untold or lost:
            self._tell_dropped(untold + lost)


def outlets_for(settings: Settings, role: str) -> tuple[Outlet, ...]:
    """The outlets that the settings ask for."""
    outlets: list[Outlet] = []
    if settings.spans_path:
        file = SpanFile(settings.spans_path, service=role, node=settings.node)
        outlets.append(Outlet(file.export, file.tell_dropped))
    if settings.spans_url:
        outlets.append(Outlet(_collector(settings, role)))
    return tuple(outlets)


class SpanFile:
    """Appends spans to a file that several processes may share: a batch is one write."""

    def __init__(self, path: str, *, service: str, node: str) -> None:
        self._path = path
        self._service = service
        self._node = node
        self._encoder = msgspec.json.Encoder()

    def export(self, spans: Sequence[Span]) -> bool:
        """False when the disk or the file is full."""
        return self._append(self._encoder.encode_lines([self._line(span) for span in spans]), FILE_BYTES_MAX)

    def tell_dropped(self, count: int) -> None:
        """A line of its own, for which a full file has room."""
        self._append(self._encoder.encode_lines([Dropped(count)]), 2 * FILE_BYTES_MAX)

    def _append(self, lines: bytes, bytes_max: int) -> bool:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                has_room = os.fstat(file).st_size + len(lines) <= bytes_max
                return has_room and os.write(file, lines) == len(lines)
            finally:
                os.close(file)
        except OSError:
            return False

    def _line(self, span: Span) -> SpanLine:
        attributes = {**span.attributes, "error.type": span.error_type} if span.error_type else span.attributes
        return SpanLine(
            span.trace_id,
            span.span_id,
            span.parent_id,
            self._service,
            self._node,
            span.name,
            span.kind,
            span.start_ns,
            span.end_ns,
            "error" if span.error_type else "ok",
            attributes,
        )


def _collector(settings: Settings, role: str) -> Export:
    """Sends batches to an OTLP/HTTP collector, with OpenTelemetry's own exporter."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExportResult

    resource = Resource({"service.name": f"gatecrash-{role}", "service.instance.id": settings.node})
    exporter = OTLPSpanExporter(endpoint=settings.spans_url, timeout=COLLECTOR_TIMEOUT_S)

    def export(spans: Sequence[Span]) -> bool:
        return exporter.export([_readable(span, resource) for span in spans]) is SpanExportResult.SUCCESS

    return export


def _readable(span: Span, resource: object) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: str, *, remote: bool) -> SpanContext:
        sampled = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=sampled)

    error = {"error.type": span.error_type} if span.error_type else {}
    return ReadableSpan(
        span.name,
        context(span.span_id, remote=False),
        context(span.parent_id, remote=True),
        resource,  # type: ignore[arg-type]
        {**span.attributes, **error},
        kind=SpanKind[span.kind.upper()],
        status=Status(StatusCode.ERROR if error else StatusCode.UNSET),
        start_time=span.start_ns,
        end_time=span.end_ns,
    )
