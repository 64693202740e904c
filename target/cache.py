"""One cached value: short-lived, refilled by one caller while the others wait for the same refill."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from target.observability import CACHE_REQUESTS

T = TypeVar("T")


class CachedValue(Generic[T]):
    """The result of `refill`, at most `ttl_s` old when it is handed out (plus the time of a refill).

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
        self._hits = CACHE_REQUESTS.labels(name, "hit")
        self._misses = CACHE_REQUESTS.labels(name, "miss")

    async def get(self) -> T:
        """The value. Raises what `refill` raises; a failed refill is not kept."""
        if self._value is not None and time.monotonic() < self._good_until_s:
            self._hits.inc()
            return self._value
        self._misses.inc()
        if self._refilling is None:
            self._refilling = asyncio.create_task(self._fill())
        return await asyncio.shield(self._refilling)

    async def _fill(self) -> T:
        try:
            asked_s = time.monotonic()
            value = await self._refill()
            self._value = value
            self._good_until_s = asked_s + self._ttl_s * (1 - self._jitter_ratio * random.random())
            return value
        finally:
            self._refilling = None
