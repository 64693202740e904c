"""Tells a process that seats have changed, whichever process changed them, so that it can drop what it has cached.

The seat feed's stream is the news: it costs those who change seats nothing, and whoever was away finds what it missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from target.breakers import UnavailableError
from target.seat_stream import SeatStream

REST_S: Final = 0.1  # between two notices, so that a sell-out costs a bounded number of refills
RETRY_S: Final = 0.25


class SeatWatch:
    """Calls `notify` within `REST_S` of a change, at each new epoch, and when Redis cannot be asked any more."""

    def __init__(self, stream: SeatStream, notify: Callable[[], None]) -> None:
        self._stream = stream
        self._notify = notify

    async def run(self) -> None:
        """For ever."""
        known: tuple[str, int] | None = None
        while True:
            try:
                await self._stream.wait(known[1] if known else 0)
                present = await self._stream.newest()
            except UnavailableError:
                present = None
            if present != known:
                self._notify()
            if present is None or present == known:
                await asyncio.sleep(RETRY_S if present is None else 0)
            else:
                await asyncio.sleep(REST_S)
            known = present
