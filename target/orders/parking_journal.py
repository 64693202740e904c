"""Parked checkouts on the disk of the booking process that took them: they survive the process and a loss of Redis.

There is one file of JSON lines for each process and event, locked as long as the process lives. A starting process
takes over the files of dead ones. A line is on the disk before its fan is told "pending"; lines are written in groups.
The reader tolerates what a crash leaves: torn lines, and lines written twice.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from target.orders.orders import Checkout
from target.telemetry.metrics import CHECKOUTS_JOURNALED

ENTRIES_MAX: Final = 10_000  # some 10 MB; further checkouts are refused

_log = logging.getLogger(__name__)


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkout that was parked, or the id of an order that is durable."""

    parked: Checkout | None = None
    done: str = ""


_LINE: Final = msgspec.json.Decoder(_Line)


class ParkingJournal:
    """The parked checkouts of one event in one process, by order id. Before `open` it is empty and takes none.

    `folder`: may be shared by processes and events.
    """

    def __init__(self, folder: str, event: str) -> None:
        self._folder = Path(folder, event)
        self._file = -1
        self._entries: dict[str, Checkout] = {}
        self._unwritten: list[bytes] = []
        self._taken = 0  # lines so far
        self._written = 0
        self._writing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it takes checkouts."""
        return self._file >= 0

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return len(self._entries) >= ENTRIES_MAX

    def open(self) -> None:
        """Claims a file, and takes over unclaimed files. Raises `OSError`; blocks for milliseconds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        claimed = [file for path in sorted(self._folder.glob("*.jsonl")) if (file := _claim(path)) is not None]
        while not claimed:
            fresh = _claim(self._folder / f"{secrets.token_hex(4)}.jsonl")
            claimed = [] if fresh is None else [fresh]
        for file in claimed:
            self._entries |= _read(file)
        self._file, *orphans = claimed
        _append(self._file, b"".join(_encode(_Line(parked=checkout)) for checkout in self._entries.values()))
        for file in orphans:  # emptied and not removed, because another process may be about to claim them
            os.ftruncate(file, 0)
            os.close(file)
        CHECKOUTS_JOURNALED.inc(len(self._entries))

    def close(self) -> None:
        """Releases the file; its checkouts stay for the next process that opens it."""
        if self.is_open:
            os.close(self._file)
            self._file = -1
            CHECKOUTS_JOURNALED.dec(len(self._entries))
            self._entries.clear()

    def find(self, order_id: str) -> Checkout | None:
        """The checkout of this order, if it is here."""
        return self._entries.get(order_id)

    def all(self) -> list[Checkout]:
        """Every checkout that is here."""
        return list(self._entries.values())

    async def add(self, checkout: Checkout) -> None:
        """Keeps the checkout; returns when it is on the disk. Raises `OSError`: it may not be."""
        if not self.is_open:
            return
        if checkout.order_id not in self._entries:
            CHECKOUTS_JOURNALED.inc()
        self._entries[checkout.order_id] = checkout
        await self._write(_Line(parked=checkout))

    def remove(self, order_id: str) -> None:
        """Removes a checkout whose order is durable, without waiting for the disk: a checkout that is read again does
        no harm.
        """
        if self._entries.pop(order_id, None) is None:
            return
        CHECKOUTS_JOURNALED.dec()
        if self._entries or self._unwritten:
            _append(self._file, _encode(_Line(done=order_id)), sync=False)
        else:
            os.ftruncate(self._file, 0)

    async def _write(self, line: _Line) -> None:
        self._unwritten.append(_encode(line))
        self._taken += 1
        mine = self._taken
        async with self._writing:
            if self._written >= mine:  # with the group before
                return
            count = len(self._unwritten)
            await asyncio.to_thread(_append, self._file, b"".join(self._unwritten))
            del self._unwritten[:count]
            self._written += count


def _claim(path: Path) -> int | None:
    """The file, locked until this process ends; None when another process has it."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _read(file: int) -> dict[str, Checkout]:
    """The checkouts that were parked and are not known to be durable."""
    entries: dict[str, Checkout] = {}
    for text in os.pread(file, os.fstat(file).st_size, 0).splitlines():
        try:
            line = _LINE.decode(text) if text else _Line()
        except msgspec.DecodeError:
            _log.warning("a torn line of the parking journal is left out: nobody was told of it")
            continue
        if line.parked is not None:
            entries[line.parked.order_id] = line.parked
        entries.pop(line.done, None)
    return entries


def _append(file: int, lines: bytes, *, sync: bool = True) -> None:
    """Appends whole lines; the file may end in a torn line."""
    left = memoryview(b"\n" + lines)
    while left:
        left = left[os.write(file, left) :]
    if sync:
        os.fsync(file)


def _encode(line: _Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"
