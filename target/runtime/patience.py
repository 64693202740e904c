"""A time-out that takes nobody for late because this process is.

Where requests wait for a processor, an answer may have come long ago and only not been looked at. A clock on the wall
would blame the client or the dependency, and what was done would be thrown away and asked for again: so a full system
becomes a stuck one. This time-out runs out only after the event loop has gone round several times as well.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

STEPS: Final = 4
"""The parts of a time-out. However late the loop is, it looks at its sockets between two of them."""


class Patience:
    """`asyncio.timeout(within_s)` in `STEPS` parts, each of which begins when the loop comes to the one before."""

    __slots__ = ("_handle", "_left", "_loop", "_step_s", "_timeout")

    def __init__(self, within_s: float) -> None:
        self._step_s = within_s / STEPS
        self._left = STEPS
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_later(self._step_s, self._step)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._handle.cancel()
        await self._timeout.__aexit__(kind, error, where)

    def _step(self) -> None:
        self._left -= 1
        if self._left:
            self._handle = self._loop.call_later(self._step_s, self._step)
        else:
            self._timeout.reschedule(self._loop.time())
