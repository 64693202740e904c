"""A checkout, step by step: lock the hold → durable intent → charge → confirm → tell the inventory.

No database transaction or lock is held across the charge; every step is idempotent and may be repeated by another
process. What goes wrong, and what follows:

    Redis away              the signed hold is trusted until it expires; the unique (event, seat) decides
    primary away            the checkout is parked in Redis, its hold kept; it is charged after its intent is durable
    both away               `UnavailableError`: the fan tries again
    seats lost to another   `HoldGoneError`, nothing was charged
    card declined           order declined; the hold stays with the fan until it expires, for another card
    provider slow or away   order pending; recovery asks the provider by key, then charges under the same key
    too slow                order expired and its seats given back; a charge that lands later confirms the order if the
                            seats are still free and is refunded otherwise
"""

from __future__ import annotations

import contextlib
import time
from typing import Final

import msgspec

from target.breakers import UnavailableError
from target.inventory import HoldGoneError, Inventory
from target.observability import FALLBACKS, ORDERS
from target.orders import Checkout, Order, Orders, OrderState, SeatsOwnedError
from target.parking import Parking
from target.payments.client import ChargeAnswer, PaymentsClient

LOCK_S: Final = 15.0  # how long a hold is kept for a checkout under way; the worker renews it
BOOKING_LEASE_S: Final = 6.0  # more than all time-outs of one checkout together
SETTLED_STATES: Final = (OrderState.CONFIRMED, OrderState.DECLINED, OrderState.REFUNDED)


class KeyReusedError(Exception):
    """This fan used the idempotency key before, for another checkout."""


class Policy(msgspec.Struct, frozen=True):
    """How long the saga is patient, in seconds since the order was made."""

    payment_patience_s: float = 120.0  # then the seats go back
    late_charge_watch_s: float = 900.0  # how long a charge may still land after it was sent


class Receipt(msgspec.Struct, frozen=True):
    """The answer to a checkout."""

    order_id: str
    state: OrderState
    seats: tuple[str, ...]
    amount_cents: int


