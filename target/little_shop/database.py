"""The shop's tables in SQLite, and transactions. Everybody else writes SQL; nobody else opens a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pools (name TEXT PRIMARY KEY, stock INTEGER, free INTEGER, cents INTEGER);
CREATE TABLE IF NOT EXISTS seats (name TEXT PRIMARY KEY, section TEXT, row TEXT, cents INTEGER, state TEXT);
CREATE TABLE IF NOT EXISTS baskets (id TEXT PRIMARY KEY, session TEXT, expires_at REAL, state TEXT);
CREATE INDEX IF NOT EXISTS baskets_by_session ON baskets (session);
CREATE INDEX IF NOT EXISTS baskets_by_expiry ON baskets (state, expires_at);
CREATE TABLE IF NOT EXISTS items (basket TEXT, pool TEXT, seat TEXT, quantity INTEGER, cents INTEGER);
CREATE INDEX IF NOT EXISTS items_by_basket ON items (basket);
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, id TEXT UNIQUE, key TEXT UNIQUE, basket TEXT,
  session TEXT, customer TEXT, card TEXT, state TEXT, quantity INTEGER, cents INTEGER);
CREATE INDEX IF NOT EXISTS orders_by_session ON orders (session);
CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (customer);
CREATE TABLE IF NOT EXISTS line (session TEXT PRIMARY KEY, number INTEGER UNIQUE, lot REAL, inside INTEGER DEFAULT 0,
  is_out INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS changes (seq INTEGER PRIMARY KEY AUTOINCREMENT, seat TEXT, state TEXT, at REAL);
CREATE TRIGGER IF NOT EXISTS seat_changed AFTER UPDATE OF state ON seats WHEN old.state <> new.state
  BEGIN INSERT INTO changes (seat, state, at)
  VALUES (new.name, new.state, (julianday('now') - 2440587.5) * 86400.0); END;
CREATE TABLE IF NOT EXISTS accounts (session TEXT PRIMARY KEY, name TEXT);
CREATE TABLE IF NOT EXISTS ledger (charge_id TEXT PRIMARY KEY, key TEXT UNIQUE, order_id TEXT, entry TEXT,
  cents INTEGER);
"""


class Database:
    """One connection. Statements outside of a transaction are committed at once."""

    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {SCHEMA}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile. Never await inside of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, sql: str, *values: object) -> int:
        """Runs a statement; returns how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def rows(self, kind: type[T], sql: str, *values: object) -> list[T]:
        """What is selected, each row as a `kind` whose fields are named like the columns."""
        return [msgspec.convert(dict(row), kind, strict=False) for row in self._connection.execute(sql, values)]

    def row(self, kind: type[T], sql: str, *values: object) -> T | None:
        """The first row, if there is one."""
        rows = self.rows(kind, sql, *values)
        return rows[0] if rows else None

    def texts(self, sql: str, *values: object) -> list[str]:
        """The first column of all rows."""
        return [str(row[0]) for row in self._connection.execute(sql, values)]

    def number(self, sql: str, *values: object) -> int:
        """The one number that is selected; 0 for NULL and for no row."""
        row = self._connection.execute(sql, values).fetchone()
        return int(row[0] or 0) if row else 0

    def text(self, sql: str, *values: object) -> str:
        """The one text that is selected; "" for NULL and for no row."""
        row = self._connection.execute(sql, values).fetchone()
        return str(row[0] or "") if row else ""
