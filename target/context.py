"""What a process of the booking system is made of: connections for all of its events, and a context for each event.

Routes and jobs get a context and take from it what they need. A planted bug replaces one of its parts before they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from target import bugs
from target.bots import Entrance, entrance
from target.conflict_signal import ConflictSignal
from target.database import Database
from target.hold_schools import SCHOOLS
from target.inventory import Inventory
from target.keys import Keys
from target.orders import Orders
from target.parking import Parking
from target.parking_journal import Journal
from target.payments.client import PaymentsClient
from target.position_streams import StreamHub
from target.queue_rules import rules_of
from target.rate_policy import RatePolicy, policy_of
from target.redis_store import RedisStore
from target.saga import Saga
from target.seat_map import SeatMap
from target.settings import Settings
from target.shards import Shards
from target.tickets import Signer
from target.venue import Venue, load
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


def connect(settings: Settings) -> Connections:
    """The connections that the settings name; nothing is sent yet. Raises `SettingsError`."""
    return Connections(
        redis=RedisStore(settings.redis_url, timeout_s=settings.dependency_timeout_s),
        shards=Shards(settings),
        payments=PaymentsClient(settings.payments_url, timeout_s=settings.payment_timeout_s),
    )


def compose(settings: Settings, connections: Connections) -> Context:
    """The parts around the one event of `settings`. Raises `SettingsError` for a bad venue or bug."""
    keys = Keys(settings.event)
    venue = load(settings.venue, settings.event)
    redis = connections.redis
    database = connections.shards.of(settings.event)
    orders = Orders(database, settings.event)
    signer = Signer(settings.secret, settings.event)
    context = Context(
        settings=settings,
        keys=keys,
        venue=venue,
        redis=redis,
        database=database,
        payments=connections.payments,
        signer=signer,
        entrance=entrance(settings, redis, keys, signer),
        room=WaitingRoom(redis, keys, rules_of(settings)),
        rate_policy=policy_of(settings),
        conflicts=ConflictSignal(redis, keys),
        inventory=Inventory(
            redis, keys, venue, hold_ttl_s=settings.hold_ttl_s, store=SCHOOLS[settings.holds](redis, keys)
        ),
        seat_map=SeatMap(redis, keys, venue, orders),
        orders=orders,
        parking=Parking(redis, keys, Journal(settings.parking_path, settings.event)),
    )
    bugs.find(settings.bug).plant(context)
    return context


def compose_all(settings: Settings) -> tuple[Connections, list[Context]]:
    """The connections of a process and a context for each of its events. Raises `SettingsError`."""
    connections = connect(settings)
    return connections, [compose(one, connections) for one in settings.of_events()]
