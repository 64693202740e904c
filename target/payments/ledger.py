"""The provider's durable ledger: one SQLite file, one writer thread, commits in groups.

Everything that touches the file runs in that thread, so two requests with one idempotency key meet in a queue and the
second finds the first one's entry. An answer is given only after its group is on the disk (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

import msgspec

T = TypeVar("T")

GROUP_SIZE_MAX: Final = 256
DECLINED_CARD: Final = "declined"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS charges (
    charge_id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, card TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    refund_id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE,
    charge_id TEXT NOT NULL UNIQUE REFERENCES charges);
"""


class ChargeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /charges."""

    order_id: str
    amount_cents: int
    card: str


class Charge(msgspec.Struct, frozen=True):
    """What the provider answers about a charge. `status`: captured | declined."""

    charge_id: str
    status: str
    order_id: str
    amount_cents: int


class Refund(msgspec.Struct, frozen=True):
    """What the provider answers about a refund: always of the whole charge."""

    refund_id: str
    charge_id: str


class LedgerRow(msgspec.Struct, frozen=True):
    """One entry of the ledger export. `entry`: capture | refund | decline."""

    charge_id: str
    idempotency_key: str
    order_id: str
    entry: str
    amount_cents: int


class KeyReusedError(Exception):
    """The idempotency key was used before, with another body."""


class NotRefundableError(Exception):
    """There is no such charge, or it was never captured."""


class Ledger:
    """The ledger behind its thread. Await its methods from one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def open(self) -> None:
        """Creates the file if need be (raises sqlite3.Error when it cannot) and starts the thread."""
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SCHEMA)
        connection.close()
        self._thread.start()

    def close(self) -> None:
        """Finishes what is queued and ends the thread."""
        self._jobs.put(None)
        self._thread.join()

    async def charge(self, key: str, request: ChargeRequest) -> Charge:
        """Captures or declines, once per key."""
        return await self._submit(lambda connection: _charge(connection, key, request))

    async def charge_by_key(self, key: str) -> Charge | None:
        """The charge made under this key, if any."""
        return await self._submit(lambda connection: _find_charge(connection, key))

    async def refund(self, key: str, charge_id: str) -> Refund:
        """Gives a captured charge back, once per charge."""
        return await self._submit(lambda connection: _refund(connection, key, charge_id))

    async def rows(self) -> list[LedgerRow]:
        """Every entry."""
        return await self._submit(_rows)

    async def _submit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.put(cast("_Job[object]", job))
        return await job.future

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        closing = False
        while not closing:
            group = [self._jobs.get()]
            while len(group) < GROUP_SIZE_MAX and not self._jobs.empty():
                group.append(self._jobs.get())
            closing = None in group
            _commit(connection, [job for job in group if job is not None])
        connection.close()


class _Job(Generic[T]):
    """One piece of work for the thread, and the future that waits for it on the event loop."""

    def __init__(self, work: Callable[[sqlite3.Connection], T], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[T] = loop.create_future()
        self.loop = loop
        self.error: Exception | None = None
        self._work = work
        self._result: T | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self._result = self._work(connection)
        except (KeyReusedError, NotRefundableError) as error:
            self.error = error

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("T", self._result))


def _commit(connection: sqlite3.Connection, group: list[_Job[object]]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in group:
            job.run(connection)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for job in group:
            job.error = error
    for job in group:
        job.loop.call_soon_threadsafe(job.settle)


def _charge(connection: sqlite3.Connection, key: str, request: ChargeRequest) -> Charge:
    row = connection.execute(
        "SELECT charge_id, status, order_id, amount_cents, card FROM charges WHERE idempotency_key = ?", (key,)
    ).fetchone()
    if row is not None:
        if tuple(row[2:]) != (request.order_id, request.amount_cents, request.card):
            raise KeyReusedError(key)
        return Charge(*row[:4])
    status = "declined" if request.card == DECLINED_CARD else "captured"
    charge = Charge(f"ch_{secrets.token_hex(10)}", status, request.order_id, request.amount_cents)
    connection.execute(
        "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?)",
        (charge.charge_id, key, request.order_id, request.amount_cents, request.card, status),
    )
    return charge


def _find_charge(connection: sqlite3.Connection, key: str) -> Charge | None:
    row = connection.execute(
        "SELECT charge_id, status, order_id, amount_cents FROM charges WHERE idempotency_key = ?", (key,)
    ).fetchone()
    return None if row is None else Charge(*row)


def _refund(connection: sqlite3.Connection, key: str, charge_id: str) -> Refund:
    used = connection.execute("SELECT refund_id, charge_id FROM refunds WHERE idempotency_key = ?", (key,)).fetchone()
    if used is not None and used[1] != charge_id:
        raise KeyReusedError(key)
    given = connection.execute("SELECT refund_id, charge_id FROM refunds WHERE charge_id = ?", (charge_id,)).fetchone()
    if given is not None:
        return Refund(*given)
    charge = connection.execute("SELECT status FROM charges WHERE charge_id = ?", (charge_id,)).fetchone()
    if charge is None or charge[0] != "captured":
        raise NotRefundableError(charge_id)
    refund = Refund(f"re_{secrets.token_hex(10)}", charge_id)
    connection.execute("INSERT INTO refunds VALUES (?, ?, ?)", (refund.refund_id, key, charge_id))
    return refund


def _rows(connection: sqlite3.Connection) -> list[LedgerRow]:
    charges = connection.execute(
        "SELECT charge_id, idempotency_key, order_id, CASE status WHEN 'captured' THEN 'capture' ELSE 'decline' END,"
        " amount_cents FROM charges"
    )
    refunds = connection.execute(
        "SELECT charge_id, r.idempotency_key, order_id, 'refund', amount_cents"
        " FROM refunds r JOIN charges USING (charge_id)"
    )
    return [LedgerRow(*row) for rows in (charges.fetchall(), refunds.fetchall()) for row in rows]
