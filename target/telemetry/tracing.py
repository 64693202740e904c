"""Spans of a whole booking, kept only when the caller asked for them (W3C Trace Context, OpenTelemetry SDK).

A request without a sampled `traceparent` costs one look at its headers; a step inside it costs one look at a variable.
Spans carry names, durations and outcomes: no paths with tokens, no error messages, no data of fans.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target.settings import Settings
from target.telemetry.trace_context import CURRENT, HEADER, TraceParent, parse

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

P = ParamSpec("P")
T = TypeVar("T")
Value = str | int | float | bool

_HEADER: Final = HEADER.encode()


class SpanContext(Protocol):
    """The context manager that `span` returns."""

    def __enter__(self) -> SpanContext:
        """The step begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The step ends; an exception marks it as failed and is raised further."""

    def answered(self, method: str, route: str, status: int) -> None:
        """Note the status of the answer to the request."""


class _Untraced:
    """A step outside of any sampled trace."""

    def __enter__(self) -> SpanContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def answered(self, method: str, route: str, status: int) -> None:
        """Does nothing."""


class _Tracing:
    """The one tracer of this process; none until `configure` was given a place for spans."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.provider: TracerProvider | None = None


_UNTRACED: Final = _Untraced()
_process: Final = _Tracing()


def configure(settings: Settings, role: str) -> None:
    """Exports this process's spans as the settings say; without an exporter no span is made."""
    if not (settings.spans_path or settings.spans_url) or _process.provider is not None:
        return
    from target.telemetry.span_export import provider_for

    _process.provider = provider_for(settings, role)
    _process.tracer = _process.provider.get_tracer("gatecrash.target")


def shutdown() -> None:
    """Exports the last spans. Blocks at most for the exporters' time-outs."""
    if _process.provider is not None:
        _process.provider.shutdown()
        _process.provider = _process.tracer = None


def span(name: str, *, kind: str = "internal", **attributes: Value) -> SpanContext:
    """A step of the present trace; without effect when that is not sampled. `kind`: internal | client | server."""
    parent = CURRENT.get()
    tracer = _process.tracer
    if parent is None or not parent.sampled or tracer is None:
        return _UNTRACED
    return _Traced(tracer, parent, name, kind, attributes)


def step(name: str) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorates a coroutine function: each call is a span of this name."""

    def decorate(work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(work)
        async def run(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await work(*args, **kwargs)

        return run

    return decorate


def outgoing_headers() -> dict[str, str]:
    """The headers for a call to another service, so that its spans join the trace."""
    current = CURRENT.get()
    return {} if current is None else {HEADER: current.header()}


class _Traced:
    def __init__(self, tracer: Tracer, parent: TraceParent, name: str, kind: str, attributes: dict[str, Value]) -> None:
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

        caller = SpanContext(
            int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=TraceFlags(1)
        )
        self._span: Span = tracer.start_span(
            name,
            context=set_span_in_context(NonRecordingSpan(caller)),
            kind=SpanKind[kind.upper()],
            attributes=attributes,
        )
        self._here = TraceParent(parent.trace_id, f"{self._span.get_span_context().span_id:016x}", True)
        self._before: Token[TraceParent | None] | None = None

    def __enter__(self) -> SpanContext:
        self._before = CURRENT.set(self._here)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            CURRENT.reset(self._before)
        if kind is not None:
            self.fail(kind.__name__)
        self._span.end()

    def answered(self, method: str, route: str, status: int) -> None:
        if route:
            self._span.update_name(f"{method} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.fail(str(status))

    def fail(self, error_type: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", error_type)
        self._span.set_status(StatusCode.ERROR)


class TracedApp:
    """An ASGI application whose requests belong to the traces that their callers name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        caller = _caller(scope)
        if caller is None:
            await self._app(scope, receive, send)
            return
        before = CURRENT.set(caller)
        try:
            await self._serve(scope, receive, send)
        finally:
            CURRENT.reset(before)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "")
        with span(method, kind="server", **{"http.request.method": method}) as request:
            if request is _UNTRACED:
                await self._app(scope, receive, send)
                return

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.answered(method, _route(scope), message["status"])
                await send(message)

            await self._app(scope, receive, send_noted)


def _caller(scope: Scope) -> TraceParent | None:
    if scope["type"] != "http":
        return None
    for name, value in scope["headers"]:
        if name == _HEADER:
            return parse(value.decode("latin-1"))
    return None


def _route(scope: Scope) -> str:
    """The path with its parameters by name: their values may be tokens. "": no route matched."""
    parameters: dict[str, object] = scope.get("path_params") or {}
    if "endpoint" not in scope:
        return ""
    by_value = {str(value): name for name, value in parameters.items()}
    return "/".join(f"{{{by_value[part]}}}" if part in by_value else part for part in scope["path"].split("/"))
