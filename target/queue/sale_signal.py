"""Tells the waiting room whether anything is left to buy. This is all that it knows of the stock.

The worker sets it. While nothing is left nobody is let in, and those who wait are told; seats that come back go to
those who are inside. A loss of Redis's data forgets it until the worker looks again.
"""

from __future__ import annotations

from target.storage.keys import Keys
from target.storage.redis import RedisStore


class SaleSignal:
    """The signal of one event. Raises `UnavailableError` when Redis cannot be used."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.sold_out

    async def set_sold_out(self, sold_out: bool) -> None:
        """From now on the waiting room goes by this."""
        if sold_out:
            await self._redis.command("SET", self._key, "1")
        else:
            await self._redis.command("DEL", self._key)
