"""Checkouts that wait for the primary: they are charged only after their intent is durable in Postgres.

A checkout is parked in Redis, where every process finds it, and in the journal of the booking process that took it,
which survives a loss of Redis. A checkout that is lost with both was never charged: its order is then unknown, and the
fan is told so.
"""

from __future__ import annotations

import logging

import msgspec

from target.orders.orders import Checkout
from target.orders.parking_journal import ParkingJournal
from target.runtime.breakers import UnavailableError
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from target.telemetry.metrics import ORDERS_PARKED

_log = logging.getLogger(__name__)


class Parking:
    """The parked checkouts of one event. Raises `UnavailableError` when Redis is away.

    `journal`: a booking process opens it; a closed journal is not used.
    """

    def __init__(self, redis: RedisStore, keys: Keys, journal: ParkingJournal) -> None:
        self._redis = redis
        self._key = keys.parked
        self.journal = journal

    async def park(self, checkout: Checkout) -> Checkout:
        """Parks the checkout; returns the first checkout that was ever parked under its order id."""
        if self.journal.full:
            raise UnavailableError("db", "too many checkouts wait for it", maybe_done=False)
        if not await self._redis.command("HSETNX", self._key, checkout.order_id, msgspec.json.encode(checkout)):
            return await self.find(checkout.order_id) or checkout
        try:
            await self.journal.add(checkout)
        except OSError:
            _log.exception("order %s is parked in Redis only", checkout.order_id)
        return checkout

    async def find(self, order_id: str) -> Checkout | None:
        """The parked checkout of this order, if there is one."""
        known = self.journal.find(order_id)
        if known is not None:
            return known
        body = await self._redis.command("HGET", self._key, order_id)
        return None if body is None else msgspec.json.decode(body, type=Checkout)

    async def all(self) -> list[Checkout]:
        """All checkouts that are parked in Redis; also sets the gauge."""
        bodies = await self._redis.command("HVALS", self._key)
        ORDERS_PARKED.set(len(bodies))
        return [msgspec.json.decode(body, type=Checkout) for body in bodies]

    async def park_again(self) -> None:
        """Puts the journal's checkouts into Redis again when Redis has lost them."""
        known = set(await self._redis.command("HKEYS", self._key))
        for checkout in self.journal.all():
            if checkout.order_id.encode() not in known:
                await self._redis.command("HSETNX", self._key, checkout.order_id, msgspec.json.encode(checkout))

    async def remove(self, order_id: str) -> None:
        """Removes a checkout whose intent is durable."""
        self.journal.remove(order_id)
        await self._redis.command("HDEL", self._key, order_id)
