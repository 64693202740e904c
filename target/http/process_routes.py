"""The two routes that every process serves: its metrics, and whether it is up."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from target.http.operations import Success, operation
from target.telemetry.exposition import exposition


@operation("operations", {200: Success("In Prometheus' text format.", media="text/plain")})
async def _metrics(_request: Request) -> Response:
    """The metrics of this process, or of all workers of this server."""
    body, content_type = exposition()
    return Response(body, media_type=content_type)


@operation("operations", {200: Success("It is up.", media="text/plain")})
async def _health(_request: Request) -> Response:
    """Answers that this process serves; it does not check dependencies."""
    return PlainTextResponse("ok\n")


metrics_route: Final = Route("/metrics", _metrics)
health_route: Final = Route("/healthz", _health)
