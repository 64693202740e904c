"""Events over several databases: where each goes, and that one event's trouble stays with its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import asyncpg
import msgspec
import pytest

from target.orders import OrderState
from target.roles.composition import checkouts_of, compose_all
from target.runtime.breakers import UnavailableError
from target.settings import Settings, SettingsError
from target.storage.migrate import migrate_postgres
from target.storage.shards import Shards, shard_dsns, shard_of
from tests.target.booth import Booth, settings_for
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider


def _events_of_both_shards() -> tuple[str, str]:
    """One event of shard 0 and one of shard 1."""
    names = [f"game-{n}" for n in range(20)]
    return next(n for n in names if shard_of(n, 2) == 0), next(n for n in names if shard_of(n, 2) == 1)


def test_events_are_spread_evenly_and_a_new_shard_moves_only_what_it_takes() -> None:
    events = [f"event-{n}" for n in range(3000)]
    before = {event: shard_of(event, 2) for event in events}
    after = {event: shard_of(event, 3) for event in events}
    assert 1350 < sum(before.values()) < 1650
    assert {after[event] for event in events if after[event] != before[event]} == {2}
    assert 850 < sum(shard == 2 for shard in after.values()) < 1150


def test_primaries_without_replicas_are_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="2 databases and TARGET_REPLICA_DSN 1"):
        shard_dsns(Settings(primary_dsn="postgresql://a/x postgresql://a/y", replica_dsn="postgresql://b/x"))


def test_a_process_connects_only_to_the_shards_of_its_events() -> None:
    first, _ = _events_of_both_shards()
    settings = Settings(
        event=first,
        primary_dsn="postgresql://a/x postgresql://a/y",
        replica_dsn="postgresql://b/x postgresql://b/y",
    )
    assert [database.shard for database in Shards(settings).databases] == ["0"]


@pytest.fixture
def two_shards(truth: Truth, valkey: Valkey, provider: Provider) -> Iterator[Settings]:
    """Two events, each with a database of its own on the one server."""
    dsns = [[f"{dsn.rpartition('/')[0]}/shard_{n}" for n in (0, 1)] for dsn in (truth.primary_dsn, truth.replica_dsn)]
    for dsn in dsns[0]:
        asyncio.run(migrate_postgres(dsn))
    yield settings_for(
        valkey,
        truth,
        provider,
        event=",".join(_events_of_both_shards()),
        primary_dsn=" ".join(dsns[0]),
        replica_dsn=" ".join(dsns[1]),
    )
    for dsn in dsns[0]:
        asyncio.run(_run(dsn, "TRUNCATE orders, order_seats"))


async def _run(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_each_event_sells_the_same_seat_in_its_own_database(two_shards: Settings) -> None:
    async def main() -> None:
        connections, contexts = compose_all(two_shards)
        await connections.open()
        try:
            for context in contexts:
                await context.inventory.load()
                booth = Booth(context, checkouts_of(context))
                receipt = await booth.pay(await booth.hold("f1", "101-A-1"))
                assert receipt.state == OrderState.CONFIRMED
                assert [row.seat for row in await context.orders.export()] == ["101-A-1"]
        finally:
            await connections.close()

    asyncio.run(main())


def test_a_locked_shard_leaves_the_other_event_alone(two_shards: Settings) -> None:
    async def main() -> None:
        connections, [stuck, free] = compose_all(msgspec.structs.replace(two_shards, dependency_timeout_s=2.0))
        await connections.open()
        blocker = await asyncpg.connect(two_shards.primary_dsn.split()[0])
        try:
            for context in (stuck, free):
                await context.inventory.load()
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
                crowd = [asyncio.create_task(stuck.orders.pending()) for _ in range(40)]  # more than the pool has
                booth = Booth(free, checkouts_of(free))
                receipt = await booth.pay(await booth.hold("f1", "101-A-1"))
                assert receipt.state == OrderState.CONFIRMED
                refused = await asyncio.gather(*crowd, return_exceptions=True)
                assert all(isinstance(error, UnavailableError) for error in refused)
            assert free.database.primary.guard.state == "closed"
        finally:
            await blocker.close()
            await connections.close()

    asyncio.run(main())


def test_the_settings_of_one_event_name_it_alone() -> None:
    settings = Settings(event="a,b")
    assert [one.event for one in settings.of_events()] == ["a", "b"]
    assert {msgspec.structs.replace(one, event="x") for one in settings.of_events()} == {Settings(event="x")}
