"""A crowd takes turns: at most `AT_ONCE` of its requests are worked on at once, and the others wait in order.

Where a process worked on thousands of requests at once, each step of the event loop would take seconds: whoever has
been let in would wait behind the whole crowd at every answer of Redis, and everybody in the crowd would be done at the
same late time. Requests that have a head start go before others that came later by less than it. So those who have
begun to join are done before others begin, and those are not kept waiting for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Mapping
from itertools import count
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target.telemetry.metrics import TURNS_AWAITED

AT_ONCE: Final = 64
CAME_S: Final = "came_s"
"""In the scope of a request that may have waited for its turn: when it came, unix s."""


class Turns:
    """ASGI middleware. `head_starts_s`: path → head start, of what a crowd asks for; other requests never wait."""

    def __init__(self, app: ASGIApp, head_starts_s: Mapping[str, float], at_once: int = AT_ONCE) -> None:
        self._app = app
        self._head_starts_s = head_starts_s
        self._free = at_once
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on when its turn has come."""
        head_start_s = self._head_starts_s.get(scope["path"]) if scope["type"] == "http" else None
        if head_start_s is None:
            await self._app(scope, receive, send)
            return
        scope[CAME_S] = time.time()
        if self._free > 0:
            self._free -= 1
        else:
            await self._turn(head_start_s)

        async def receive_aside() -> Message:
            """The request takes nobody's turn while its body is on the way."""
            self._give_back()
            try:
                return await receive()
            finally:
                self._free -= 1

        try:
            await self._app(scope, receive_aside, send)
        finally:
            self._give_back()

    async def _turn(self, head_start_s: float) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        heapq.heappush(self._waiting, (loop.time() - head_start_s, next(self._number), turn))
        TURNS_AWAITED.inc()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment
                self._give_back()
            raise
        finally:
            TURNS_AWAITED.dec()

    def _give_back(self) -> None:
        self._free += 1
        while self._waiting and self._free > 0:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._free -= 1
                turn.set_result(None)
