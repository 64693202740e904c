"""Endless jobs beside the requests of a process: no error ends them, and all end with the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final

from target.runtime.breakers import UnavailableError

AGAIN_S: Final = 1.0

_log = logging.getLogger(__name__)


async def every(period_s: float, round_: Callable[[], Awaitable[None]]) -> None:
    """Endless: runs `round_`, then waits. An outage ends only the round; so does any other error, which is logged."""
    while True:
        try:
            await round_()
        except UnavailableError as error:
            _log.info("%s: %s", getattr(round_, "__name__", "job"), error)
        except Exception:  # noqa: BLE001 - a job that ended in silence would be worse than any single failure
            _log.exception("a round of %s failed", getattr(round_, "__name__", "a job"))
        await asyncio.sleep(period_s)


async def lasting(job: Callable[[], Coroutine[Any, Any, None]], *, again_s: float = AGAIN_S) -> None:
    """Endless: starts a job again when an error, which is logged, has ended it."""
    while True:
        try:
            await job()
        except Exception:  # noqa: BLE001 - see `every`
            _log.exception("%s failed, and begins again", getattr(job, "__qualname__", "a job"))
        await asyncio.sleep(again_s)


@contextlib.asynccontextmanager
async def beside(jobs: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs endless jobs while the body runs, then cancels them."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
