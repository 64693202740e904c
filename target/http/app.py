"""What the apps of booking and worker have in common: limits, problem documents, and the document of their routes."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import Lifespan

from target.http.limits import RequestLimits
from target.http.messages import HANDLERS
from target.http.openapi import OpenApi


def api(title: str, routes: Sequence[BaseRoute], *, events: Sequence[str], lifespan: Lifespan[Starlette]) -> Starlette:
    """An app of these routes, and of /openapi.json. A path has one spelling: nothing is redirected."""
    told = OpenApi(title, routes, events=events)
    app = Starlette(
        routes=told.routes, middleware=[Middleware(RequestLimits)], exception_handlers=HANDLERS, lifespan=lifespan
    )
    app.router.redirect_slashes = False
    return app
