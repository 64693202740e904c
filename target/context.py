"""What a process of the booking system is made of: connections for all of its events, and a context for each event.

`target.composition` makes them. A planted bug replaces a part of a context before routes and jobs are given theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from target.bots import Entrance
from target.conflict_signal import ConflictSignal
from target.database import Database
from target.inventory import Inventory
from target.keys import Keys
from target.orders import Orders
from target.parking import Parking
from target.payments.client import PaymentsClient
from target.position_streams import StreamHub
from target.rate_policy import RatePolicy
from target.redis_store import RedisStore
from target.saga import Saga
from target.seat_map import SeatMap
from target.settings import Settings
from target.shards import Shards
from target.tickets import Signer
from target.venue import Venue
from target.waiting_room import WaitingRoom


@dataclass(frozen=True, slots=True)
class Connections:
    """The ways out of one process, each behind its breaker."""

    redis: RedisStore
    shards: Shards
    payments: PaymentsClient

    async def open(self) -> None:
        """Connects, one store after the other: the password exchange with Postgres keeps a process busy for a while.

        What is away now is met again later.
        """
        await self.redis.open()
        await self.shards.open()
        await self.payments.open()

    async def close(self) -> None:
        """Drops every connection."""
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
    """The parts around one event; `settings.event` is its name alone."""

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
    stream_hub: type[StreamHub] = StreamHub
