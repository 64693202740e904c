"""Puts the parts of a process together, and plants the bug that its settings name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from target.bugs import catalogue
from target.context import Connections, Context
from target.http.tickets import Signer
from target.orders import Checkouts, Orders, Parking, ParkingJournal, Policy
from target.payments.client import PaymentsClient
from target.queue import ConflictSignal, WaitingRoom, entrance, policy_of, rules_of
from target.seats import Inventory, LuaSeats, SeatMap, SeatStore, WatchSeats, load
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from target.storage.shards import Shards

HOLD_BACKENDS: Final[Mapping[str, Callable[[RedisStore, Keys], SeatStore]]] = {"lua": LuaSeats, "watch": WatchSeats}
"""Where holds are kept, by the name that the setting `holds` gives it."""


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
    venue = load(settings.venue, settings.event, accessible_pairs=settings.accessible_pairs)
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
            redis, keys, venue, hold_ttl_s=settings.hold_ttl_s, store=HOLD_BACKENDS[settings.holds](redis, keys)
        ),
        seat_map=SeatMap(redis, keys, venue, orders, late_max_s=settings.map_late_max_s),
        orders=orders,
        parking=Parking(redis, keys, ParkingJournal(settings.parking_path, settings.event)),
    )
    catalogue.find(settings.bug).plant(context)
    return context


def compose_all(settings: Settings) -> tuple[Connections, list[Context]]:
    """The connections of a process and a context for each of its events. Raises `SettingsError`."""
    connections = connect(settings)
    return connections, [compose(one, connections) for one in settings.of_events()]


def checkouts_of(context: Context, *, policy: Policy | None = None) -> Checkouts:
    """The saga of the context's event. Call it after bugs are planted, because it is made of the context's parts."""
    policy = msgspec.structs.replace(policy or Policy(), flow=context.settings.payment_flow)
    policy = policy.waiting_for(context.settings.dependency_timeout_s)
    return Checkouts(
        event=context.settings.event,
        database=context.database,
        orders=context.orders,
        inventory=context.inventory,
        payments=context.payments,
        parking=context.parking,
        saga=context.saga(context.orders, context.payments, context.inventory, context.parking, policy),
    )
