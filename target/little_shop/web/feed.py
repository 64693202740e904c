"""The feed of seats as server-sent events: a snapshot, then every change with its number.

The tables themselves note the changes (a trigger), so no part of the shop can forget to tell one. Whoever comes back
says which was their last event, and goes on from there.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from target.little_shop.database import Database
from target.little_shop.sale.baskets import Baskets

LOOK_EVERY_S: Final = 0.1
ALIVE_EVERY_S: Final = 5.0
ALIVE: Final = ": alive\n\n"


class Change(msgspec.Struct, frozen=True):
    """One seat changed. `at`: unix s."""

    seq: int
    seat: str
    state: str
    at: float


class FeedRoutes:
    """Handlers. Numbers belong to this process: after a restart everybody gets a snapshot."""

    def __init__(self, database: Database, baskets: Baskets) -> None:
        self._database = database
        self._baskets = baskets
        self._epoch = secrets.token_hex(4)

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/feed", self.follow)]

    async def follow(self, request: Request) -> Response:
        """Every change, without end."""
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(self._told(last), media_type="text/event-stream")

    async def _told(self, last: str) -> AsyncIterator[str]:
        epoch, _, number = last.partition(":")
        if epoch == self._epoch and number.isdecimal():
            seq = int(number)
        else:
            seq = self._database.number("SELECT max(seq) FROM changes")
            if last:
                yield self._event("resync", seq, {})
            states = {seat.name: seat.state for seat in self._baskets.seats() if seat.state != "free"}
            yield self._event("snapshot", seq, {"states": states, "at": time.time()})
        told_s = time.monotonic()
        while True:
            sql = "SELECT seq, seat, state, at FROM changes WHERE seq > ? ORDER BY seq"
            for change in self._database.rows(Change, sql, seq):
                seq, told_s = change.seq, time.monotonic()
                yield self._event("seat", seq, {"seat": change.seat, "state": change.state, "at": change.at})
            if time.monotonic() > told_s + ALIVE_EVERY_S:
                told_s = time.monotonic()
                yield ALIVE
            await asyncio.sleep(LOOK_EVERY_S)

    def _event(self, name: str, seq: int, told: dict[str, object]) -> str:
        data = msgspec.json.encode({"epoch": self._epoch, "seq": seq, **told}).decode()
        return f"event: {name}\nid: {self._epoch}:{seq}\ndata: {data}\n\n"
