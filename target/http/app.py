"""Builds the ASGI apps of booking and worker: request limits, problem documents, and the OpenAPI document.

`Turns` is the outermost layer, then `RequestLimits`: it refuses requests that are too large before a route sees them.
Bodies are read by `target.http.messages.read_json`, which bounds their size and the time they may take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from target.http.messages import BODY_BYTES_MAX, HANDLERS, ProblemError, problem_response
from target.http.openapi import OpenApi
from target.http.turns import Turns

HEADER_BYTES_MAX: Final = 16_384  # names and values together
HEADERS_MAX: Final = 64
TARGET_BYTES_MAX: Final = 8_192  # path and query


class RequestLimits:
    """ASGI middleware. Answers 413, 414 and 431 itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a request, or passes it on."""
        refusal = _refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            response = await problem_response(Request(scope), refusal)
            response.headers["connection"] = "close"  # the rest of the body is never read
            await response(scope, receive, send)


def _refusal(scope: Scope) -> ProblemError | None:
    size = 0
    length = b""
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name == b"content-length":
            length = value
    if size > HEADER_BYTES_MAX or len(scope["headers"]) > HEADERS_MAX:
        detail = f"at most {HEADERS_MAX} fields of {HEADER_BYTES_MAX} bytes together"
        return ProblemError(431, "header fields too large", detail)
    if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > TARGET_BYTES_MAX:
        return ProblemError(414, "address too long", f"at most {TARGET_BYTES_MAX} bytes")
    if length.isdigit() and int(length) > BODY_BYTES_MAX:
        return ProblemError(413, "body too large", f"at most {BODY_BYTES_MAX} bytes")
    return None


def api(
    title: str,
    routes: Sequence[BaseRoute],
    *,
    events: Sequence[str],
    lifespan: Lifespan[Starlette],
    head_starts_s: Mapping[str, float] | None = None,
) -> Starlette:
    """An app with these routes and /openapi.json. A path has one spelling, so there are no redirects.

    `head_starts_s`: of the paths that crowds ask for, see `Turns`.
    """
    told = OpenApi(title, routes, events=events)
    app = Starlette(
        routes=told.routes,
        middleware=[Middleware(Turns, head_starts_s or {}), Middleware(RequestLimits)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app
