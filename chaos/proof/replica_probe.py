"""Probes whether data written to a primary arrives on its replica, and how soon. Reaches both past every proxy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

import asyncpg
import msgspec

from chaos.proof.probes import Reading

_POLL_S: Final = 0.02
# asyncpg has no types of its own
_Connection = Any


class Replication(msgspec.Struct, frozen=True):
    """A primary and the replica that follows it, as data source names of a superuser."""

    primary_dsn: str
    replica_dsn: str


class ReplicaProbe:
    """A probe that keeps both connections. For one thread; `close` it there."""

    def __init__(self, servers: Replication) -> None:
        self._servers = servers
        self._loop = asyncio.new_event_loop()
        self._connections: tuple[_Connection, _Connection] | None = None

    def read(self, timeout_s: float) -> Reading:
        """One probe. ok: the data arrived. stale: not within `timeout_s`. refused: a server could not be reached."""
        started_s = time.monotonic()
        try:
            fresh = self._loop.run_until_complete(asyncio.wait_for(self._arrives(timeout_s), timeout_s * 2))
            state = "ok" if fresh else "stale"
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._give_up()
            state = "refused"
        return Reading(state, round((time.monotonic() - started_s) * 1000, 3))

    def close(self) -> None:
        """Close the connections."""
        self._give_up()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _arrives(self, timeout_s: float) -> bool:
        if self._connections is None:
            dsns = (self._servers.primary_dsn, self._servers.replica_dsn)
            primary, replica = [await asyncpg.connect(dsn, timeout=timeout_s) for dsn in dsns]
            self._connections = primary, replica
        primary, replica = self._connections
        # a message in the log that changes no table: transactional, so that the commit must arrive
        written = await primary.fetchval("SELECT pg_logical_emit_message(true, 'gatecrash', 'canary')::text")
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if await replica.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    def _give_up(self) -> None:
        for connection in self._connections or ():
            with contextlib.suppress(OSError, asyncpg.InterfaceError):
                connection.terminate()
        self._connections = None


def replica(servers: Replication, timeout_s: float) -> Reading:
    """One probe, with connections of its own."""
    probe = ReplicaProbe(servers)
    try:
        return probe.read(timeout_s)
    finally:
        probe.close()
