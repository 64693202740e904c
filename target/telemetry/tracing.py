"""Spans of a whole booking, kept only when the caller asked for them (W3C Trace Context).

A rehearsal asks for them in most of its requests, to choose at its end which it keeps. So a span is a small object of
our own: with its export it takes 6 µs of processor time, one of OpenTelemetry's SDK took 65 µs. A request without a
sampled `traceparent` costs one look at its headers; a step inside it costs one look at a variable. Spans carry names,
durations and outcomes: no paths with tokens, no error messages, no data of fans.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target.settings import Settings
from target.telemetry.spans import HERE, Caller, Span

if TYPE_CHECKING:
    from target.telemetry.span_export import Outlet

P = ParamSpec("P")
T = TypeVar("T")

HEADER: Final = "traceparent"
_HEADER: Final = HEADER.encode()
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_SAMPLED: Final = 1


_UNTRACED: Final[AbstractContextManager[None]] = nullcontext()


class _Tracing:
    """Where the spans of this process go; nowhere until `configure` was given a place for them."""

    def __init__(self) -> None:
        self.outlets: tuple[Outlet, ...] = ()


_process: Final = _Tracing()


def configure(settings: Settings, role: str) -> None:
    """Exports this process's spans as the settings say; without an outlet no span is made."""
    if not (settings.spans_path or settings.spans_url) or _process.outlets:
        return
    from target.telemetry.span_export import outlets_for

    _process.outlets = outlets_for(settings, role)


def shutdown() -> None:
    """Exports the last spans. Blocks at most for the outlets' time-outs."""
    outlets, _process.outlets = _process.outlets, ()
    for outlet in outlets:
        outlet.close()


def caller_of(header: str) -> Caller | None:
    """The caller's span, from a traceparent header. None when the header is invalid and is ignored."""
    found = _TRACEPARENT.fullmatch(header)
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Caller(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


def within(caller: Caller | None) -> Token[Caller | Span | None]:
    """From now on the present context belongs to the caller's trace; undone by `leave`."""
    return HERE.set(caller)


def leave(before: Token[Caller | Span | None]) -> None:
    """Undoes `within`."""
    HERE.reset(before)


def trace_id() -> str:
    """The id of the present trace; "" outside of any."""
    here = HERE.get()
    return here.trace_id if here is not None else ""


def span(name: str, kind: str = "internal") -> AbstractContextManager[Span | None]:
    """A step of the present trace; without effect when that is not sampled. `kind`: internal | client | server."""
    outlets = _process.outlets
    if not outlets:
        return _UNTRACED
    here = HERE.get()
    return _UNTRACED if here is None or not here.sampled else Span(outlets, here, name, kind)


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
    here = HERE.get()
    return {} if here is None else {HEADER: f"00-{here.trace_id}-{here.span_id}-{here.sampled:02x}"}


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
        before = within(caller)
        try:
            await self._serve(scope, receive, send)
        finally:
            leave(before)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "")
        with span(method, "server") as request:
            if request is None:
                await self._app(scope, receive, send)
                return
            request.attributes["http.request.method"] = method

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _note_answer(request, method, _route(scope), message["status"])
                await send(message)

            await self._app(scope, receive, send_noted)


def _note_answer(request: Span, method: str, route: str, status: int) -> None:
    if route:
        request.name = f"{method} {route}"
        request.attributes["http.route"] = route
    request.attributes["http.response.status_code"] = status
    if status >= 500:
        request.error_type = str(status)


def _caller(scope: Scope) -> Caller | None:
    if scope["type"] != "http":
        return None
    for name, value in scope["headers"]:
        if name == _HEADER:
            return caller_of(value.decode("latin-1"))
    return None


def _route(scope: Scope) -> str:
    """The path with its parameters by name: their values may be tokens. "": no route matched."""
    parameters: dict[str, object] = scope.get("path_params") or {}
    if "endpoint" not in scope:
        return ""
    by_value = {str(value): name for name, value in parameters.items()}
    return "/".join(f"{{{by_value[part]}}}" if part in by_value else part for part in scope["path"].split("/"))
