"""The cached value: one refill at a time, nothing kept from before an invalidation, failures not kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from prometheus_client import REGISTRY

from target.runtime.cache import CachedValue


class Source:
    """Answers 1, 2, 3…; each answer waits until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> int:
        self.asked += 1
        number = self.asked
        self.begun.put_nowait(number)
        await self.gate.wait()
        return number


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_thousand_misses_at_once_ask_the_source_once() -> None:
    async def test() -> None:
        source = Source()
        cached = CachedValue("test_herd", source.read, ttl_s=60)
        assert await asyncio.gather(*(cached.get() for _ in range(1000))) == [1] * 1000
        assert await cached.get() == 1
        counted = {
            outcome: REGISTRY.get_sample_value(
                "target_cache_requests_total", {"cache": "test_herd", "outcome": outcome}
            )
            for outcome in ("hit", "miss")
        }
        assert counted == {"hit": 1, "miss": 1000}
        assert REGISTRY.get_sample_value("target_cache_refills_total", {"cache": "test_herd"}) == 1

    run(test)


def test_after_an_invalidation_only_what_is_read_later_is_handed_out() -> None:
    async def test() -> None:
        source = Source()
        source.gate.clear()
        cached = CachedValue("test", source.read, ttl_s=60)
        before = asyncio.create_task(cached.get())
        await source.begun.get()
        cached.invalidate()
        after = asyncio.create_task(cached.get())
        await source.begun.get()
        source.gate.set()
        assert (await before, await after) == (1, 2)
        assert await cached.get() == 2

    run(test)


def test_a_value_lives_no_longer_than_its_time_to_live() -> None:
    async def test() -> None:
        source = Source()
        cached = CachedValue("test", source.read, ttl_s=0.05, jitter_ratio=0.5)
        began_s = time.monotonic()
        assert await cached.get() == 1
        while await cached.get() == 1:
            assert time.monotonic() < began_s + 5
        assert time.monotonic() >= began_s + 0.025

    run(test)


def test_lives_differ_so_that_processes_do_not_refill_in_step() -> None:
    async def test() -> None:
        many = [CachedValue("test", Source().read, ttl_s=100, jitter_ratio=0.25) for _ in range(100)]
        now_s = time.monotonic()
        await asyncio.gather(*(cached.get() for cached in many))
        lives = [cached._good_until_s - now_s for cached in many]
        assert len({round(life) for life in lives}) > 5
        assert all(74 < life < 110 for life in lives)

    run(test)


def test_a_failure_reaches_everybody_who_waits_and_is_not_kept() -> None:
    async def test() -> None:
        failures = [OSError("away")]

        async def read() -> int:
            await asyncio.sleep(0)
            if failures:
                raise failures.pop()
            return 7

        cached = CachedValue("test", read, ttl_s=60)
        failed = await asyncio.gather(*(cached.get() for _ in range(10)), return_exceptions=True)
        assert {type(error) for error in failed} == {OSError}
        assert await cached.get() == 7

    run(test)


def test_who_leaves_does_not_take_the_refill_along() -> None:
    async def test() -> None:
        source = Source()
        source.gate.clear()
        cached = CachedValue("test", source.read, ttl_s=60)
        first, second = asyncio.create_task(cached.get()), asyncio.create_task(cached.get())
        await source.begun.get()
        first.cancel()
        source.gate.set()
        assert await second == 1
        with pytest.raises(asyncio.CancelledError):
            await first

    run(test)
