"""Tickets and seats on sale, and the baskets that keep them for a while.

Whatever takes tickets does so in one transaction: either they were free and are in the basket, or nothing has changed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from target.little_shop.database import Database
from target.little_shop.settings import Settings

POOL_CENTS: Final = 4500
SECTION_CENTS: Final = (("A", 6500), ("B", 5500))
SEATS_IN_ROW: Final = 10


class RefusedError(Exception):
    """The shop says no. `code` is for programs (`data-code` in the page), the text for people."""

    def __init__(self, code: str, text: str, status: int) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


class Pool(msgspec.Struct, frozen=True):
    """Tickets without a seat."""

    name: str
    stock: int
    free: int
    cents: int


class Seat(msgspec.Struct, frozen=True):
    """A numbered seat. state: free | held | sold."""

    name: str
    section: str
    row: str
    cents: int
    state: str


class Item(msgspec.Struct, frozen=True):
    """Tickets of a pool, or one seat. `cents`: of all of them."""

    pool: str
    seat: str
    quantity: int
    cents: int


class Basket(msgspec.Struct, frozen=True):
    """What a customer has taken and not yet bought."""

    id: str
    expires_at: float
    items: tuple[Item, ...] = ()

    @property
    def quantity(self) -> int:
        """Tickets in it."""
        return sum(item.quantity for item in self.items)

    @property
    def cents(self) -> int:
        """Its price."""
        return sum(item.cents for item in self.items)

    @property
    def left_s(self) -> float:
        """How long it lasts still."""
        return max(0.0, self.expires_at - time.time())


class Baskets:
    """See the module. A customer is known by the session of their browser."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def put_on_sale(self) -> None:
        """Fills the tables of a shop that has nothing on sale yet."""
        with self._database.transaction():
            if self._database.number("SELECT count(*) FROM pools"):
                return
            for name, stock in self._settings.pools.items():
                self._database.run("INSERT INTO pools VALUES (?, ?, ?, ?)", name, stock, stock, POOL_CENTS)
            for seat in _seats(self._settings.seats):
                values = (seat.name, seat.section, seat.row, seat.cents, seat.state)
                self._database.run("INSERT INTO seats VALUES (?, ?, ?, ?, ?)", *values)

    def pools(self) -> list[Pool]:
        """What is left without a seat."""
        return self._database.rows(Pool, "SELECT * FROM pools ORDER BY rowid")

    def seats(self) -> list[Seat]:
        """The seat map, row by row."""
        return self._database.rows(Seat, "SELECT * FROM seats ORDER BY rowid")

    def basket(self, session: str) -> Basket | None:
        """The customer's basket, if it has not expired."""
        sql = "SELECT id, expires_at FROM baskets WHERE session = ? AND state = 'open' AND expires_at > ?"
        basket = self._database.row(Basket, sql, session, time.time())
        return basket and msgspec.structs.replace(basket, items=self.items(basket.id))

    def items(self, basket: str) -> tuple[Item, ...]:
        """What is in a basket, or was when it was ordered."""
        sql = "SELECT pool, seat, quantity, cents FROM items WHERE basket = ?"
        return tuple(self._database.rows(Item, sql, basket))

    async def add_tickets(self, session: str, pool: str, quantity: int) -> None:
        """Takes so many tickets of a pool. Raises `RefusedError`, and has taken none then."""
        with self._database.transaction():
            basket = self._open(session, quantity)
            sql = "UPDATE pools SET free = free - ? WHERE name = ? AND free >= ?"
            if not self._database.run(sql, quantity, pool, quantity):
                raise sold_out(pool)
            self._add(basket, pool, "", quantity, self._price(pool))

    async def add_seats(self, session: str, seats: Sequence[str]) -> None:
        """Takes all of these seats, or raises `RefusedError` and takes none."""
        with self._database.transaction():
            basket = self._open(session, len(seats))
            for seat in seats:
                if not self._database.run("UPDATE seats SET state = 'held' WHERE name = ? AND state = 'free'", seat):
                    raise RefusedError("taken", f"Seat {seat} has just been taken.", 200)
                cents = self._database.number("SELECT cents FROM seats WHERE name = ?", seat)
                self._add(basket, "", seat, 1, cents)

    def empty(self, session: str) -> None:
        """Gives everything in the basket back."""
        with self._database.transaction():
            basket = self.basket(session)
            if basket is not None:
                self.give_back(basket.id)

    def give_back(self, basket: str) -> None:
        """What is in it is free again. Within the caller's transaction."""
        for item in self.items(basket):
            self._database.run("UPDATE pools SET free = free + ? WHERE name = ?", item.quantity, item.pool)
            self._database.run("UPDATE seats SET state = 'free' WHERE name = ?", item.seat)
        self.end(basket)

    def end(self, basket: str) -> None:
        """Nobody can buy it any more."""
        self._database.run("UPDATE baskets SET state = 'ended' WHERE id = ?", basket)

    def expire(self) -> None:
        """Gives back what is in baskets whose time is over."""
        with self._database.transaction():
            sql = "SELECT id, expires_at FROM baskets WHERE state = 'open' AND expires_at <= ?"
            for basket in self._database.rows(Basket, sql, time.time()):
                self.give_back(basket.id)

    def held(self, pool: str) -> int:
        """Tickets of a pool in open baskets and in orders that are not paid yet."""
        sql = """SELECT sum(items.quantity) FROM items JOIN baskets ON baskets.id = items.basket
                 LEFT JOIN orders ON orders.basket = baskets.id
                 WHERE items.pool = ? AND (baskets.state = 'open' OR orders.state = 'pending')"""
        return self._database.number(sql, pool)

    def open_baskets(self) -> int:
        """How many there are."""
        return self._database.number("SELECT count(*) FROM baskets WHERE state = 'open'")

    def _open(self, session: str, quantity: int) -> str:
        """The customer's basket, or a new one. Raises `RefusedError` when so many more would be too many."""
        basket = self.basket(session)
        bought = "SELECT sum(quantity) FROM orders WHERE session = ? AND state IN ('pending', 'confirmed')"
        has = (basket.quantity if basket else 0) + self._database.number(bought, session)
        if has + quantity > self._settings.limit:
            raise over_limit(self._settings.limit)
        if basket is not None:
            return basket.id
        made = secrets.token_urlsafe(9)
        expires_at = time.time() + self._settings.basket_ttl_s
        self._database.run("INSERT INTO baskets VALUES (?, ?, ?, 'open')", made, session, expires_at)
        return made

    def _add(self, basket: str, pool: str, seat: str, quantity: int, cents: int) -> None:
        values = (basket, pool, seat, quantity, quantity * cents)
        self._database.run("INSERT INTO items VALUES (?, ?, ?, ?, ?)", *values)

    def _price(self, pool: str) -> int:
        return self._database.number("SELECT cents FROM pools WHERE name = ?", pool)


def sold_out(pool: str) -> RefusedError:
    """Not so many tickets are left. Like many shops, this one tells it on a page with status 200."""
    return RefusedError("sold-out", f"There are not so many {pool} tickets left.", 200)


def over_limit(limit: int) -> RefusedError:
    """One customer would have too many."""
    return RefusedError("limit", f"You can buy at most {limit} tickets.", 422)


def _seats(count: int) -> list[Seat]:
    """The first half in the front section, the rest in the section behind it."""
    seats = []
    for index in range(count):
        section, cents = SECTION_CENTS[index * len(SECTION_CENTS) // count]
        row = f"{section}{index // SEATS_IN_ROW + 1}"
        seats.append(Seat(f"{row}-{index % SEATS_IN_ROW + 1}", section, row, cents, "free"))
    return seats
