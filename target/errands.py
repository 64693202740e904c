"""Words to Redis that an outage must not swallow: said again in the background until they are heard.

Nothing depends on them for good. They keep seats from staying locked for as long as a lock lasts, after an outage of
which only a moment was left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from target.breakers import UnavailableError

AGAIN_S: Final = 0.5
GIVEN_UP_S: Final = 60.0  # by then whatever a payment added to a hold has run out

Word = Callable[[], Awaitable[object]]


class Errands:
    """Those of one process. What is left undone when it ends runs out by itself."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    async def say(self, word: Word) -> None:
        """Says it now; when that fails, again for up to `GIVEN_UP_S`, and the caller need not wait."""
        try:
            await word()
        except UnavailableError:
            task = asyncio.create_task(self._again(word))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _again(self, word: Word) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GIVEN_UP_S
        while loop.time() < until_s:
            await asyncio.sleep(AGAIN_S)
            try:
                await word()
            except UnavailableError:
                continue
            return
