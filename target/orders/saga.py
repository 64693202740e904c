"""A checkout, step by step: lock the hold → durable intent → charge → confirm → tell the inventory.

No database transaction or lock is held across the charge; every step is idempotent and may be repeated by another
process. What goes wrong, and what follows (what the provider's answers lead to is in target/orders/settlement.py):

    Redis away              the signed hold is trusted until it expires; the unique (event, seat) decides
    primary away            the checkout is parked in Redis and on disk, its hold kept; it is charged after its intent
                            is durable, or expires uncharged when that takes too long
    both away               `UnavailableError`: the fan tries again
    seats lost to another   `HoldGoneError`, nothing was charged
    too many seats          `OverLimitError`, nothing was charged: holds of before an outage may add up to more
    key used before         the order as it stands; `KeyReusedError` when it was another checkout, whose hold is let be
    provider slow or away   order pending; recovery asks the provider by key, then charges under the same key
    too slow                order expired and its seats given back; a charge that lands later is settled then
    process dies            its lease on the order runs out, and recovery takes the next step
"""

from __future__ import annotations

import contextlib
import time
from typing import ClassVar, Final, Literal

import msgspec

from target.orders.orders import Checkout, Order, Orders, OrderState, OverLimitError, SeatsOwnedError
from target.orders.parking import Parking
from target.orders.settlement import Settlement
from target.payments.client import ChargeAnswer, PaymentsClient
from target.runtime.breakers import UnavailableError
from target.seats import HoldGoneError, Inventory
from target.telemetry.metrics import FALLBACKS, ORDERS
from target.telemetry.tracing import step

LOCK_S: Final = 15.0
BOOKING_LEASE_S: Final = 6.0
SETTLED_STATES: Final = (OrderState.CONFIRMED, OrderState.DECLINED, OrderState.REFUNDED)


class KeyReusedError(Exception):
    """This fan used the idempotency key before, for another checkout."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How the saga charges, and how long it waits.

    sale: one call charges. authorise: a first call reserves the money and a second one captures it, so a late
    authorisation is voided and no money has moved.
    """

    flow: Literal["sale", "authorise"] = "sale"
    payment_patience_s: float = 120.0  # since the order was made; then its seats become free
    late_charge_watch_s: float = 900.0  # since the order was made: how long recovery looks for a charge that lands late
    parked_patience_s: float = 600.0  # since the fan paid; an intent that is not durable then is refused
    lock_s: float = LOCK_S  # for how long a hold is kept for a checkout under way; the worker renews it
    lease_s: float = BOOKING_LEASE_S  # longer than all time-outs of one checkout together

    def waiting_for(self, timeout_s: float) -> Policy:
        """The policy where a call may take so long: what must outlast several calls grows with it."""
        times = max(1.0, timeout_s)
        return msgspec.structs.replace(self, lock_s=times * LOCK_S, lease_s=times * BOOKING_LEASE_S)


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a checkout. `decline_code`: the provider's word for why it declined."""

    order_id: str
    state: OrderState
    seats: tuple[str, ...]
    amount_cents: int
    decline_code: str = ""


