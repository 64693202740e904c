"""The map and the counts on a real Valkey: how often it is asked, and how soon every process knows of a change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping

import msgspec

from target.runtime.breakers import UnavailableError
from target.seats import Inventory, SeatMap, load
from target.seats.seat_map import Counts, Seats
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.booth import Claimed, until
from tests.target.conftest import Valkey

VENUE = load("arena", "e1")
KEYS = Keys("e1")
SECTION = len(range(*VENUE.slices["101"]))
LONG_S = 3600.0


class Truth:
    """What the replica says while Redis is away."""

    async def seat_states(self) -> Mapping[str, str]:
        return {"101-A-1": "confirmed", "101-A-2": "pending"}


class Process:
    """One of several processes that show the map."""

    def __init__(self, redis: RedisStore) -> None:
        self.redis = redis
        self.map = SeatMap(redis, KEYS, VENUE, Truth())
        self.inventory = Inventory(redis, KEYS, VENUE, hold_ttl_s=60)

    async def free(self) -> int:
        return msgspec.json.decode(await self.map.counts(), type=Counts).counts["101"]

    async def seats(self) -> Seats:
        return msgspec.json.decode(await self.map.seats(), type=Seats)


@contextlib.asynccontextmanager
async def process(valkey: Valkey, *, listening: bool = False) -> AsyncIterator[Process]:
    redis = RedisStore(valkey.url, timeout_s=1.0)
    one = Process(redis)
    for cached in (one.map._seats, one.map._counts):
        cached._ttl_s = LONG_S  # so that nothing but news can end what is cached
    jobs = [redis.guard.probe_forever(redis.ping), *([one.map.run()] if listening else [])]
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await redis.close()


async def queries(one: Process) -> int:
    """How many reads of the map the server has answered."""
    commands = await one.redis.command("INFO", "commandstats")
    return int(commands.get("cmdstat_mget", {"calls": 0})["calls"])


def test_a_thousand_simultaneous_misses_make_one_query(valkey: Valkey) -> None:
    async def main() -> None:
        async with process(valkey) as one:
            await one.inventory.load()
            before = await queries(one)
            documents = await asyncio.gather(*(one.map.counts() for _ in range(1000)))
            assert len(set(documents)) == 1
            assert await queries(one) == before + 1
            await asyncio.gather(*(one.map.seats() for _ in range(1000)))
            assert await queries(one) == before + 1
            one.map.invalidate()
            await asyncio.gather(*(one.map.counts() for _ in range(500)), *(one.map.seats() for _ in range(500)))
            assert await queries(one) == before + 2

    asyncio.run(main())


def test_a_hold_a_sale_and_an_end_reach_the_counts_of_every_process(valkey: Valkey) -> None:
    async def main() -> None:
        async with process(valkey, listening=True) as one, process(valkey, listening=True) as other:
            await one.inventory.load()
            await until(lambda: _counts(other, SECTION), what="the other process to see the event")
            claim = Claimed("h1", "f", "f", ("101-A-1", "101-A-2"))
            await one.inventory.hold(claim, limit=0)
            await until(lambda: _counts(other, SECTION - 2), what="the hold")
            await one.inventory.mark_sold(claim)
            await until(lambda: _shows(other, "22"), what="the sale")
            late = Claimed("h2", "g", "g", ("101-A-3",))
            await one.inventory.hold(late, limit=0)
            await until(lambda: _counts(other, SECTION - 3), what="the second hold")
            await one.inventory.release("h2", fan="g")
            await until(lambda: _counts(other, SECTION - 2), what="its end")

    asyncio.run(main())


def test_a_new_epoch_and_the_loss_of_redis_are_noticed(mortal_valkey: Valkey) -> None:
    async def main() -> None:
        async with process(mortal_valkey, listening=True) as one:
            await one.inventory.load()
            await one.inventory.hold(Claimed("h", "f", "f", ("101-A-5",)), limit=0)
            await until(lambda: _counts(one, SECTION - 1), what="the hold")
            mortal_valkey.kill()
            await until(lambda: _told_by_orders(one), what="the replica's map")
            told = await one.seats()
            assert told.stale
            assert told.states["101"].startswith("2100")
            mortal_valkey.start()
            await until(lambda: _reloaded(one), within_s=60, what="a new epoch")
            await until(lambda: _counts(one, SECTION), within_s=60, what="an empty map")
            assert not (await one.seats()).stale

    asyncio.run(main())


def _get_round_to_nothing() -> None:
    time.sleep(1.0)  # as old as a map may be


async def _counts(one: Process, free: int) -> bool:
    return await one.free() == free


async def _shows(one: Process, states: str) -> bool:
    return (await one.seats()).states["101"].startswith(states)


async def _told_by_orders(one: Process) -> bool:
    return (await one.seats()).source == "orders"


async def _reloaded(one: Process) -> bool:
    try:
        return await one.inventory.load()
    except UnavailableError:
        return False


def test_what_a_late_process_gives_out_says_that_it_is_old(valkey: Valkey) -> None:
    async def main() -> None:
        async with process(valkey) as one:
            await one.inventory.load()
            assert not (await one.seats()).stale
            _get_round_to_nothing()
            assert (await one.seats()).stale
            assert not msgspec.json.decode(await one.map.counts(), type=Counts).stale
            _get_round_to_nothing()
            assert msgspec.json.decode(await one.map.counts(), type=Counts).stale
            one.map.invalidate()
            assert not (await one.seats()).stale
            one.map.invalidate()
            asked = asyncio.create_task(one.seats())
            await asyncio.sleep(0)  # its read has begun
            await asyncio.sleep(0)
            _get_round_to_nothing()
            assert (await asked).stale

    asyncio.run(main())
