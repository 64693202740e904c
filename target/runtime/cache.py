"""One cached value: short-lived, dropped on changes, refilled by one caller while the others wait for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from target.telemetry.metrics import CACHE_REFILLS, CACHE_REQUESTS

T = TypeVar("T")


class CachedValue(Generic[T]):
    """The result of `refill`, begun after the last `invalidate` and at most `ttl_s` old when it is returned.

    The life of each value is shortened by up to `jitter_ratio` of it, so that processes do not refill in step.
    """

    def __init__(
        self, name: str, refill: Callable[[], Awaitable[T]], *, ttl_s: float, jitter_ratio: float = 0.0
    ) -> None:
        self._refill = refill
        self._ttl_s = ttl_s
        self._jitter_ratio = jitter_ratio
        self._good_until_s = 0.0
        self._value: T | None = None
        self._refilling: asyncio.Task[T] | None = None
        self._under_way: set[asyncio.Task[T]] = set()
        self._hits = CACHE_REQUESTS.labels(name, "hit")
        self._misses = CACHE_REQUESTS.labels(name, "miss")
        self._refills = CACHE_REFILLS.labels(name)

    async def get(self) -> T:
        """The value. Raises what `refill` raises; a failed refill is not kept."""
        if self._value is not None and time.monotonic() < self._good_until_s:
            self._hits.inc()
            return self._value
        self._misses.inc()
        if self._refilling is None:
            self._refilling = asyncio.create_task(self._fill())
            self._under_way.add(self._refilling)
            self._refilling.add_done_callback(self._done)
        return await asyncio.shield(self._refilling)

    def invalidate(self) -> None:
        """The source has changed: callers from now on get a value that is read from now on."""
        self._good_until_s = 0.0
        self._refilling = None  # a refill under way may have read before the change: it serves only its present callers

    async def _fill(self) -> T:
        asked_s = time.monotonic()
        self._refills.inc()
        value = await self._refill()
        if self._refilling is asyncio.current_task():
            self._value = value
            self._good_until_s = asked_s + self._ttl_s * (1 - self._jitter_ratio * random.random())
        return value

    def _done(self, refill: asyncio.Task[T]) -> None:
        self._under_way.discard(refill)
        if self._refilling is refill:
            self._refilling = None
        if not refill.cancelled():
            refill.exception()  # retrieve the error, also when no caller waits any more
