"""Counts how often a hold asks for a taken seat. This is all that admission knows of the seats.

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
    """Holds that were tried for free or taken seats, and how many of them met a taken one. Totals; a loss of data
    begins them again."""

    holds: int = 0
    conflicts: int = 0


class ConflictSignal:
    """The signal of one event. Counting never waits; what cannot be sent now is kept and sent later."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.conflicts
        self._holds = 0
        self._conflicts = 0

    def count(self, *, conflict: bool) -> None:
        """One hold was decided. Refusals for other reasons are not counted."""
        self._holds += 1
        self._conflicts += conflict

    async def flush(self) -> None:
        """Adds what this process has counted. Raises `UnavailableError`; then it is counted as not sent."""
        holds, conflicts = self._holds, self._conflicts
        if holds:
            await self._redis.run(_ADD, (self._key,), (holds, conflicts))
            self._holds -= holds
            self._conflicts -= conflicts

    async def read(self) -> HoldCounts:
        """What all processes have counted. Raises `UnavailableError`."""
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
