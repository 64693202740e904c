"""What a hold that is refused answers and leaves behind, in both backends; and that the feed does not grow for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from target.roles.composition import HOLD_BACKENDS
from target.seats import Inventory, SeatStore, load
from target.seats.lua import EXPIRE, seat_keys
from target.seats.store import LIMIT, OK, TAKEN, UNREADY, HoldOwner, HoldReply
from target.storage.keys import FEED_LENGTH_MAX, Keys
from target.storage.redis import RedisStore, Script
from tests.target.conftest import Valkey

VENUE = load("arena", "e1")
KEYS = Keys("e1")
TTL_US = 60_000_000
NODE_ENTRIES = 100  # of a stream: Redis trims whole nodes only

FILL = Script("""
for n = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '0-*', ARGV[2], n % 2 .. ' 0 0') end
return 1
""")


@dataclass(frozen=True)
class Seats:
    """One backend on a Valkey of its own."""

    redis: RedisStore
    store: SeatStore

    async def hold(self, identity: str, *seats: int, limit: int = 4) -> HoldReply:
        """Seats by their index."""
        hold_id = f"{identity}-{'-'.join(map(str, seats))}"
        places = [(VENUE.seats[index], index) for index in seats]
        return await self.store.hold(hold_id, HoldOwner(identity, identity), places, limit=limit, ttl_us=TTL_US)

    async def everything(self) -> dict[bytes, bytes]:
        """All keys as they are."""
        client = self.redis.client
        return {key: await client.dump(key) for key in sorted(await client.keys("*"))}


@asynccontextmanager
async def seats_on(valkey: Valkey, backend: str, *, loaded: bool) -> AsyncIterator[Seats]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    store = HOLD_BACKENDS[backend](redis, KEYS)
    try:
        if loaded:
            await Inventory(redis, KEYS, VENUE, hold_ttl_s=60.0, store=store).load()
        yield Seats(redis, store)
    finally:
        await redis.close()


def run(valkey: Valkey, backend: str, test: Callable[[Seats], Awaitable[None]], *, loaded: bool = True) -> None:
    async def main() -> None:
        async with seats_on(valkey, backend, loaded=loaded) as seats:
            await test(seats)

    asyncio.run(main())


def taken(*seats: int) -> HoldReply:
    return HoldReply(TAKEN, taken=tuple(VENUE.seats[index] for index in seats))


backends = pytest.mark.parametrize("backend", sorted(HOLD_BACKENDS))


@backends
@pytest.mark.parametrize(
    ("identity", "wanted", "answer"),
    [
        ("new", (1,), taken(1)),
        ("new", (2,), taken(2)),
        ("new", (0, 1, 3), taken(1)),
        ("new", (1, 0, 2), taken(1, 2)),
        ("new", (0, 3, 2), taken(2)),
        ("new", (0, 3, 4, 5, 6), HoldReply(LIMIT, bought=0)),
        ("one", (0, 3, 4, 5), HoldReply(LIMIT, bought=1)),
        ("one", (0, 3, 4, 2), HoldReply(LIMIT, bought=1)),
        ("one", (0, 1), taken(1)),
    ],
)
def test_a_refusal_says_why_and_changes_nothing(
    valkey: Valkey, backend: str, identity: str, wanted: tuple[int, ...], answer: HoldReply
) -> None:
    async def test(seats: Seats) -> None:
        assert (await seats.hold("one", 1)).word == OK
        await seats.store.sell("sold", HoldOwner("two", "two"), [(VENUE.seats[2], 2)])
        before = await seats.everything()
        assert await seats.hold(identity, *wanted) == answer
        assert await seats.everything() == before
        assert (await seats.hold(identity, 0, 3)).word == OK

    run(valkey, backend, test)


@backends
@pytest.mark.parametrize("wanted", [(0,), (0, 1), (0, 1, 2, 3, 4)])
def test_an_event_that_is_not_loaded_stays_empty(valkey: Valkey, backend: str, wanted: tuple[int, ...]) -> None:
    async def test(seats: Seats) -> None:
        assert await seats.hold("new", *wanted) == HoldReply(UNREADY)
        assert await seats.everything() == {}

    run(valkey, backend, test, loaded=False)


@backends
def test_no_limit_is_no_refusal(valkey: Valkey, backend: str) -> None:
    async def test(seats: Seats) -> None:
        assert (await seats.hold("new", *range(10), limit=0)).word == OK
        assert await seats.hold("new", 10) == HoldReply(LIMIT, bought=10)
        assert await seats.hold("other", *range(12), limit=0) == taken(*range(10))

    run(valkey, backend, test)


@backends
def test_the_feed_is_trimmed_by_what_ends_a_hold(valkey: Valkey, backend: str) -> None:
    async def test(seats: Seats) -> None:
        await seats.redis.run(FILL, (KEYS.feed,), (FEED_LENGTH_MAX + 5_000, VENUE.seats[0]))
        assert (await seats.hold("f", 1)).word == OK
        assert await seats.store.release("f-1", fan="f") == OK
        assert FEED_LENGTH_MAX <= await seats.redis.client.xlen(KEYS.feed) <= FEED_LENGTH_MAX + NODE_ENTRIES
        [(newest, _)] = await seats.redis.client.xrevrange(KEYS.feed, count=1)
        assert newest == f"0-{FEED_LENGTH_MAX + 5_002}".encode()

    run(valkey, backend, test)


@pytest.mark.parametrize(
    ("asked_s", "waited_s", "ended"), [(2.0, 0.0, 1), (0.5, 0.0, 0), (2.0, 3.0, 0)], ids=["now", "before", "too late"]
)
def test_a_call_that_hung_ends_only_what_was_due_when_it_was_sent(
    valkey: Valkey, asked_s: float, waited_s: float, ended: int
) -> None:
    """A hold of a second. What was sent in a hang reaches Redis when nobody waits any more, and much was paid for."""

    async def main() -> int:
        async with seats_on(valkey, "lua", loaded=True) as seats:
            places = [(VENUE.seats[0], 0)]
            held = await seats.store.hold("h", HoldOwner("f", "f"), places, limit=4, ttl_us=-1_000_000)
            asked_us = held.expires_us - 1_000_000 + round(1e6 * asked_s)
            patience_us = await seats.redis.time_us() - asked_us + round(1e6 * (1.0 - waited_s))
            prefix = KEYS.ended("")
            keys = (*seat_keys(KEYS), prefix)
            return int(await seats.redis.run(EXPIRE, keys, (10, prefix, asked_us, patience_us)))

    assert asyncio.run(main()) == ended
