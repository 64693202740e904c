"""The provider's durable ledger: one SQLite file, one writer thread, commits in groups.

All work on the file runs in that thread, so two requests with one idempotency key are queued, and the second finds the
entry of the first. An answer is given only after its group is on the disk (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

from target.payments import ledger_sql as sql
from target.payments.records import REFUSALS, Charge, ChargeRequest, ChargeStatus, LedgerRow, Refund

T = TypeVar("T")

GROUP_SIZE_MAX: Final = 256


class Ledger:
    """The ledger behind its thread. Await its methods from one event loop.

    `report`: each change of a charge leaves a webhook in the outbox, in the same commit.
    """

    def __init__(self, path: Path, *, report: bool = False) -> None:
        self._path = path
        self._report = report
        self._jobs: queue.SimpleQueue[_Job[object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def open(self) -> None:
        """Creates the file when it is missing (raises sqlite3.Error when it cannot) and starts the thread."""
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(sql.SCHEMA)
        connection.close()
        self._thread.start()

    def close(self) -> None:
        """Finishes the queued work and ends the thread."""
        self._jobs.put(None)
        self._thread.join()

    async def charge(self, key: str, request: ChargeRequest) -> Charge:
        """Captures, authorises or declines, once per key. Raises `KeyReusedError`."""
        return await self._submit(lambda connection: sql.charge(connection, key, request, report=self._report))

    async def charge_by_key(self, key: str) -> Charge | None:
        """The charge made under this key, if any."""
        return await self._submit(lambda connection: sql.find(connection, "idempotency_key", key))

    async def charge_by_id(self, charge_id: str) -> Charge | None:
        """The charge of this id, if any."""
        return await self._submit(lambda connection: sql.find(connection, "charge_id", charge_id))

    async def capture(self, charge_id: str) -> Charge:
        """Captures an authorised charge. Raises `NoSuchChargeError`, `WrongStatusError`."""
        return await self._move(charge_id, ChargeStatus.CAPTURED)

    async def void(self, charge_id: str) -> Charge:
        """Voids an authorised charge. Raises `NoSuchChargeError`, `WrongStatusError`."""
        return await self._move(charge_id, ChargeStatus.VOIDED)

    async def refund(self, key: str, charge_id: str) -> Refund:
        """Refunds a captured charge, once per charge. Raises `KeyReusedError`, `NotRefundableError`."""
        return await self._submit(lambda connection: sql.refund(connection, key, charge_id, report=self._report))

    async def rows(self) -> list[LedgerRow]:
        """Every entry."""
        return await self._submit(sql.rows)

    async def due_webhooks(self, now_s: float, limit: int) -> list[sql.OutboxWebhook]:
        """The webhooks that are due, oldest first."""
        return await self._submit(lambda connection: sql.due_webhooks(connection, now_s, limit))

    async def next_due_s(self) -> float | None:
        """When the next webhook is due (unix s); None: the outbox is empty."""
        return await self._submit(sql.next_due_s)

    async def update_outbox(self, gone: Sequence[int], postponed: Sequence[sql.OutboxWebhook]) -> None:
        """Removes sent webhooks, by number, and saves the given state of the others."""
        await self._submit(lambda connection: sql.update_outbox(connection, gone, postponed))

    async def _move(self, charge_id: str, to: ChargeStatus) -> Charge:
        return await self._submit(lambda connection: sql.move(connection, charge_id, to, report=self._report))

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
        except REFUSALS as error:
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
    except Exception as error:  # noqa: BLE001 - whatever one job met, the thread serves the next
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for job in group:
            job.error = error
    for job in group:
        job.loop.call_soon_threadsafe(job.settle)
