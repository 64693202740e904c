"""Bounded connection pools to the primary and the replica, with a time-out and a breaker around every use.

Decisions are read and written on the primary; the replica serves browsing only and may lag. A connection whose use was
cut short is dropped: asyncpg would otherwise wait until a hung server confirms the cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg

from target.runtime.breakers import GuardedCalls, UnavailableError
from target.storage.replica_lag import ReplicaLag
from target.telemetry.metrics import BROWSE_READS, DB_POOL_BUSY_SECONDS, DB_POOL_CONNECTIONS, DB_WRITE_SECONDS

T = TypeVar("T")
Connection: TypeAlias = Any  # asyncpg's pool proxy; the library has no types

POOL_SIZE: Final = 16
WARM_CONNECTIONS: Final = 8
LAG_MAX_S: Final = 5.0

OUTAGE_ERRORS: Final[tuple[type[BaseException], ...]] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCatalogNameError,  # a replica that does not know a new database yet
    asyncpg.InternalClientError,  # the server's last message came on an idle connection: unusable, not yet closed
)
_SPOILING_ERRORS: Final[tuple[type[BaseException], ...]] = (asyncio.CancelledError, *OUTAGE_ERRORS)


class Store:
    """One server behind its pool and its guard. Raises `UnavailableError` when it cannot be used in time."""

    def __init__(
        self, dsn: str, guard: GuardedCalls, *, server: str, shard: str = "", pool_size: int = POOL_SIZE
    ) -> None:
        self.guard = guard
        self._busy = DB_POOL_BUSY_SECONDS.labels(server, shard)
        self._limit = DB_POOL_CONNECTIONS.labels(server, shard)
        self._dsn = dsn
        self._pool_size = pool_size
        self._pool: Any = None

    async def open(self) -> None:
        """Opens the pool and a few connections; a server that is away now is connected at the first use."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._pool_size,
            timeout=self.guard.timeout_s,
            reset=_keep_session,
            server_settings={"statement_timeout": str(int(self.guard.timeout_s * 1000)), "jit": "off"},
        )
        self._limit.set(self._pool_size)
        with contextlib.suppress(*OUTAGE_ERRORS, TimeoutError):
            await asyncio.gather(*(self.use(_linger) for _ in range(min(WARM_CONNECTIONS, self._pool_size))))

    async def close(self) -> None:
        """Closes every connection at once."""
        if self._pool is not None:
            self._pool.terminate()

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs `work` with a connection."""
        return await self.guard.call(lambda: self.use(work), operation="read")

    async def write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """As `read`, and measures the time."""
        with DB_WRITE_SECONDS.time():
            return await self.guard.call(lambda: self.use(work), operation="write")

    async def ping(self) -> None:
        """The cheapest query that shows that the server works."""
        await self.use(_select_one)

    async def use(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Runs `work` with a connection; not guarded."""
        connection = await self._pool.acquire()
        began_s = time.monotonic()
        try:
            return await work(connection)
        except _SPOILING_ERRORS:
            with contextlib.suppress(asyncpg.InterfaceError):  # it may have left the pool already
                connection.terminate()
            raise
        finally:
            await self._pool.release(connection)
            self._busy.inc(time.monotonic() - began_s)


class Database:
    """The primary (breaker `db`) and the replica of one shard."""

    def __init__(
        self,
        primary_dsn: str,
        replica_dsn: str,
        *,
        timeout_s: float,
        shard: str = "",
        pool_size: int = POOL_SIZE,
        lag_max_s: float = LAG_MAX_S,
    ) -> None:
        guard = partial(GuardedCalls, failures=OUTAGE_ERRORS, timeout_s=timeout_s, shard=shard)
        self.shard = shard  # the shard's number; "" when there is only one
        self.primary = Store(primary_dsn, guard("db"), server="primary", shard=shard, pool_size=pool_size)
        self.replica = Store(
            replica_dsn, guard("replica"), server="replica", shard=shard, pool_size=max(2, pool_size // 4)
        )
        self.lag = ReplicaLag(self.primary, self.replica, shard=shard, most_s=lag_max_s)

    async def open(self) -> None:
        """Opens both pools."""
        await asyncio.gather(self.primary.open(), self.replica.open())

    async def close(self) -> None:
        """Closes both pools."""
        await asyncio.gather(self.primary.close(), self.replica.close())

    async def browse(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Reads data that may be old: on the replica, or on the primary when the replica is away or too far behind."""
        first, second = (self.replica, self.primary) if self.lag.tolerable else (self.primary, self.replica)
        try:
            found = await first.read(work)
        except UnavailableError:
            first, found = second, await second.read(work)
        BROWSE_READS.labels("replica" if first is self.replica else "primary").inc()
        return found


async def _keep_session(_connection: Connection) -> None:
    """Does not reset a session, because our statements leave nothing behind: this saves a round trip per use."""


async def _select_one(connection: Connection) -> None:
    await connection.fetchval("SELECT 1")


async def _linger(connection: Connection) -> None:
    await connection.fetchval("SELECT pg_sleep(0.02)")
