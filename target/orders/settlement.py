"""Settlement: from the provider's state of a charge follow the next states of the order, the money and the seats.

    declined                    order declined; the hold goes back to its fan
    authorised, order pending   captured, then as below
    authorised, order expired   voided: it came too late, and nothing was taken
    captured, order pending     confirmed
    captured, order expired     confirmed if its seats are still free; else the refund is decided durably, then made
    voided                      order expired

Every step may be repeated: after a crash the provider is asked again, and its answer leads here again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from target.orders.orders import Checkout, Order, Orders, OrderState, SeatsOwnedError
from target.payments.client import ChargeAnswer, PaymentsClient
from target.payments.records import ChargeStatus
from target.runtime.breakers import UnavailableError
from target.seats import Inventory
from target.telemetry.metrics import ORDERS
from target.telemetry.tracing import step

AGAIN_S: Final = 0.5
GIVEN_UP_S: Final = 60.0  # by then the time that a payment added to a hold is over

Call = Callable[[], Awaitable[object]]


class RetryQueue:
    """Retries calls to Redis for one process. The retries end with the process; locks left in Redis expire."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, call: Call) -> None:
        """Makes the call now. While Redis is away, retries for up to `GIVEN_UP_S` and lets the caller go on."""
        try:
            await call()
        except UnavailableError:
            task = asyncio.create_task(self._again(call))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _again(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GIVEN_UP_S
        while loop.time() < until_s:
            await asyncio.sleep(AGAIN_S)
            try:
                await call()
            except UnavailableError:
                continue
            return


class Settlement:
    """Brings orders to their ends. Raises `UnavailableError`: recovery then takes the next step."""

    def __init__(self, orders: Orders, payments: PaymentsClient, inventory: Inventory) -> None:
        self._orders = orders
        self._payments = payments
        self._inventory = inventory
        self._retries = RetryQueue()

    async def unlock(self, claim: Checkout | Order) -> None:
        """Unlocks the hold of a failed payment, unless another payment for the same hold is under way."""
        await self._retries.run(lambda: self._unlock(claim))

    async def let_go(self, claim: Checkout | Order) -> None:
        """Frees the seats of a claim that is over."""
        await self._retries.run(lambda: self._inventory.let_go(claim))

    async def give_back(self, claim: Checkout | Order) -> None:
        """Unlocks or frees a hold that was locked again after its order had ended, as that end did."""
        match await self._state(claim):
            case OrderState.DECLINED:
                await self.unlock(claim)
            case OrderState.EXPIRED | OrderState.REFUNDED:
                if not await self._orders.owned(claim.seats):
                    await self.let_go(claim)
            case OrderState.PENDING | OrderState.CONFIRMED:
                pass

    @step("saga.settle")
    async def settle(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        """Applies the provider's answer, and returns the new state of the order."""
        match charge.status:
            case ChargeStatus.CAPTURED:
                return await self._captured(claim, charge)
            case ChargeStatus.AUTHORISED:
                return await self._authorised(claim, charge)
            case ChargeStatus.DECLINED:
                return await self._declined(claim, charge)
            case ChargeStatus.VOIDED:
                return await self._voided(claim)

    @step("saga.give_up")
    async def give_up(self, claim: Checkout | Order) -> None:
        """Expires an order that took too long, and frees its seats. A charge under way is settled when it is found."""
        if await self._orders.expire(claim.order_id):
            ORDERS.labels(OrderState.EXPIRED).inc()
            await self.let_go(claim)

    @step("saga.refund")
    async def refund(self, claim: Checkout | Order, charge_id: str) -> None:
        """Refunds the capture of an order whose refund is decided."""
        await self._payments.refund(charge_id)
        if await self._orders.refunded(claim.order_id, charge_id):
            ORDERS.labels(OrderState.REFUNDED).inc()

    async def _unlock(self, claim: Checkout | Order) -> None:
        if not await self._orders.owned(claim.seats):
            await self._inventory.unlock(claim)

    async def _captured(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        if await self._orders.confirm(claim.order_id, charge.charge_id):
            await self._confirmed(claim)
            return OrderState.CONFIRMED
        state = await self._state(claim)
        return await self._captured_late(claim, charge) if state is OrderState.EXPIRED else state

    async def _captured_late(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        try:
            if await self._orders.reclaim(claim.order_id, charge.charge_id):
                await self._confirmed(claim)
        except SeatsOwnedError:
            if await self._orders.owe_refund(claim.order_id, charge.charge_id):
                await self.refund(claim, charge.charge_id)
        return await self._state(claim)

    async def _authorised(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        given_up = isinstance(claim, Order) and claim.state is OrderState.EXPIRED
        finish = self._payments.void if given_up else self._payments.capture
        finished = await finish(charge.charge_id)  # captured or voided: perhaps not as asked, but final
        return await self.settle(claim, finished)

    async def _voided(self, claim: Checkout | Order) -> OrderState:
        await self.give_up(claim)
        await self._orders.stop_watching(claim.order_id)
        return await self._state(claim)

    async def _declined(self, claim: Checkout | Order, charge: ChargeAnswer) -> OrderState:
        if await self._orders.decline(claim.order_id, charge.charge_id, charge.decline_code):
            ORDERS.labels(OrderState.DECLINED).inc()
            await self.unlock(claim)
            return OrderState.DECLINED
        await self._orders.stop_watching(claim.order_id)
        return await self._state(claim)

    async def _confirmed(self, claim: Checkout | Order) -> None:
        ORDERS.labels(OrderState.CONFIRMED).inc()
        with contextlib.suppress(UnavailableError):  # the worker tells Redis after the outage
            await self._inventory.mark_sold(claim)

    async def _state(self, claim: Checkout | Order) -> OrderState:
        order = await self._orders.find(claim.order_id)
        return OrderState.PENDING if order is None else order.state
