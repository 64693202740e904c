"""Spans of a whole booking, kept only when the caller asked for them (W3C Trace Context, OpenTelemetry SDK).

A request without a sampled `traceparent` costs one look at its headers; a step inside it costs one look at a variable.
Spans carry names, durations and outcomes: no paths with tokens, no error messages, no data of fans.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer, format_trace_id, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

P = ParamSpec("P")
T = TypeVar("T")
Value = str | int | float | bool

HEADER: Final = "traceparent"
_HEADER: Final = HEADER.encode()
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_UNTRACED: Final = nullcontext(INVALID_SPAN)


class _Tracing:
    """The one tracer of this process; none until `configure` was given a place for spans."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.provider: TracerProvider | None = None


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


def caller_context(header: str) -> Context | None:
    """The context of the caller's span, from a traceparent header. None when the header is invalid and is ignored."""
    return _PROPAGATOR.extract({HEADER: header}) or None


def trace_id() -> str:
    """The id of the present trace; "" outside of any."""
    here = get_current_span().get_span_context()
    return format_trace_id(here.trace_id) if here.is_valid else ""


def span(name: str, *, kind: str = "internal", **attributes: Value) -> AbstractContextManager[Span]:
    """A step of the present trace; without effect when that is not sampled. `kind`: internal | client | server."""
    tracer = _process.tracer
    if tracer is None or not get_current_span().get_span_context().trace_flags.sampled:
        return _UNTRACED
    return _traced(tracer, name, SpanKind[kind.upper()], attributes)


@contextmanager
def _traced(tracer: Tracer, name: str, kind: SpanKind, attributes: dict[str, Value]) -> Iterator[Span]:
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as here:
        try:
            yield here
        except BaseException as error:
            _fail(here, type(error).__name__)
            raise


def _fail(here: Span, error_type: str) -> None:
    here.set_attribute("error.type", error_type)
    here.set_status(StatusCode.ERROR)


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
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


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
        before = attach(caller)
        try:
            await self._serve(scope, receive, send)
        finally:
            detach(before)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "")
        with span(method, kind="server", **{"http.request.method": method}) as request:
            if not request.is_recording():
                await self._app(scope, receive, send)
                return

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note_answer(request, method, _route(scope), message["status"])
                await send(message)

            await self._app(scope, receive, send_noted)


def _note_answer(request: Span, method: str, route: str, status: int) -> None:
    if route:
        request.update_name(f"{method} {route}")
        request.set_attribute("http.route", route)
    request.set_attribute("http.response.status_code", status)
    if status >= 500:
        _fail(request, str(status))


def _caller(scope: Scope) -> Context | None:
    if scope["type"] != "http":
        return None
    for name, value in scope["headers"]:
        if name == _HEADER:
            return caller_context(value.decode("latin-1"))
    return None


def _route(scope: Scope) -> str:
    """The path with its parameters by name: their values may be tokens. "": no route matched."""
    parameters: dict[str, object] = scope.get("path_params") or {}
    if "endpoint" not in scope:
        return ""
    by_value = {str(value): name for name, value in parameters.items()}
    return "/".join(f"{{{by_value[part]}}}" if part in by_value else part for part in scope["path"].split("/"))
