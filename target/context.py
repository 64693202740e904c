"""The parts of a process of the booking system: connections for all of its events, and a context for each event.

`target.roles.composition` makes them. A planted bug replaces a part of a context before routes and jobs get their
parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from target.http.tickets import Signer
from target.orders import Orders, Parking, Saga
from target.payments.client import PaymentsClient
from target.queue import ConflictSignal, Entrance, RatePolicy, StreamHub, WaitingRoom
from target.seats import Inventory, SeatMap, SeatRoutes, Venue
from target.settings import Settings
from target.storage.database import Database
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from target.storage.shards import Shards


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of one process, each behind its breaker."""

    redis: RedisStore
    shards: Shards
    payments: PaymentsClient

    async def open(self) -> None:
        """Connects to one store after the other, because the password exchange with Postgres takes CPU time.

        A store that is away now is connected later.
        """
        await self.redis.open()
        await self.shards.open()
        await self.payments.open()

    async def close(self) -> None:
        """Closes every connection."""
        await asyncio.gather(self.redis.close(), self.shards.close(), self.payments.close())

    def probes(self) -> list[Coroutine[Any, Any, None]]:
        """Endless jobs: the active probes of all breakers."""
        return [
            self.redis.guard.probe_forever(self.redis.ping),
            self.payments.guard.probe_forever(self.payments.ping),
            *self.shards.probes(),
        ]


@dataclass(slots=True)
class Context:
    """The parts for one event; `settings.event` is its name alone."""

    settings: Settings
    keys: Keys
    venue: Venue
    redis: RedisStore
    database: Database
    payments: PaymentsClient
    signer: Signer
    entrance: Entrance
    room: WaitingRoom
    rate_policy: RatePolicy
    conflicts: ConflictSignal
    inventory: Inventory
    seat_map: SeatMap
    orders: Orders
    parking: Parking
    saga: type[Saga] = Saga
    seat_routes: type[SeatRoutes] = SeatRoutes
    stream_hub: type[StreamHub] = StreamHub