class Saga:
    """Carries checkouts out. Holds no state of its own: any process may continue what another began."""

    def __init__(
        self,
        orders: Orders,
        payments: PaymentsClient,
        inventory: Inventory,
        parking: Parking,
        policy: Policy | None = None,
    ) -> None:
        self._orders = orders
        self._payments = payments
        self._inventory = inventory
        self._parking = parking
        self.policy = policy or Policy()

    async def checkout(self, checkout: Checkout, *, hold_expires_at_s: float) -> Receipt:
        """Runs a checkout as far as it can be run now; a repeat answers the present state of its order.

        `hold_expires_at_s`: unix time as signed into the hold; it counts only while Redis cannot be asked.
        Raises `HoldGoneError`, `KeyReusedError` or `UnavailableError` (then the fan may repeat it with the same key).
        """
        locked = await self._lock(checkout)
        if locked is False or (locked is None and hold_expires_at_s <= time.time()):
            return await self._earlier(checkout)
        try:
            made = await self._orders.create(checkout, lease_s=BOOKING_LEASE_S)
        except SeatsOwnedError as error:
            raise HoldGoneError(None) from error
        except UnavailableError:
            if locked is None:
                raise
            return await self._park(checkout)
        if not made:
            return await self._earlier(checkout)
        ORDERS.labels(OrderState.PENDING).inc()
        return await self._pay(checkout)

    async def find(self, order_id: str) -> tuple[Order | Checkout | None, bool]:
        """The order (a `Checkout`: it is parked), and whether it may be stale. None: there is no such order.

        Raises `UnavailableError` when the primary is away and nobody else knows the order: it may exist.
        """
        try:
            return await self._orders.find(order_id) or await self._parked(order_id), False
        except UnavailableError as primary_away:
            known = await self._parked(order_id)
            if known is not None:
                return known, False
            old = await self._orders.find_on_replica(order_id)
            if old is None:
                raise primary_away from None
            return old, old.state not in SETTLED_STATES

    async def recover(self, order: Order) -> None:
        """The next step of an unfinished order that this process has leased."""
        try:
            charge = await self._payments.find_charge(order.order_id)
            if charge is None:
                charge = await self._charge_again(order)
        except UnavailableError:
            if order.state is OrderState.PENDING and order.age_s > self.policy.payment_patience_s:
                await self._give_up(order)
            raise
        if charge is not None:
            await self._settle(order, charge)

    async def unpark(self, checkout: Checkout) -> None:
        """Makes a parked checkout a durable order, to be recovered like any other, and forgets the parked one."""
        try:
            if await self._orders.create(checkout, lease_s=0.0):
                ORDERS.labels(OrderState.PENDING).inc()
            else:  # the intent had been written after all, though nobody was told
                await self._orders.release_leases([checkout.order_id], after_s=0.0)
        except SeatsOwnedError:
            if await self._orders.create_expired(checkout):
                ORDERS.labels(OrderState.EXPIRED).inc()
        await self._parking.remove(checkout.order_id)

    async def _lock(self, checkout: Checkout) -> bool | None:
        """Whether the hold is still the fan's; None: Redis cannot say."""
        try:
            return await self._inventory.lock(checkout, until_s=time.time() + LOCK_S)
        except UnavailableError:
            return None

    async def _earlier(self, checkout: Checkout) -> Receipt:
        """What became of this checkout when it was first asked for."""
        known, _ = await self.find(checkout.order_id)
        if known is None:
            raise HoldGoneError(None)
        return _receipt(known, checkout)

    async def _park(self, checkout: Checkout) -> Receipt:
        receipt = _receipt(await self._parking.park(checkout), checkout)
        FALLBACKS.labels("parked_checkout").inc()
        return receipt

    async def _parked(self, order_id: str) -> Checkout | None:
        try:
            return await self._parking.find(order_id)
        except UnavailableError:
            return None

    async def _pay(self, checkout: Checkout) -> Receipt:
        state = OrderState.PENDING
        try:
            charge = await self._payments.charge(
                checkout.order_id, checkout.order_id, checkout.amount_cents, checkout.card
            )
            state = await self._settle(checkout, charge)
        except UnavailableError:  # the intent is durable: recovery takes the next step
            FALLBACKS.labels("pending_payment").inc()
            await self._hand_over(checkout)
        return Receipt(checkout.order_id, state, checkout.seats, checkout.amount_cents)

    async def _hand_over(self, checkout: Checkout) -> None:
        """Lets recovery go on at once; should that be impossible too, it goes on when the lease is over."""
        with contextlib.suppress(UnavailableError):
            await self._orders.release_leases([checkout.order_id], after_s=0.0)

    async def _settle(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        """The provider has spoken: writes it down and returns the state that the order came to."""
        if not charge.captured:
            return await self._settle_decline(claim, charge)
        if await self._orders.confirm(claim.order_id, charge.charge_id):
            ORDERS.labels(OrderState.CONFIRMED).inc()
            await self._tell_sold(claim)
            return OrderState.CONFIRMED
        state = await self._state(claim)
        return await self._settle_late(claim, charge) if state is OrderState.EXPIRED else state

    async def _settle_decline(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        if await self._orders.decline(claim.order_id, charge.charge_id):
            ORDERS.labels(OrderState.DECLINED).inc()
            with contextlib.suppress(UnavailableError):  # its lock then runs out by itself
                await self._inventory.unlock(claim)
            return OrderState.DECLINED
        await self._orders.stop_watching(claim.order_id)
        return await self._state(claim)

    async def _settle_late(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        """Captured after the order had been given up: its seats if they are still free, else the money back."""
        try:
            if await self._orders.reclaim(claim.order_id, charge.charge_id):
                ORDERS.labels(OrderState.CONFIRMED).inc()
                await self._tell_sold(claim)
        except SeatsOwnedError:
            await self._payments.refund(charge.charge_id)
            if await self._orders.refunded(claim.order_id, charge.charge_id):
                ORDERS.labels(OrderState.REFUNDED).inc()
        return await self._state(claim)

    async def _state(self, claim: Checkout | Order) -> OrderState:
        order = await self._orders.find(claim.order_id)
        return OrderState.PENDING if order is None else order.state

    async def _charge_again(self, order: Order) -> ChargeAnswer | None:
        """The provider knows no charge under this key: charges it, or gives the order up. None: nothing to settle."""
        if order.state is OrderState.EXPIRED:
            if order.age_s > self.policy.late_charge_watch_s:
                await self._orders.stop_watching(order.order_id)
            return None
        if order.age_s > self.policy.payment_patience_s:
            await self._give_up(order)
            return None
        return await self._payments.charge(order.order_id, order.order_id, order.amount_cents, order.card)

    async def _give_up(self, order: Order) -> None:
        if await self._orders.expire(order.order_id):
            ORDERS.labels(OrderState.EXPIRED).inc()
            with contextlib.suppress(UnavailableError):  # the lock runs out by itself
                await self._inventory.let_go(order)

    async def _tell_sold(self, claim: Checkout | Order) -> None:
        with contextlib.suppress(UnavailableError):  # the worker tells Redis when it is back
            await self._inventory.mark_sold(claim)


def _receipt(known: Order | Checkout, asked: Checkout) -> Receipt:
    if (known.hold_id, known.card) != (asked.hold_id, asked.card):
        raise KeyReusedError(asked.idempotency_key)
    state = known.state if isinstance(known, Order) else OrderState.PENDING
    return Receipt(known.order_id, state, known.seats, known.amount_cents)
