"""The truth about orders, in Postgres: who owns which seat, what was charged, what is still to be done.

A live row (event, seat) is unique there: it decides ownership even when Redis has lost all data. Every change is one
statement (two for an order that Redis has not counted), so no lock outlives its round trip. Every change of state names
the state from which it starts, so two processes cannot finish one order differently. The two writes of every booking,
intent and confirmation, travel in groups when many come at once: see target/storage/grouped_writes.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import asyncpg
import msgspec

from target.orders import sql
from target.storage.database import Connection, Database
from target.storage.grouped_writes import GroupedWrite


class OrderState(StrEnum):
    """pending: the seats are claimed, the charge is open. expired: given up unpaid. refunded: paid too late."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    DECLINED = "declined"
    REFUNDED = "refunded"
    EXPIRED = "expired"


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What a fan asked to pay for. It holds all its data, so another process can carry it out later.

    `limit`: seats that the identity may own, 0 for no limit. `asked_at_s`: when, as unix s; 0.0 is unknown.
    """

    order_id: str
    event: str
    fan: str
    identity: str
    hold_id: str
    idempotency_key: str
    card: str
    seats: tuple[str, ...]
    prices_cents: tuple[int, ...]
    limit: int = 0
    asked_at_s: float = 0.0

    @property
    def amount_cents(self) -> int:
        """The sum of the seats."""
        return sum(self.prices_cents)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as Postgres has it. `age_s`: since it was made, by the database's clock.

    `refund_due`: its charge is to be refunded, and the refund is not confirmed yet.
    """

    order_id: str
    event: str
    fan: str
    identity: str
    hold_id: str
    idempotency_key: str
    card: str
    amount_cents: int
    state: OrderState
    charge_id: str | None
    seats: tuple[str, ...]
    age_s: float
    decline_code: str = ""
    refund_due: bool = False


class OrderRow(msgspec.Struct, frozen=True):
    """One seat of one order, for the operator's export. `amount_cents` is of this seat."""

    order_id: str
    fan: str
    seat: str
    state: str
    amount_cents: int
    idempotency_key: str


class SeatsOwnedError(Exception):
    """Another live order owns at least one of the seats: nothing was written."""


class OverLimitError(Exception):
    """The identity would own more seats than allowed: nothing was written."""


def order_id_for(event: str, fan: str, idempotency_key: str) -> str:
    """The id of an order: the same fan with the same key always gets the same order, in every process."""
    return "o" + hashlib.blake2b(f"{event}\0{fan}\0{idempotency_key}".encode(), digest_size=12).hexdigest()


