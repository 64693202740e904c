"""Orders: a basket becomes one at checkout, is charged in the background, and ends confirmed or declined.

A checkout has a key, made with the form. Posting the form again is the same checkout, and the provider is asked under
the same key until it has answered: nothing is bought or charged twice.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

import msgspec

from target.little_shop.database import Database
from target.little_shop.sale.baskets import Basket, Baskets, RefusedError, over_limit
from target.little_shop.sale.ledger import Charge, ChargeRequest
from target.little_shop.sale.payments import Payments, PaymentUnknownError
from target.little_shop.settings import Settings

LIVE: Final = "('pending', 'confirmed')"
EXPORT: Final = """
WITH totals AS (SELECT basket, sum(cents) AS cents, min(rowid) AS first FROM items GROUP BY basket)
SELECT orders.id AS order_id, customer, state, pool, seat, items.quantity, key,
  items.cents + iif(items.rowid = totals.first, orders.cents - totals.cents, 0) AS cents
FROM orders JOIN items USING (basket) JOIN totals USING (basket) ORDER BY number, items.rowid
"""
"""What the items do not add up to is told in the first row of the order."""


class Order(msgspec.Struct, frozen=True):
    """state: pending | confirmed | declined. `quantity` and `cents` are what the customer was told."""

    number: int
    id: str
    key: str
    basket: str
    session: str
    customer: str
    card: str
    state: str
    quantity: int
    cents: int


class SoldItem(msgspec.Struct, frozen=True):
    """One row of the operator's export: tickets of a pool, or one seat, of an order.

    The `cents` of an order's rows add up to what was charged.
    """

    order_id: str
    customer: str
    state: str
    pool: str
    seat: str
    quantity: int
    cents: int
    key: str


class Orders:
    """See the module."""

    def __init__(self, database: Database, baskets: Baskets, payments: Payments, settings: Settings) -> None:
        self._database = database
        self._baskets = baskets
        self._payments = payments
        self._settings = settings
        self._charging: set[asyncio.Task[None]] = set()

    def check_out(self, session: str, *, customer: str, key: str, card: str) -> Order:
        """The order of this checkout; a new one is charged in the background. Raises `RefusedError`."""
        known = self._by_key(key)
        if known is not None:
            return self._again(known, session)
        with self._database.transaction():
            basket = self._baskets.basket(session)
            if basket is None or not basket.items:
                raise RefusedError("expired", "Your basket has expired.", 410)
            if self._bought(customer) + basket.quantity > self._settings.limit:
                raise over_limit(self._settings.limit)
            order = self._make(basket, session, customer, key, card)
        self._start(order)
        return order

    def find(self, order_id: str, session: str) -> Order | None:
        """An order of this customer's."""
        return self._database.row(Order, "SELECT * FROM orders WHERE id = ? AND session = ?", order_id, session)

    def export(self) -> list[SoldItem]:
        """Every order, item by item."""
        return self._database.rows(SoldItem, EXPORT)

    def sold(self, pool: str) -> int:
        """Tickets of a pool that are paid."""
        sql = "SELECT sum(items.quantity) FROM orders JOIN items USING (basket) WHERE pool = ? AND state = 'confirmed'"
        return self._database.number(sql, pool)

    def count(self, state: str) -> int:
        """Orders in a state."""
        return self._database.number("SELECT count(*) FROM orders WHERE state = ?", state)

    def resume(self) -> None:
        """Goes on with the orders that were pending when the process ended."""
        for order in self._database.rows(Order, "SELECT * FROM orders WHERE state = 'pending'"):
            self._start(order)

    async def forget(self) -> None:
        """Stops charging, before the tables are emptied."""
        for task in list(self._charging):
            task.cancel()
        await asyncio.gather(*self._charging, return_exceptions=True)

    def price(self, basket: Basket) -> int:
        """What the customer will be charged."""
        return basket.cents

    def payment_key(self, order: Order, _attempt: int) -> str:
        """Under which key the provider is asked: the same at every attempt."""
        return order.key

    def settle(self, order: Order, charge: Charge) -> None:
        """The order's end: sold, or free again."""
        state = "confirmed" if charge.entry == "capture" else "declined"
        with self._database.transaction():
            sql = "UPDATE orders SET state = ?, card = '' WHERE id = ? AND state = 'pending'"
            if not self._database.run(sql, state, order.id):
                return
            if state == "declined":
                self._baskets.give_back(order.basket)
                return
            for item in self._baskets.items(order.basket):
                self._database.run("UPDATE seats SET state = 'sold' WHERE name = ?", item.seat)

    def _again(self, order: Order, session: str) -> Order:
        """The same form was posted once more."""
        if order.session != session:
            raise RefusedError("form", "This form belongs to somebody else.", 403)
        return order

    def _make(self, basket: Basket, session: str, customer: str, key: str, card: str) -> Order:
        order_id = secrets.token_hex(5).upper()
        values = (order_id, key, basket.id, session, customer, card, basket.quantity, self.price(basket))
        self._database.run("UPDATE baskets SET state = 'ordered' WHERE id = ?", basket.id)
        sql = """INSERT INTO orders (id, key, basket, session, customer, card, state, quantity, cents)
                 VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?)"""
        self._database.run(sql, *values)
        return self._database.rows(Order, "SELECT * FROM orders WHERE key = ?", key)[0]

    def _by_key(self, key: str) -> Order | None:
        return self._database.row(Order, "SELECT * FROM orders WHERE key = ?", key)

    def _bought(self, customer: str) -> int:
        sql = f"SELECT sum(quantity) FROM orders WHERE customer = ? AND state IN {LIVE}"
        return self._database.number(sql, customer)

    def _start(self, order: Order) -> None:
        task = asyncio.create_task(self._charge(order))
        self._charging.add(task)
        task.add_done_callback(self._charging.discard)

    async def _charge(self, order: Order) -> None:
        """Asks the provider until it has answered. The order stays pending meanwhile, and the tickets taken."""
        attempt = 0
        while True:
            asked = ChargeRequest(self.payment_key(order, attempt), order.id, order.cents, order.card)
            try:
                charge = await self._payments.charge(asked)
            except PaymentUnknownError:
                attempt += 1
                await asyncio.sleep(min(2.0, 0.25 * 2**attempt))
            else:
                self.settle(order, charge)
                return
