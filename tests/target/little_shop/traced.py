"""`python -m tests.target.little_shop.traced …`: the little shop with OpenTelemetry, as a platform of one's own has it.

The variables of OpenTelemetry say where its spans go: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_BSP_SCHEDULE_DELAY.
"""

from __future__ import annotations

import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target.little_shop.app import shop_app
from target.little_shop.serving import serve
from target.little_shop.settings import read_settings


class Traced:
    """Makes a span of each request, below the caller's where it named one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        provider = TracerProvider(resource=Resource({"service.name": "box-office"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("little-shop")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        caller = TraceContextTextMapPropagator().extract(headers)
        name = f"{scope['method']} {scope['path']}"
        with self._tracer.start_as_current_span(name, caller, SpanKind.SERVER) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, send_noted)


if __name__ == "__main__":
    settings = read_settings(sys.argv[1:])
    serve(Traced(shop_app(settings)), settings.host, settings.port)  # type: ignore[arg-type]