class Orders:
    """One event's orders, on the primary; answers of the replica may be old."""

    def __init__(self, database: Database, event: str) -> None:
        self._event = event
        self._primary = database.primary
        self._replica = database.replica
        self._browse = database.browse
        self._creations = GroupedWrite(database.primary, sql.CREATE, order_by=9)  # by their seats
        self._confirmations = GroupedWrite(database.primary, sql.CONFIRM)

    async def create(self, checkout: Checkout, *, lease_s: float, counted: bool = True) -> bool:
        """Writes the durable intent: a pending order that claims its seats. False: this order exists already.

        Raises `SeatsOwnedError`, `OverLimitError`. Until the lease is over only the caller takes the next step.
        `counted`: the inventory has counted these seats within the identity's limit. Otherwise the identity's orders
        are made one by one.
        """
        try:
            create = self._creations.run if counted else self._create_alone
            made = await create(*_row(checkout, lease_s, limit=checkout.limit))
        except asyncpg.UniqueViolationError as error:
            raise SeatsOwnedError(checkout.order_id) from error
        if not made and checkout.limit and await self.find(checkout.order_id) is None:
            raise OverLimitError(checkout.order_id)
        return made

    async def create_expired(self, checkout: Checkout) -> bool:
        """Records a checkout whose seats another order claimed first. It was never charged."""
        return await self._insert(sql.CREATE_EXPIRED, checkout, 0.0)

    async def confirm(self, order_id: str, charge_id: str) -> bool:
        """pending → confirmed."""
        return await self._confirmations.run(order_id, charge_id)

    async def decline(self, order_id: str, charge_id: str, decline_code: str) -> bool:
        """pending → declined; its seats become free."""
        return await self._moved(sql.DECLINE, order_id, charge_id, decline_code)

    async def expire(self, order_id: str) -> bool:
        """pending → expired; its seats become free, but a charge under way may still be captured."""
        return await self._moved(sql.EXPIRE, order_id)

    async def reclaim(self, order_id: str, charge_id: str) -> bool:
        """expired → confirmed, after a late capture. Raises `SeatsOwnedError`: the capture must be refunded."""
        try:
            return await self._moved(sql.RECLAIM, order_id, charge_id)
        except asyncpg.UniqueViolationError as error:
            raise SeatsOwnedError(order_id) from error

    async def owe_refund(self, order_id: str, charge_id: str) -> bool:
        """Decides that an expired order stays expired, and that its capture is refunded."""
        return await self._moved(sql.OWE_REFUND, order_id, charge_id)

    async def refunded(self, order_id: str, charge_id: str) -> bool:
        """expired → refunded, after the provider gave the money back."""
        return await self._moved(sql.REFUNDED, order_id, charge_id)

    async def stop_watching(self, order_id: str) -> bool:
        """Stops watching an expired order whose charge can no longer be captured."""
        return await self._moved(sql.STOP_WATCHING, order_id)

    async def release_leases(self, order_ids: Iterable[str], *, after_s: float) -> None:
        """Lets any process take the next step of these orders after `after_s`."""
        ids = list(order_ids)
        await self._primary.write(lambda c: c.execute(sql.RELEASE_LEASES, ids, after_s))

    async def retry_later(self, order_ids: Iterable[str], *, first_s: float, max_s: float) -> None:
        """Lets any process take the next step of these orders after an eighth of their age, within these bounds."""
        ids = list(order_ids)
        await self._primary.write(lambda c: c.execute(sql.RETRY_LATER, ids, first_s, max_s))

    async def hint(self, event_id: str, kind: str, order_id: str, *, after_s: float) -> bool:
        """Notes a webhook and lets recovery look at its order after `after_s`. False: it was noted before.

        An expired order that is no longer watched is watched again, because its charge may have been captured after
        all.
        """
        return bool(await self._primary.write(lambda c: c.fetchval(sql.HINT, event_id, order_id, kind, after_s)))

    async def forget_hints(self, *, older_than_s: float) -> None:
        """Deletes old webhooks; the provider repeats them for a day at most."""
        await self._primary.write(lambda c: c.execute(sql.FORGET_HINTS, older_than_s))

    async def lease_unfinished(self, *, lease_s: float, limit: int, min_age_s: float = 0.0) -> list[Order]:
        """Leases unfinished orders whose lease is over; no other process gets them for `lease_s`."""
        rows = await self._primary.write(
            lambda c: c.fetch(sql.LEASE_UNFINISHED, lease_s, limit, min_age_s, self._event)
        )
        return [_order(row) for row in rows]

    async def not_in_inventory(self, *, limit: int) -> list[Order]:
        """Confirmed orders whose seats Redis may not yet know to be sold."""
        return [
            _order(row) for row in await self._primary.read(lambda c: c.fetch(sql.NOT_IN_INVENTORY, limit, self._event))
        ]

    async def mark_in_inventory(self, order_ids: Iterable[str]) -> None:
        """Notes that Redis knows of these sales."""
        ids = list(order_ids)
        await self._primary.write(lambda c: c.execute(sql.MARK_IN_INVENTORY, ids))

    async def live(self) -> list[Order]:
        """Every pending or confirmed order: all orders that own a seat."""
        return [_order(row) for row in await self._primary.read(lambda c: c.fetch(sql.LIVE, self._event))]

    async def pending(self) -> list[Order]:
        """Every pending order."""
        return [_order(row) for row in await self._primary.read(lambda c: c.fetch(sql.PENDING, self._event))]

    async def unfinished_count(self) -> int:
        """The number of orders that are not at rest: pending, or waiting for a refund or a late charge."""
        return int(await self._primary.read(lambda c: c.fetchval(sql.UNFINISHED_COUNT, self._event)))

    async def owned(self, seats: Iterable[str]) -> bool:
        """Whether a pending or confirmed order has any of the seats."""
        asked = list(seats)
        return bool(await self._primary.read(lambda c: c.fetchval(sql.OWNED, self._event, asked)))

    async def find(self, order_id: str) -> Order | None:
        """The order on the primary."""
        row = await self._primary.read(lambda c: c.fetchrow(sql.FIND, order_id))
        return None if row is None else _order(row)

    async def find_on_replica(self, order_id: str) -> Order | None:
        """The order on the replica: it may be some seconds old, or not there yet."""
        row = await self._replica.read(lambda c: c.fetchrow(sql.FIND, order_id))
        return None if row is None else _order(row)

    async def seat_states(self) -> dict[str, OrderState]:
        """Seat → pending | confirmed, for every seat that a live order owns; from the replica, so it may be old."""
        rows = await self._browse(lambda c: c.fetch(sql.SEAT_STATES, self._event))
        return {row["seat"]: OrderState(row["state"]) for row in rows}

    async def export(self) -> list[OrderRow]:
        """Every seat of every order."""
        rows = await self._primary.read(lambda c: c.fetch(sql.EXPORT, self._event))
        return [OrderRow(*row) for row in rows]

    async def _create_alone(self, order_id: str, event: str, fan: str, identity: str, *rest: object) -> bool:
        async def create(connection: Connection) -> object:
            async with connection.transaction():
                await connection.execute(sql.LOCK_IDENTITY, event, identity)
                # a statement of its own, so that it sees what the others wrote before they released the lock
                return await connection.fetchval(sql.CREATE, order_id, event, fan, identity, *rest)

        return await self._primary.write(create) is not None

    async def _insert(self, statement: str, checkout: Checkout, lease_s: float) -> bool:
        return await self._moved(statement, *_row(checkout, lease_s))

    async def _moved(self, statement: str, *arguments: object) -> bool:
        """Runs a change of state that returns a row when it happened."""
        return await self._primary.write(lambda c: c.fetchval(statement, *arguments)) is not None


