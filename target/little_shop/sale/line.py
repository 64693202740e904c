"""The shop's own waiting line: first come first served, or a lottery among those who came before the draw.

A place is a number. So many customers are called in each second, in the order of their numbers. A lottery may have
fewer lots than customers: then all others, and whoever comes after the draw, are told that they were not drawn.
"""

from __future__ import annotations

import random
import time
from enum import StrEnum

import msgspec

from target.little_shop.database import Database
from target.little_shop.settings import Queue, Settings


class Stage(StrEnum):
    """How far a customer is."""

    OUTSIDE = "outside"
    BEFORE_DRAW = "before_draw"
    NOT_DRAWN = "not_drawn"
    WAITING = "waiting"
    CALLED = "called"
    INSIDE = "inside"


class Place(msgspec.Struct, frozen=True):
    """Where a customer stands. `position` 1: the next to be called. `number`: their place since the beginning."""

    stage: Stage
    position: int | None = None
    number: int | None = None


class _Row(msgspec.Struct, frozen=True):
    session: str
    number: int | None
    inside: bool
    is_out: bool
    lot: float | None


class Line:
    """See the module. `is_open` false: nobody has to wait."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._draws = settings.queue is Queue.LOTTERY
        self._draw_after_s = settings.draw_after_s
        self._lots = settings.lots
        self._per_s = settings.admit_per_s
        self.is_open = settings.queue is not Queue.NONE
        self.start()

    def start(self) -> None:
        """From the beginning, or from what the tables tell after a restart of the process."""
        self._called = float(self._database.number("SELECT max(number) FROM line WHERE inside"))
        self._called_at_s = time.monotonic()
        self._draw_at_s: float | None = None
        drawn = self._database.number("SELECT count(*) FROM line WHERE is_out OR number IS NOT NULL")
        self._is_drawn = not self._draws or drawn > 0
        if not self._is_drawn and self._database.number("SELECT count(*) FROM line"):
            self._draw_at_s = time.monotonic() + self._draw_after_s

    @property
    def draw_in_s(self) -> float:
        """How long until the draw."""
        return self._draw_after_s if self._draw_at_s is None else max(0.0, self._draw_at_s - time.monotonic())

    def join(self, session: str) -> None:
        """Takes a place; a customer who has one keeps it."""
        self._go_on()
        with self._database.transaction():
            if self._row(session) is not None:
                return
            if self._draw_at_s is None:
                self._draw_at_s = time.monotonic() + self._draw_after_s
            is_late = self._draws and self._is_drawn and self._lots > 0
            number = self._last() + 1 if self._is_drawn and not is_late else None
            sql = "INSERT INTO line (session, number, lot, is_out) VALUES (?, ?, ?, ?)"
            self._database.run(sql, session, number, random.random(), is_late)

    def place(self, session: str) -> Place:
        """Where the customer stands now."""
        self._go_on()
        row = self._row(session)
        if row is None:
            return Place(Stage.OUTSIDE)
        if row.inside:
            return Place(Stage.INSIDE, number=row.number)
        if row.is_out:
            return Place(Stage.NOT_DRAWN)
        if row.number is None:
            return Place(Stage.BEFORE_DRAW)
        if row.number <= int(self._called):
            return Place(Stage.CALLED, 0, row.number)
        return Place(Stage.WAITING, self.position(row.number, row.lot or 0.0), row.number)

    def position(self, number: int, _lot: float) -> int:
        """What a customer is told who waits."""
        return number - int(self._called)

    def enter(self, session: str) -> bool:
        """Lets a customer in who was called."""
        if self.place(session).stage not in {Stage.CALLED, Stage.INSIDE}:
            return False
        return bool(self._database.run("UPDATE line SET inside = 1 WHERE session = ?", session))

    def let_in(self, session: str, number: int) -> bool:
        """Lets a customer in whom the third party's waiting room sent with this number. One number lets one in."""
        with self._database.transaction():
            holder = self._database.text("SELECT session FROM line WHERE number = ?", number)
            if holder:
                return holder == session
            sql = "INSERT OR REPLACE INTO line (session, number, inside) VALUES (?, ?, 1)"
            return bool(self._database.run(sql, session, number))

    def waiting(self) -> int:
        """Customers who have a place and were not called."""
        self._go_on()
        waiting = "SELECT count(*) FROM line WHERE NOT inside AND NOT is_out"
        return self._database.number(waiting) - self._database.number(f"{waiting} AND number <= ?", self._called)

    def _go_on(self) -> None:
        """Calls as many as the time since the last look allows, and draws the lots when it is time."""
        now_s = time.monotonic()
        if not self._is_drawn and self._draw_at_s is not None and now_s >= self._draw_at_s:
            self._draw()
        due = self._called + (now_s - self._called_at_s) * self._per_s
        self._called = min(due, float(self._last()))
        self._called_at_s = now_s

    def _draw(self) -> None:
        with self._database.transaction():
            sql = "SELECT session FROM line WHERE number IS NULL ORDER BY lot LIMIT ?"
            drawn = self._database.texts(sql, self._lots or -1)
            for number, session in enumerate(self.called_as(drawn), self._last() + 1):
                self._database.run("UPDATE line SET number = ? WHERE session = ?", number, session)
            self._database.run("UPDATE line SET is_out = 1 WHERE number IS NULL")
        self._is_drawn = True

    def called_as(self, drawn: list[str]) -> list[str]:
        """In which order those are called who were drawn."""
        return drawn

    def _row(self, session: str) -> _Row | None:
        return self._database.row(_Row, "SELECT * FROM line WHERE session = ?", session)

    def _last(self) -> int:
        return self._database.number("SELECT max(number) FROM line")
