"""GET /status: breakers, fallbacks, the length of the queues, the lag of the replicas, for people and probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import json_response
from target.http.operations import operation
from target.payments.client import PaymentsClient
from target.runtime import fallbacks
from target.runtime.breakers import GAUGE_VALUES, BreakerState, UnavailableError
from target.runtime.cache import CachedValue
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from target.storage.shards import Shards

FIGURES_TTL_S: Final = 1.0


class Figures(msgspec.Struct, frozen=True):
    """Figures that must be queried. None: the query failed."""

    queue_depth: int | None
    replica_lag_s: float | None


class FallbackStatus(msgspec.Struct, frozen=True):
    """One fallback. `answers`: how many answers of this process it gave."""

    in_force: bool
    answers: int
    does: str


class StatusAnswer(msgspec.Struct, frozen=True):
    """The dependencies that this process can use, and its fallbacks; of several shards the worst counts."""

    breakers: dict[str, BreakerState]
    fallbacks: dict[str, FallbackStatus]
    queue_depth: int | None
    replica_lag_s: float | None


class StatusRoute:
    """Handler of the route. `events`: the keys of each event on sale."""

    def __init__(self, redis: RedisStore, payments: PaymentsClient, shards: Shards, events: Sequence[Keys]) -> None:
        self._redis = redis
        self._events = events
        self._databases = shards.databases
        primaries = (database.primary.guard for database in self._databases)
        replicas = (database.replica.guard for database in self._databases)
        self._guards = (redis.guard, payments.guard, *primaries, *replicas)
        self._figures = CachedValue("status", self._ask, ttl_s=FIGURES_TTL_S)

    def route(self) -> Route:
        """As the public API names it."""
        return Route("/status", self.show)

    @operation("operations", {200: StatusAnswer})
    async def show(self, _request: Request) -> Response:
        """Always answers 200, also when a breaker is open."""
        figures = await self._figures.get()
        best_first = sorted(self._guards, key=lambda guard: GAUGE_VALUES[guard.state])
        breakers = {guard.dependency: guard.state for guard in best_first}
        answer = StatusAnswer(breakers, _fallbacks(breakers), figures.queue_depth, figures.replica_lag_s)
        return json_response(answer, headers={"cache-control": "no-store"})

    async def _ask(self) -> Figures:
        known = [database.lag.last_s for database in self._databases if database.lag.last_s is not None]
        return Figures(await self._queue_depth(), max(known) if len(known) == len(self._databases) else None)

    async def _queue_depth(self) -> int | None:
        try:
            depths = [await self._redis.command("ZCARD", event.queue) for event in self._events]
        except UnavailableError:
            return None
        return sum(int(depth) for depth in depths)


def _fallbacks(breakers: Mapping[str, BreakerState]) -> dict[str, FallbackStatus]:
    answers = fallbacks.answers()
    return {
        each.kind: FallbackStatus(breakers[each.dependency] is not BreakerState.CLOSED, answers[each.kind], each.does)
        for each in fallbacks.TABLE
    }
