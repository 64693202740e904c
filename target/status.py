"""GET /status: the state of the breakers, the length of the queue and the lag of the replica, for people and probes."""

from __future__ import annotations

import math
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.breakers import UnavailableError
from target.cache import CachedValue
from target.checkouts import Checkouts
from target.context import Context
from target.http import json_response

FIGURES_TTL_S: Final = 1.0


class Figures(msgspec.Struct, frozen=True):
    """What has to be asked for. None: it could not be."""

    queue_depth: int | None
    replica_lag_s: float | None


class StatusAnswer(msgspec.Struct, frozen=True):
    """Breaker states are those of this process."""

    breakers: dict[str, str]
    queue_depth: int | None
    replica_lag_s: float | None


class Status:
    """Handler of the route."""

    def __init__(self, context: Context, checkouts: Checkouts) -> None:
        self._context = context
        self._guards = (context.redis.guard, context.database.primary.guard, checkouts.payments.guard)
        self._figures = CachedValue("status", self._ask, ttl_s=FIGURES_TTL_S)

    def route(self) -> Route:
        """As the public API names it."""
        return Route("/status", self.show)

    async def show(self, _request: Request) -> Response:
        """Always 200: an open breaker is an answer."""
        figures = await self._figures.get()
        breakers = {guard.dependency: str(guard.state) for guard in self._guards}
        return json_response(StatusAnswer(breakers, figures.queue_depth, figures.replica_lag_s))

    async def _ask(self) -> Figures:
        lag_s = await self._context.database.replica_lag_s()
        return Figures(await self._queue_depth(), None if lag_s is None or math.isnan(lag_s) else lag_s)

    async def _queue_depth(self) -> int | None:
        try:
            return int(await self._context.redis.command("ZCARD", self._context.keys.queue))
        except UnavailableError:
            return None