class Saga:
    """Carries checkouts out. It has no state of its own: any process may continue what another began."""

    settlement: ClassVar[type[Settlement]] = Settlement

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
        self._settlement = self.settlement(orders, payments, inventory)

    async def checkout(self, checkout: Checkout, *, hold_expires_at_s: float) -> Receipt:
        """Runs a checkout as far as possible now; a repeat gets the present state of its order.

        `hold_expires_at_s`: unix time as signed into the hold; it counts while Redis cannot be asked, and for a hold
        that Redis has lost.
        Raises `HoldGoneError`, `KeyReusedError`, `OverLimitError` or `UnavailableError`: then the fan may repeat it
        with the same key.
        """
        locked = await self._lock(checkout, promised_s=hold_expires_at_s)
        if locked is False or (locked is None and hold_expires_at_s <= time.time()):
            return await self._earlier(checkout)
        try:
            made = await self._intend(checkout, counted=locked is not None)
        except SeatsOwnedError as error:
            raise HoldGoneError(None) from error
        except OverLimitError:
            await self._settlement.unlock(checkout)
            raise
        except UnavailableError:
            if locked is None:
                raise
            return await self._park(checkout)
        if not made:
            return await self._earlier(checkout)
        if locked is None:
            FALLBACKS.labels("checkout_without_redis").inc()
        ORDERS.labels(OrderState.PENDING).inc()
        return await self._pay(checkout)

    async def find(self, order_id: str) -> tuple[Order | Checkout | None, bool]:
        """The order (a `Checkout` when it is parked), and whether it may be stale. None: there is no such order. Raises
        `UnavailableError` when the primary is away and no other store knows the order: it may exist.
        """
        try:
            return await self._orders.find(order_id) or await self._parked(order_id), False
        except UnavailableError as primary_away:
            return await self._find_elsewhere(order_id, primary_away)

    async def _find_elsewhere(self, order_id: str, primary_away: UnavailableError) -> tuple[Order | Checkout, bool]:
        """As `find`, without the primary. What is parked may have come home since: another process may have carried
        the checkout out, and the primary may be away for this process only.
        """
        known = await self._parked(order_id)
        try:
            old = await self._orders.find_on_replica(order_id)
        except UnavailableError:
            old = None
            if known is None:
                raise
        if old is not None and old.state in SETTLED_STATES:
            return old, False
        found = known or old
        if found is None:
            raise primary_away
        return found, True

    async def recover(self, order: Order) -> None:
        """The next step of an unfinished order that this process has leased."""
        if order.refund_due and order.charge_id is not None:
            await self._settlement.refund(order, order.charge_id)
            return
        try:
            charge = await self._payments.find_charge(order.order_id)
            if charge is None:
                charge = await self._charge_again(order)
            if charge is not None:
                await self._settlement.settle(order, charge)
        except UnavailableError as error:
            if error.dependency == "payments" and self._too_slow(order):
                await self._settlement.give_up(order)
            raise

    async def give_back(self, claim: Checkout | Order) -> None:
        """Gives a hold back that was kept after the end of its payment. Raises `UnavailableError`."""
        await self._settlement.give_back(claim)

    async def unpark(self, checkout: Checkout) -> None:
        """Makes a parked checkout a durable order, to be recovered like any other, and forgets the parked one."""
        try:
            if self._waited_too_long(checkout):
                await self._refuse(checkout)
            elif await self._orders.create(checkout, lease_s=0.0):
                ORDERS.labels(OrderState.PENDING).inc()
            else:  # the intent was written after all, although its writer got no answer
                await self._orders.release_leases([checkout.order_id], after_s=0.0)
        except (SeatsOwnedError, OverLimitError):
            await self._refuse(checkout)
        await self._parking.remove(checkout.order_id)

    @step("saga.lock")
    async def _lock(self, checkout: Checkout, *, promised_s: float) -> bool | None:
        """Whether the hold is still the fan's; None when Redis does not answer."""
        try:
            until_s = time.time() + self.policy.lock_s
            return await self._inventory.lock(checkout, until_s=until_s, promised_s=promised_s, limit=checkout.limit)
        except UnavailableError:
            return None

    @step("saga.intend")
    async def _intend(self, checkout: Checkout, *, counted: bool) -> bool:
        return await self._orders.create(checkout, lease_s=self.policy.lease_s, counted=counted)

    async def _earlier(self, checkout: Checkout) -> Receipt:
        """The receipt of this checkout from an earlier request."""
        known, _ = await self.find(checkout.order_id)
        if known is None:
            raise HoldGoneError(None)
        is_over = isinstance(known, Order) and known.state is not OrderState.PENDING
        if is_over or known.hold_id != checkout.hold_id:  # no payment for this hold is under way
            await self._settlement.unlock(checkout)
        return _receipt(known, checkout)

    @step("saga.park")
    async def _park(self, checkout: Checkout) -> Receipt:
        receipt = _receipt(await self._parking.park(checkout), checkout)
        FALLBACKS.labels("parked_checkout").inc()
        return receipt

    async def _parked(self, order_id: str) -> Checkout | None:
        try:
            return await self._parking.find(order_id)
        except UnavailableError:
            return None

    async def _refuse(self, checkout: Checkout) -> None:
        """Ends a parked checkout that can no longer be carried out: its order is expired and was never charged."""
        if await self._orders.create_expired(checkout):
            ORDERS.labels(OrderState.EXPIRED).inc()
            await self._settlement.let_go(checkout)

    async def _pay(self, checkout: Checkout) -> Receipt:
        state, decline_code = OrderState.PENDING, ""
        try:
            charge = await self._charge(checkout)
            state, decline_code = await self._settlement.settle(checkout, charge), charge.decline_code
        except UnavailableError:  # the intent is durable: recovery takes the next step
            FALLBACKS.labels("pending_payment").inc()
            await self._hand_over(checkout)
        return Receipt(checkout.order_id, state, checkout.seats, checkout.amount_cents, decline_code)

    @step("saga.charge")
    async def _charge(self, claim: Checkout | Order) -> ChargeAnswer:
        return await self._payments.charge(claim.order_id, claim, capture=self.policy.flow == "sale")

    async def _hand_over(self, checkout: Checkout) -> None:
        """Lets recovery go on at once; when that fails too, recovery goes on when the lease is over."""
        with contextlib.suppress(UnavailableError):
            await self._orders.release_leases([checkout.order_id], after_s=0.0)

    async def _charge_again(self, order: Order) -> ChargeAnswer | None:
        """Charges an order whose key the provider does not know, or gives the order up. None: nothing to settle."""
        if order.state is OrderState.EXPIRED:
            if order.age_s > self.policy.late_charge_watch_s:
                await self._orders.stop_watching(order.order_id)
            return None
        if self._too_slow(order):
            await self._settlement.give_up(order)
            return None
        return await self._charge(order)

    def _too_slow(self, order: Order) -> bool:
        return order.state is OrderState.PENDING and order.age_s > self.policy.payment_patience_s

    def _waited_too_long(self, checkout: Checkout) -> bool:
        return 0.0 < checkout.asked_at_s < time.time() - self.policy.parked_patience_s


def _receipt(known: Order | Checkout, asked: Checkout) -> Receipt:
    if (known.hold_id, known.card) != (asked.hold_id, asked.card):
        raise KeyReusedError(asked.idempotency_key)
    if isinstance(known, Checkout):
        return Receipt(known.order_id, OrderState.PENDING, known.seats, known.amount_cents)
    return Receipt(known.order_id, known.state, known.seats, known.amount_cents, known.decline_code)
