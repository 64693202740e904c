"""A booking system without HTTP: context and checkouts on real servers, for tests of the saga and its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import msgspec

from target.context import Context
from target.orders import Checkouts, Order, OrderJobs, Policy
from target.orders.orders import Checkout, order_id_for
from target.orders.saga import Receipt
from target.roles.composition import checkouts_of, compose_all
from target.settings import Settings
from target.storage.keys import states_on
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider

EVENT = "e1"


@dataclass(frozen=True)
class Claimed:
    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]


class Booth:
    """One process's parts, and the few moves of a fan."""

    def __init__(self, context: Context, checkouts: Checkouts) -> None:
        self.context = context
        self.checkouts = checkouts
        self.orders = checkouts.orders
        self.saga = checkouts.saga
        self.jobs = OrderJobs(checkouts)
        self._run = secrets.token_hex(4)  # the provider outlives a test, and remembers keys

    async def hold(self, fan: str, *seats: str) -> Claimed:
        hold_id = self.context.signer.hold_id(fan, fan, seats, time.time() + 60)
        claim = Claimed(hold_id, fan, fan, seats)
        await self.context.inventory.hold(claim, limit=0)
        return claim

    def checkout(self, claim: Claimed, *, key: str = "k", card: str = "ok", limit: int = 0) -> Checkout:
        key = f"{self._run}-{key}"
        return Checkout(
            order_id=order_id_for(self.context.settings.event, claim.fan, key),
            event=self.context.settings.event,
            fan=claim.fan,
            identity=claim.identity,
            hold_id=claim.hold_id,
            idempotency_key=key,
            card=card,
            seats=claim.seats,
            prices_cents=tuple(self.context.venue.price_cents(seat) for seat in claim.seats),
            limit=limit,
        )

    async def pay(
        self, claim: Claimed, *, key: str = "k", card: str = "ok", expires_in_s: float = 60.0, limit: int = 0
    ) -> Receipt:
        checkout = self.checkout(claim, key=key, card=card, limit=limit)
        return await self.saga.checkout(checkout, hold_expires_at_s=time.time() + expires_in_s)

    async def order(self, receipt: Receipt) -> Order:
        order = await self.orders.find(receipt.order_id)
        assert order is not None
        return order

    async def seat(self, seat: str) -> str:
        """0 free, 1 held, 2 sold, as Redis has it."""
        states = await self.context.redis.command("GET", self.context.keys.map)
        index = self.context.venue.index(seat)
        assert index is not None
        return chr(states_on(states)[index])

    async def take_over(self) -> None:
        """Ends every lease: what recovery would see after the process that held it died."""
        unfinished = [order.order_id for order in await self.orders.pending()]
        await self.orders.release_leases(unfinished, after_s=-1.0)


def settings_for(valkey: Valkey, truth: Truth, provider: Provider, **changes: object) -> Settings:
    base = Settings(
        redis_url=valkey.url,
        primary_dsn=truth.primary_dsn,
        replica_dsn=truth.replica_dsn,
        payments_url=provider.url,
        event=EVENT,
        hold_ttl_s=60.0,
        dependency_timeout_s=15.0,
    )
    return msgspec.structs.replace(base, **changes)


@contextlib.asynccontextmanager
async def booth_on(settings: Settings, *, policy: Policy | None = None, load: bool = True) -> AsyncIterator[Booth]:
    connections, [context] = compose_all(settings)
    checkouts = checkouts_of(context, policy=policy)
    await connections.open()
    if load:
        await context.inventory.load()
    try:
        yield Booth(context, checkouts)
    finally:
        await connections.close()


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 30.0, what: str = "it") -> None:
    """Waits for an awaited condition with a deadline."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        await asyncio.sleep(0.01)
