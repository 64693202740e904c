"""Bugs that are planted on purpose with --plant, to show that a rehearsal finds each of them.

Each is one part of the shop with one method done as many a shop has done it. Without --plant none of this is used.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from target.little_shop.sale.baskets import Basket, Baskets, sold_out
from target.little_shop.sale.ledger import Charge
from target.little_shop.sale.line import Line
from target.little_shop.sale.orders import Order, Orders
from target.little_shop.settings import Plant

SLOW_QUERY_S: Final = 0.02
FORGOTTEN_FEE_CENTS: Final = 150


class UnlockedBaskets(Baskets):
    """oversell: looks how many are left, and writes what it saw, with time for others in between."""

    async def add_tickets(self, session: str, pool: str, quantity: int) -> None:
        """Takes tickets that somebody else may have taken meanwhile."""
        free = self._database.number("SELECT free FROM pools WHERE name = ?", pool)
        if free < quantity:
            raise sold_out(pool)
        await asyncio.sleep(SLOW_QUERY_S)
        with self._database.transaction():
            basket = self._open(session, quantity)
            self._database.run("UPDATE pools SET free = ? WHERE name = ?", free - quantity, pool)
            self._add(basket, pool, "", quantity, self._price(pool))


class LeakyBaskets(Baskets):
    """leaked_basket: a basket that expires is gone, and so are the tickets in it."""

    def expire(self) -> None:
        """Ends baskets without giving anything back."""
        sql = "UPDATE baskets SET state = 'ended' WHERE state = 'open' AND expires_at <= ?"
        self._database.run(sql, time.time())


class DoubleChargingOrders(Orders):
    """double_charge: every attempt to charge has a key of its own, and a form that is posted again is charged again."""

    def payment_key(self, order: Order, attempt: int) -> str:
        """A new one each time."""
        return f"{order.key}/{attempt}/{time.monotonic_ns()}"

    def _again(self, order: Order, session: str) -> Order:
        if order.state != "declined":
            self._start(order)
        return super()._again(order, session)


class ForgetfulOrders(Orders):
    """lost_order: every fifth order is deleted when its customer has seen it confirmed."""

    def find(self, order_id: str, session: str) -> Order | None:
        """The order, for the last time."""
        order = super().find(order_id, session)
        if order is not None and order.state == "confirmed" and order.number % 5 == 0:
            asyncio.get_running_loop().call_later(0.2, self._forget_order, order.id)
        return order

    def _forget_order(self, order_id: str) -> None:
        self._database.run("DELETE FROM orders WHERE id = ?", order_id)


class ShortOrders(Orders):
    """partial: every third order of several tickets is paid in full and lacks one of them."""

    def settle(self, order: Order, charge: Charge) -> None:
        """Gives one ticket to somebody else."""
        super().settle(order, charge)
        if charge.entry == "capture" and order.number % 3 == 0 and order.quantity > 1:
            self._take_one_out(order)

    def _take_one_out(self, order: Order) -> None:
        with self._database.transaction():
            for item in self._baskets.items(order.basket):
                if item.quantity > 1:
                    sql = "UPDATE items SET quantity = quantity - 1 WHERE basket = ? AND pool = ?"
                    self._database.run(sql, order.basket, item.pool)
                    self._database.run("UPDATE pools SET free = free + 1 WHERE name = ?", item.pool)
                    return


class DearOrders(Orders):
    """wrong_price: a fee is charged that no page has shown, to every third customer."""

    def price(self, basket: Basket) -> int:
        """More than the basket said."""
        bought = self._database.number("SELECT count(*) FROM orders")
        return basket.cents + (FORGOTTEN_FEE_CENTS if bought % 3 == 0 else 0)


class DeafLine(Line):
    """ignored_draw: customers are told the places that they drew, and called in as they came."""

    def position(self, _number: int, lot: float) -> int:
        """As it was drawn."""
        ahead = self._database.number("SELECT count(*) FROM line WHERE number IS NOT NULL AND lot < ?", lot)
        return max(1, ahead + 1 - int(self._called))

    def called_as(self, drawn: list[str]) -> list[str]:
        """As they came."""
        return [
            session for session in self._database.texts("SELECT session FROM line ORDER BY rowid") if session in drawn
        ]


BASKETS: Final[dict[Plant | None, type[Baskets]]] = {
    Plant.OVERSELL: UnlockedBaskets,
    Plant.LEAKED_BASKET: LeakyBaskets,
}
ORDERS: Final[dict[Plant | None, type[Orders]]] = {
    Plant.DOUBLE_CHARGE: DoubleChargingOrders,
    Plant.LOST_ORDER: ForgetfulOrders,
    Plant.PARTIAL: ShortOrders,
    Plant.WRONG_PRICE: DearOrders,
}
LINES: Final[dict[Plant | None, type[Line]]] = {Plant.IGNORED_DRAW: DeafLine}
