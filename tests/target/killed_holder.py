"""`python -m tests.target.killed_holder URL BACKEND DEATHS SEED`: kills a holding process before any line of its code.

A child process goes through every verb of the inventory and sends itself SIGKILL before one line, drawn by lot, of the
code that changes seats; DEATHS 0 kills one child before every single line. After each death the seats are audited.
Prints how many children died and how many lines there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from target.roles.composition import HOLD_BACKENDS
from target.seats import Inventory, inventory, load, lua, watch
from target.storage import redis, redis_batch
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.booth import Claimed
from tests.target.seat_audit import Dump, audit

VENUE = load("arena", "e1")
KEYS = Keys("e1")
HOLD_TTL_S = 0.05
TRACED = {str(Path(str(module.__file__))) for module in (inventory, lua, watch, redis, redis_batch)}


def main(url: str, backend: str, deaths: int, seed: int) -> int:
    asyncio.run(_load(url, backend))
    lines = asyncio.run(_count_lines(url, backend))
    numbers = range(lines) if not deaths else random.Random(seed).sample(range(lines), deaths)
    for number in numbers:
        _die(url, backend, number)
        asyncio.run(_audited(url, backend))
    asyncio.run(_at_the_end(url, backend))
    print(len(numbers), lines)
    return 0


async def _count_lines(url: str, backend: str) -> int:
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    _before_each_line(count)
    await _live(url, backend, 0)
    sys.settrace(None)
    return counted


def _die(url: str, backend: str, number: int) -> None:
    """Forks a child that dies before line `number`."""
    child = os.fork()
    if not child:
        left = number

        def count_down() -> None:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        _before_each_line(count_down)
        code = 1
        try:
            asyncio.run(_live(url, backend, number + 1))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed"


def _before_each_line(call: Callable[[], None]) -> None:
    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            call()
        return trace

    sys.settrace(trace)


async def _live(url: str, backend: str, number: int) -> None:
    """Every verb, on seats and with a fan of its own."""
    redis, shop = _shop(url, backend)
    fan = f"f{number}"
    mine = [VENUE.seats[(number * 4 + n) % VENUE.capacity] for n in range(4)]
    bought, given_back = Claimed(f"{fan}-a", fan, fan, tuple(mine[:2])), Claimed(f"{fan}-b", fan, fan, tuple(mine[2:]))
    await shop.hold(bought, limit=4)
    await shop.lock(bought, until_s=time.time() + 0.3)
    await shop.hold(given_back, limit=4)
    await shop.mark_sold(bought)
    await shop.lock(given_back, until_s=time.time() + 0.3)
    await shop.unlock(given_back)
    await shop.release(given_back.hold_id, fan=fan)
    await shop.restore(given_back, until_s=time.time() + 0.05)
    await shop.expire_due()
    await shop.let_go(given_back)
    await redis.close()


async def _load(url: str, backend: str) -> None:
    redis, shop = _shop(url, backend)
    assert await shop.load()
    await redis.close()


async def _audited(url: str, backend: str) -> Dump:
    redis, _ = _shop(url, backend)
    dump = await audit(redis, KEYS, VENUE)
    await redis.close()
    return dump


async def _at_the_end(url: str, backend: str) -> Dump:
    """When every hold's time is over, nothing is held."""
    redis, shop = _shop(url, backend)
    deadline_s = time.monotonic() + 10
    while await shop.holds_count():
        assert time.monotonic() < deadline_s, "a hold never ended"
        await shop.expire_due()
    dump = await audit(redis, KEYS, VENUE)
    assert "1" not in dump.map
    await redis.close()
    return dump


def _shop(url: str, backend: str) -> tuple[RedisStore, Inventory]:
    redis = RedisStore(url, timeout_s=30.0)
    store = HOLD_BACKENDS[backend](redis, KEYS)
    return redis, Inventory(redis, KEYS, VENUE, hold_ttl_s=HOLD_TTL_S, store=store)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
