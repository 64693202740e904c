"""Exports finished spans to a file of JSON lines, an OTLP/HTTP collector, or both; in batches, on a thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.util.types import AttributeValue

from target.settings import Settings

FLUSH_MS: Final = 500
QUEUE_MAX: Final = 16_384  # spans; when it is full the newest spans are lost, and requests go on
BATCH_MAX: Final = 512
COLLECTOR_TIMEOUT_S: Final = 1


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
    attributes: dict[str, AttributeValue]


def provider_for(settings: Settings, role: str) -> TracerProvider:
    """A provider whose spans begin only below a sampled caller and are exported as the settings say."""
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_OFF),
        resource=Resource({"service.name": f"gatecrash-{role}", "service.instance.id": settings.node}),
    )
    for exporter in _exporters(settings, role):
        provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=QUEUE_MAX,
                schedule_delay_millis=FLUSH_MS,
                max_export_batch_size=BATCH_MAX,
            )
        )
    return provider


def _exporters(settings: Settings, role: str) -> list[SpanExporter]:
    exporters: list[SpanExporter] = []
    if settings.spans_path:
        exporters.append(FileExporter(settings.spans_path, service=role, node=settings.node))
    if settings.spans_url:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporters.append(OTLPSpanExporter(endpoint=settings.spans_url, timeout=COLLECTOR_TIMEOUT_S))
    return exporters


class FileExporter(SpanExporter):
    """Appends spans to a file that several processes may share: a batch is one write."""

    def __init__(self, path: str, *, service: str, node: str) -> None:
        self._path = path
        self._service = service
        self._node = node
        self._encoder = msgspec.json.Encoder()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See the base class."""
        lines = self._encoder.encode_lines([self._line(span) for span in spans])
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(file, lines)
            finally:
                os.close(file)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _line(self, span: ReadableSpan) -> SpanLine:
        return SpanLine(
            trace_id=f"{span.context.trace_id:032x}" if span.context else "",
            span_id=f"{span.context.span_id:016x}" if span.context else "",
            parent_id=f"{span.parent.span_id:016x}" if span.parent else "",
            service=self._service,
            node=self._node,
            name=span.name,
            kind=span.kind.name.lower(),
            start_ns=span.start_time or 0,
            end_ns=span.end_time or 0,
            status="ok" if span.status.is_ok else "error",
            attributes=dict(span.attributes or {}),
        )
