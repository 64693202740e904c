"""All that the queue knows of the seats: how often a hold asks for a taken one, and whether anything is left to buy."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from target.runtime.breakers import UnavailableError
from target.storage.keys import Keys
from target.storage.redis import RedisStore, Script

FLUSH_S: Final = 0.25

_ADD: Final = Script(
    """
-- KEYS: conflicts. ARGV: holds, conflicts.
redis.call('HINCRBY', KEYS[1], 'holds', ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'conflicts', ARGV[2])
"""
)


class HoldCounts(msgspec.Struct, frozen=True):
    """The number of holds that were tried, and how many of them asked for a taken seat. Totals; after a loss of data
    they start from zero.
    """

    holds: int = 0
    conflicts: int = 0


class ConflictSignal:
    """How often a hold of one event asks for a taken seat, which is what admission goes by.

    Booking processes count; the counts travel to Redis a few times a second, however many holds there are. Counting
    never waits; counts that cannot be sent now are sent later.
    """

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.conflicts
        self._holds = 0
        self._conflicts = 0

    def count(self, *, conflict: bool) -> None:
        """Counts one hold that was granted or met a taken seat; other refusals are not counted."""
        self._holds += 1
        self._conflicts += conflict

    async def flush(self) -> None:
        """Sends what this process has counted. Raises `UnavailableError`; then the counts are kept."""
        holds, conflicts = self._holds, self._conflicts
        if holds:
            await self._redis.run(_ADD, (self._key,), (holds, conflicts))
            self._holds -= holds
            self._conflicts -= conflicts

    async def read(self) -> HoldCounts:
        """The counts of all processes. Raises `UnavailableError`."""
        holds, conflicts = await self._redis.command("HMGET", self._key, "holds", "conflicts")
        return HoldCounts(int(holds or 0), int(conflicts or 0))

    async def run(self) -> None:
        """Endless: flushes. An outage only delays the counts."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except UnavailableError:
                continue


class SaleSignal:
    """Whether anything of one event is left to buy. Raises `UnavailableError` when Redis cannot be used.

    The worker sets it. While nothing is left nobody is let in, and those who wait are told; seats that come back go to
    those who are inside. A loss of Redis's data forgets it until the worker looks again.
    """

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.sold_out

    async def set_sold_out(self, sold_out: bool) -> None:
        """From now on the waiting room goes by this."""
        if sold_out:
            await self._redis.command("SET", self._key, "1")
        else:
            await self._redis.command("DEL", self._key)
