"""A line before the admission that the settings put together, over a real Valkey: the same for every mode."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

import pytest
from prometheus_client import REGISTRY

from target.http.tickets import Ticket
from target.queue import AdmissionController, ConflictSignal, WaitingRoom, policy_of, rules_of
from target.queue.rate_policy import OBSERVE_S
from target.queue.waiting_room import Entry
from target.seats import Inventory, load
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.conftest import Valkey

KEYS = Keys("e1")
MODES: tuple[str, ...] = get_args(get_type_hints(Settings)["admission"])
every_mode = pytest.mark.parametrize("mode", MODES)
AT_ONCE = {"admission_rate_per_s": 1e6, "admission_ceiling_per_s": 1e6, "admission_burst": 10}
_NUMBERS = itertools.count()


@dataclass
class Clock:
    """The clock of the loops, which is not Redis's: it moves when the test says so."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Line:
    """One event's waiting room, and the loops of the workers that let fans in from it."""

    valkey: Valkey
    settings: Settings
    redis: RedisStore
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.label = f"{self.settings.admission}-{next(_NUMBERS)}"  # in the metrics: this line's alone
        self.signal = ConflictSignal(self.redis, KEYS)
        self.room = WaitingRoom(self.redis, KEYS, rules_of(self.settings))

    def worker(self) -> AdmissionController:
        """The loop of one more worker."""
        return AdmissionController(self.room, policy_of(self.settings), self.signal, self.label, clock=self.clock)

    async def load(self) -> None:
        """The event is on sale."""
        await Inventory(self.redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()

    async def join(self, *fans: str) -> None:
        """One after the other."""
        for fan in fans:
            await self.room.join(fan, fan)

    async def enter(self, fan: str) -> Entry:
        return await self.room.enter(Ticket("e1", fan, fan, 0, 4e9))

    async def positions(self, *fans: str) -> list[int]:
        return list((await self.room.positions(fans)).of)

    async def let_in(self) -> list[str]:
        """Everybody who was let in since the data began, by the number of the admission."""
        admitted = await self.redis.command("HGETALL", KEYS.admitted)
        numbers = {fan.decode(): int(told.split()[0]) for fan, told in admitted.items()}
        assert sorted(numbers.values()) == list(range(1, len(numbers) + 1)), "one number, one fan"
        return sorted(numbers, key=numbers.__getitem__)

    async def until_in(self, count: int, *workers: AdmissionController, within_s: float = 60.0) -> list[str]:
        """All the workers step at once, again and again, until so many were let in."""
        end = time.monotonic() + within_s
        while len(fans := await self.let_in()) < count:
            assert time.monotonic() < end, f"{len(fans)} of {count} were let in"
            await asyncio.gather(*(worker.step() for worker in workers))
        return fans

    async def observe(self, worker: AdmissionController, *, holds: int, conflicts: int) -> None:
        """The next look of this worker finds so many holds more."""
        for n in range(holds):
            self.signal.count(conflict=n < conflicts)
        await self.signal.flush()
        self.clock.now_s += OBSERVE_S
        await worker.step()

    async def silence(self, *fans: str) -> None:
        """These fans were last heard of long ago, and admission has gone on all the time."""
        soon_us = time.time_ns() // 1000 + 60_000_000  # no gap, however slow the test is
        for fan in fans:
            await self.redis.command("ZADD", KEYS.seen, 1, fan)
        await self.redis.command("HSET", KEYS.admission_bucket, "tokens", 10, "deaf_us", 1, "at_us", soon_us)

    async def last_admission_was(self, ago_s: float) -> None:
        """The bucket has been filling since, as far as it goes."""
        at_us = time.time_ns() // 1000 - round(ago_s * 1e6)
        await self.redis.command("HSET", KEYS.admission_bucket, "at_us", at_us)

    def metric(self, name: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"event": self.label})


@asynccontextmanager
async def line_on(valkey: Valkey, mode: str, *, loaded: bool = True, **settings: Any) -> AsyncIterator[Line]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    line = Line(valkey, Settings(event="e1", admission=mode, **(AT_ONCE | settings)), redis)  # type: ignore[arg-type]
    if loaded:
        await line.load()
    try:
        yield line
    finally:
        await redis.close()


def run(valkey: Valkey, mode: str, test: Callable[[Line], Awaitable[None]], **settings: Any) -> None:
    """The test on a fresh line; settings as in `Settings`, which without any let everybody in at once."""

    async def main() -> None:
        async with line_on(valkey, mode, **settings) as line:
            await test(line)

    asyncio.run(main())
