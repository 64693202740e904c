"""The replica is used for browsing while it is near enough, and passed over when it is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from target.runtime.breakers import UnavailableError
from target.storage.database import Connection, Database
from target.telemetry.metrics import BROWSE_READS
from tests.target.booth import until
from tests.target.gate import gate_to
from tests.target.postgres_fixture import Truth

_IS_REPLICA = "SELECT pg_is_in_recovery()"


async def _is_replica(connection: Connection) -> bool:
    return bool(await connection.fetchval(_IS_REPLICA))


@contextlib.asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[Database]:
    await database.open()
    watching = asyncio.create_task(database.lag.watch())
    try:
        yield database
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.close()


async def _ask(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _reads(source: str) -> float:
    return float(BROWSE_READS.labels(source)._value.get())


def test_a_near_replica_serves_browsing(truth: Truth) -> None:
    async def main() -> None:
        async with _opened(Database(truth.primary_dsn, truth.replica_dsn, timeout_s=5.0)) as database:
            await until(lambda: _truth(database.lag.tolerable), what="a measured lag")
            before = _reads("replica")
            assert await database.browse(_is_replica)
            assert _reads("replica") == before + 1

    asyncio.run(main())


def test_a_replica_that_is_far_behind_is_passed_over_until_it_has_caught_up(truth: Truth) -> None:
    async def main() -> None:
        database = Database(truth.primary_dsn, truth.replica_dsn, timeout_s=5.0, lag_max_s=0.2)
        async with _opened(database):
            await until(lambda: _truth(database.lag.tolerable), what="a measured lag")
            await _ask(truth.replica_dsn, "SELECT pg_wal_replay_pause()")
            try:
                await _ask(truth.primary_dsn, "TRUNCATE order_seats")
                await until(lambda: _truth(not database.lag.tolerable), what="the lag to be noticed")
                assert not await database.browse(_is_replica)
            finally:
                await _ask(truth.replica_dsn, "SELECT pg_wal_replay_resume()")
            await until(lambda: database.browse(_is_replica), what="the replica to catch up")

    asyncio.run(main())


def test_a_replica_that_is_behind_is_better_than_nothing(truth: Truth) -> None:
    async def main() -> None:
        async with gate_to(truth.primary_port) as gate:
            cut_dsn = truth.primary_dsn.replace(f":{truth.primary_port}/", f":{gate.port}/")
            await gate.shut()
            async with _opened(Database(cut_dsn, truth.replica_dsn, timeout_s=1.0, lag_max_s=0.01)) as database:
                assert await database.browse(_is_replica)

    asyncio.run(main())


def test_without_both_there_is_an_outage(truth: Truth) -> None:
    async def main() -> None:
        async with gate_to(truth.primary_port) as gate:
            cut_dsn = truth.primary_dsn.replace(f":{truth.primary_port}/", f":{gate.port}/")
            await gate.shut()
            async with _opened(Database(cut_dsn, cut_dsn, timeout_s=1.0)) as database:
                with pytest.raises(UnavailableError):
                    await database.browse(_is_replica)

    asyncio.run(main())


async def _truth(value: bool) -> bool:
    return value
