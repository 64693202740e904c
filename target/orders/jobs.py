"""The worker's endless jobs around orders: recovery, unparking, keeping holds and telling Redis.

Each round is complete in itself and every step in it is idempotent, so a round that an outage cut short is simply
followed by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from target.orders.checkouts import Checkouts
from target.orders.orders import Checkout, Order
from target.orders.saga import LOCK_S
from target.runtime.breakers import BreakerState, UnavailableError
from target.runtime.jobs import every

RECOVERY_PERIOD_S: Final = 0.5
RECOVERY_BATCH: Final = 32  # half of the provider's bulkhead
RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 15.0
KEEP_PERIOD_S: Final = LOCK_S / 5
TELL_PERIOD_S: Final = 0.5
TELL_BATCH: Final = 500
FORGET_PERIOD_S: Final = 3600.0
HINTS_KEPT_S: Final = 172_800.0  # twice the time for which the provider repeats a webhook

_log = logging.getLogger(__name__)


class OrderJobs:
    """The jobs of one worker process. Two workers may run side by side, because each order is leased to one of them."""

    def __init__(self, checkouts: Checkouts) -> None:
        self._checkouts = checkouts
        self._orders = checkouts.orders
        self._open: list[Order] = []  # pending orders as last seen: their holds are kept while the primary is away
        self._kept: dict[str, Order | Checkout] = {}  # whose holds were renewed since it was last seen how they stand

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """Every job as an endless coroutine."""
        return [
            every(RECOVERY_PERIOD_S, self.recover),
            every(RECOVERY_PERIOD_S, self.unpark),
            every(KEEP_PERIOD_S, self.keep_holds),
            every(TELL_PERIOD_S, self.tell_inventory),
            every(FORGET_PERIOD_S, self.forget_hints),
        ]

    async def recover(self) -> None:
        """Takes the next step of every unfinished order whose lease is over."""
        saga = self._checkouts.saga
        while True:
            provider_away = self._checkouts.payments.guard.state is BreakerState.OPEN
            min_age_s = saga.policy.payment_patience_s if provider_away else 0.0
            orders = await self._orders.lease_unfinished(
                lease_s=saga.policy.lease_s, limit=RECOVERY_BATCH, min_age_s=min_age_s
            )
            await asyncio.gather(*(self._recover_one(order) for order in orders))
            if orders:
                asked = (order.order_id for order in orders)
                await self._orders.retry_later(asked, first_s=RETRY_FIRST_S, max_s=RETRY_MAX_S)
            if len(orders) < RECOVERY_BATCH:
                return

    async def _recover_one(self, order: Order) -> None:
        try:
            await self._checkouts.saga.recover(order)
        except UnavailableError as error:
            _log.info("order %s waits: %s", order.order_id, error)

    async def unpark(self) -> None:
        """Makes parked checkouts durable orders, once the primary is back."""
        parked = await self._checkouts.parking.all()
        for checkout in parked:
            await self._checkouts.saga.unpark(checkout)

    async def keep_holds(self) -> None:
        """Renews the holds of all checkouts under way, also while the primary does not answer."""
        parked = await self._checkouts.parking.all()
        try:
            self._open = await self._orders.pending()
        except UnavailableError:
            _log.info("keeping the holds of %d orders from memory", len(self._open))
        claims: list[Order | Checkout] = [*self._open, *parked]
        self._kept.update((claim.order_id, claim) for claim in claims)
        for claim in claims:
            await self._checkouts.inventory.restore(claim, until_s=time.time() + self._checkouts.saga.policy.lock_s)
        with contextlib.suppress(UnavailableError):  # a later round looks again
            await self._give_back()

    async def _give_back(self) -> None:
        """Gives holds back whose payments ended while they were renewed: the renewal may have come after the end.

        Raises `UnavailableError`.
        """
        if not self._kept:
            return
        parked = {checkout.order_id for checkout in await self._checkouts.parking.all()}
        under_way = parked | {order.order_id for order in await self._orders.pending()}
        for order_id, claim in list(self._kept.items()):
            if order_id not in under_way:
                await self._checkouts.saga.give_back(claim)
            del self._kept[order_id]

    async def tell_inventory(self) -> None:
        """Marks confirmed orders as sold in Redis when the booking process could not, and notes that it is done."""
        while True:
            orders = await self._orders.not_in_inventory(limit=TELL_BATCH)
            for order in orders:
                await self._checkouts.inventory.mark_sold(order)
            if orders:
                await self._orders.mark_in_inventory(order.order_id for order in orders)
            if len(orders) < TELL_BATCH:
                return

    async def catch_up(self) -> None:
        """After an outage, tells Redis every sale and every payment under way that it may have missed."""
        await self.tell_inventory()
        await self.keep_holds()

    async def forget_hints(self) -> None:
        """Deletes webhooks that are so old that the provider no longer repeats them."""
        await self._orders.forget_hints(older_than_s=HINTS_KEPT_S)
