"""Checkouts that wait for the primary: kept in Redis, charged only after their intent is durable in Postgres.

What is parked here survives every process of ours, though not Redis itself: a checkout is parked only while the
place where it belongs cannot be reached.
"""

from __future__ import annotations

import msgspec

from target.keys import Keys
from target.observability import ORDERS_PARKED
from target.orders import Checkout
from target.redis_store import RedisStore


class Parking:
    """The parked checkouts of one event. Raises `UnavailableError` when Redis is away."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.parked

    async def park(self, checkout: Checkout) -> Checkout:
        """Keeps the checkout; returns what is parked under its order id, which is the first one ever given."""
        if await self._redis.command("HSETNX", self._key, checkout.order_id, msgspec.json.encode(checkout)):
            return checkout
        return await self.find(checkout.order_id) or checkout

    async def find(self, order_id: str) -> Checkout | None:
        """The parked checkout of this order, if there is one."""
        body = await self._redis.command("HGET", self._key, order_id)
        return None if body is None else msgspec.json.decode(body, type=Checkout)

    async def all(self) -> list[Checkout]:
        """Every parked checkout; also sets the gauge."""
        bodies = await self._redis.command("HVALS", self._key)
        ORDERS_PARKED.set(len(bodies))
        return [msgspec.json.decode(body, type=Checkout) for body in bodies]

    async def remove(self, order_id: str) -> None:
        """Its intent is durable."""
        await self._redis.command("HDEL", self._key, order_id)
