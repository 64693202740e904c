"""Watches how far the replica is behind; browsing uses the replica only while the lag is small."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from target.runtime.breakers import UnavailableError
from target.telemetry.metrics import REPLICA_LAG_SECONDS

PERIOD_S: Final = 1.0

_REPLAYED: Final = """
SELECT CASE WHEN $1::text IS NOT NULL AND pg_last_wal_replay_lsn() >= $1::text::pg_lsn THEN 0.0
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END
"""


class Server(Protocol):
    """A server that can be read from, behind its guard."""

    async def read(self, work: Callable[[Any], Awaitable[Any]]) -> Any:  # noqa: ANN401 - asyncpg has no types
        """Runs `work` with a connection. Raises `UnavailableError`."""


class ReplicaLag:
    """The lag of one shard's replica. `most_s`: with more lag the replica is not used while the primary answers."""

    def __init__(self, primary: Server, replica: Server, *, shard: str, most_s: float) -> None:
        self._primary = primary
        self._replica = replica
        self._most_s = most_s
        self._gauge = REPLICA_LAG_SECONDS.labels(shard)
        self.last_s: float | None = None
        """As last measured; None: it could not be, or not yet."""

    @property
    def tolerable(self) -> bool:
        """Whether the replica is known to be close enough to the primary."""
        return self.last_s is not None and self.last_s <= self._most_s

    async def watch(self) -> None:
        """Endless: measures, and sets the gauge; the gauge is NaN while the lag cannot be measured."""
        while True:
            self.last_s = await self.measure()
            self._gauge.set(math.nan if self.last_s is None else self.last_s)
            await asyncio.sleep(PERIOD_S)

    async def measure(self) -> float | None:
        """The lag in seconds. None: the replica does not answer, or has replayed nothing yet.

        The primary's flush position against the replica's replay position; while they differ, or the primary is away,
        the age of the newest transaction that was replayed.
        """
        try:
            written = await self._primary.read(lambda c: c.fetchval("SELECT pg_current_wal_flush_lsn()::text"))
        except UnavailableError:
            written = None
        try:
            lag_s = await self._replica.read(lambda c: c.fetchval(_REPLAYED, written))
        except UnavailableError:
            return None
        return None if lag_s is None else float(lag_s)
