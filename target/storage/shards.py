"""Which database an event's orders live in: each shard has its own pools and breakers.

The shard is found by rendezvous hashing of the event id over the shards' numbers: this needs no table, every process
gets the same shard, and a shard added at the end takes over a fair share of the events without moving others.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from typing import Any

from target.settings import Settings, SettingsError
from target.storage.database import Database


def shard_of(event: str, shards: int) -> int:
    """The number of the event's shard, 0 to `shards` - 1."""
    return max(range(shards), key=lambda shard: hashlib.blake2b(f"{event}\0{shard}".encode(), digest_size=8).digest())


def shard_dsns(settings: Settings) -> list[tuple[str, str]]:
    """Primary and replica of each shard. Raises `SettingsError` unless there is one replica for each primary."""
    primaries, replicas = settings.primary_dsn.split(), settings.replica_dsn.split()
    if not primaries or len(primaries) != len(replicas):
        raise SettingsError(
            f"TARGET_PRIMARY_DSN names {len(primaries)} databases and TARGET_REPLICA_DSN {len(replicas)}: "
            "give each shard one of both, with spaces between"
        )
    return list(zip(primaries, replicas, strict=True))


class Shards:
    """The databases that the events of one process need; the others are never connected to."""

    def __init__(self, settings: Settings) -> None:
        dsns = shard_dsns(settings)
        self._count = len(dsns)
        wanted = sorted({shard_of(event, self._count) for event in settings.events})
        self._databases = {
            shard: Database(
                *dsns[shard],
                shard=str(shard) if self._count > 1 else "",
                timeout_s=settings.dependency_timeout_s,
                pool_size=settings.database_connections,
                lag_max_s=settings.replica_lag_max_s,
            )
            for shard in wanted
        }

    @property
    def databases(self) -> Sequence[Database]:
        """The databases in use."""
        return tuple(self._databases.values())

    def of(self, event: str) -> Database:
        """The database of one of the process's events."""
        return self._databases[shard_of(event, self._count)]

    async def open(self) -> None:
        """Opens all pools."""
        for database in self.databases:
            await database.open()

    async def close(self) -> None:
        """Closes all pools."""
        await asyncio.gather(*(database.close() for database in self.databases))

    def probes(self) -> list[Coroutine[Any, Any, None]]:
        """Endless jobs: the active probes of all breakers, and the watch on each replica's lag."""
        stores = [store for database in self.databases for store in (database.primary, database.replica)]
        watches = (database.lag.watch() for database in self.databases)
        return [*(store.guard.probe_forever(store.ping) for store in stores), *watches]
