"""Keeps Redis consistent with time and orders: frees the seats of expired holds, loads lost data again.

Only the reconciler ends a hold for its age.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from target.orders import Order, Orders, OrderState
from target.queue import AdmissionController, SaleSignal
from target.runtime.breakers import UnavailableError
from target.seats import KEEP_PENDING_S, HoldRecovery, Inventory
from target.telemetry.metrics import HOLD_EXPIRIES

PERIOD_S: Final = 0.25
CAREFUL_S: Final = 3.0  # after an outage: then the breakers of all processes are closed, and they tell Redis themselves
_OPEN_S: Final = float("inf")

_log = logging.getLogger(__name__)


async def load_if_lost(inventory: Inventory, orders: Orders, hold_recovery: HoldRecovery, event: str) -> bool:
    """Loads the event into a Redis that is new or has restarted. True: it was loaded. Raises `UnavailableError`.

    It collects the promises of the booking processes first and reads the orders after that, so that a promise which is
    paid meanwhile shows as an order.
    """
    if await inventory.loaded():
        await hold_recovery.look()
        return False
    promised = await hold_recovery.call(await inventory.began_on())
    live = await orders.live()
    sold = [order for order in live if order.state == OrderState.CONFIRMED]
    pending = [order for order in live if order.state == OrderState.PENDING]
    loaded = await inventory.load(sold=sold, pending=pending, promised=promised)
    if loaded:
        await _catch_up(inventory, orders, live)
        text = "%s loaded: %d orders own seats, %d of them pending; told of %d holds"
        _log.info(text, event, len(live), len(pending), len(promised))
    return loaded


async def _catch_up(inventory: Inventory, orders: Orders, seen: Sequence[Order]) -> None:
    """Tells Redis the changes of orders between reading them and loading: Redis did not get or did not keep them."""
    state_then = {order.order_id: order.state for order in seen}
    live_now = {order.order_id: order for order in await orders.live()}
    for order in live_now.values():
        if order.state is state_then.get(order.order_id):
            continue
        if order.state is OrderState.CONFIRMED:
            await inventory.mark_sold(order)
        else:
            await inventory.restore(order, until_s=time.time() + KEEP_PENDING_S)
    for order in seen:
        if order.order_id not in live_now:
            await inventory.let_go(order)


class Reconciler:
    """The worker's job; after a round that an outage cuts short comes the next one.

    `catch_up` tells Redis of sales and payments that it missed. After an outage that must be done before expired holds
    are ended: a hold may have expired in the outage although its seat was sold, and the seat would be free for a moment
    and granted again.
    """

    def __init__(
        self,
        inventory: Inventory,
        orders: Orders,
        admission: AdmissionController,
        sale: SaleSignal,
        hold_recovery: HoldRecovery,
        event: str,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._catch_up = catch_up
        self._careful_until_s = 0.0
        self._inventory = inventory
        self._orders = orders
        self._hold_recovery = hold_recovery
        self._admission = admission
        self._sale = sale
        self._event = event

    async def reconcile(self) -> None:
        """One round. Raises `UnavailableError`."""
        try:
            if await load_if_lost(self._inventory, self._orders, self._hold_recovery, self._event):
                self._admission.hold_back()
        except UnavailableError:
            self._careful_until_s = _OPEN_S
            raise
        if self._careful_until_s == _OPEN_S:
            self._careful_until_s = time.monotonic() + CAREFUL_S
        if time.monotonic() < self._careful_until_s:
            await self._catch_up()
        HOLD_EXPIRIES.inc(await self._inventory.expire_due())
        await self._sale.set_sold_out(await self._inventory.sold_out())
