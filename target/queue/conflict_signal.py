"""Counts how often a hold asks for a taken seat. Admission knows nothing else of the seats.

Booking processes count; the counts travel to Redis a few times a second, however many holds there are.
"""

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
    """The signal of one event. Counting never waits; counts that cannot be sent now are sent later."""

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
