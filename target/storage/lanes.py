"""A few tasks that serve many callers; each task takes all waiting work at once, until no work waits."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Final


class Lanes:
    """At most `most` tasks of `work`, which returns when no work waits any more.

    The tasks belong to no caller, so their work is part of no caller's trace.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], *, most: int) -> None:
        self._work: Final = work
        self._most: Final = most
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._starting = False

    def call(self) -> None:
        """Says that work waits. A new task starts at the end of this turn of the loop and takes all its work."""
        if not self._starting and len(self._tasks) < self._most:
            self._starting = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._starting = False
        self._tasks.add(asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context()))

    async def _run(self) -> None:
        try:
            await self._work()
        finally:  # at once, because the next caller needs a new task
            self._tasks.discard(asyncio.current_task())