def _row(checkout: Checkout, lease_s: float, *, limit: int = 0) -> tuple[Any, ...]:
    """The arguments of `CREATE` and `CREATE_EXPIRED`."""
    return (
        checkout.order_id,
        checkout.event,
        checkout.fan,
        checkout.identity,
        checkout.hold_id,
        checkout.idempotency_key,
        checkout.card,
        checkout.amount_cents,
        lease_s,
        *_seats(checkout),
        limit,
    )


def _seats(checkout: Checkout) -> tuple[list[str], list[int]]:
    """The seats, sorted, so that two orders lock shared seats in the same order and cannot deadlock."""
    pairs = sorted(zip(checkout.seats, checkout.prices_cents, strict=True))
    return [seat for seat, _ in pairs], [price for _, price in pairs]


def _order(row: Mapping[str, Any]) -> Order:
    return Order(
        order_id=row["order_id"],
        event=row["event"],
        fan=row["fan"],
        identity=row["identity"],
        hold_id=row["hold_id"],
        idempotency_key=row["idempotency_key"],
        card=row["card"],
        amount_cents=row["amount_cents"],
        state=OrderState(row["state"]),
        charge_id=row["charge_id"],
        seats=tuple(row["seats"]),
        age_s=row["age_s"],
        decline_code=row["decline_code"],
        refund_due=row["refund_due"],
    )
