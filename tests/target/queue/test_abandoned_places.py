"""Places of fans who are silent: kept for the grace, passed over at the front, theirs again when they come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from target.http.tickets import Ticket
from target.queue import WaitingRoom
from target.queue.rules import Rules
from target.queue.scripts import WALK_MAX
from target.queue.waiting_room import HEARD_WITHIN_S, EntryRefusedError, JoinState, Turnout
from target.seats import Inventory, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.conftest import Valkey

KEYS = Keys("e1")
GRACE_S = 10.0
LONG_S = HEARD_WITHIN_S + GRACE_S + 100.0


class Line:
    """A waiting room whose fans can be made to have been silent for a while."""

    def __init__(self, room: WaitingRoom, redis: RedisStore) -> None:
        self.room = room
        self._redis = redis

    async def silence(self, *fans: str, for_s: float = LONG_S) -> None:
        """These fans were last heard of so long ago, and admission has gone on all the time."""
        now_us = time.time_ns() // 1000
        for fan in fans:
            await self._redis.command("ZADD", KEYS.seen, round(now_us - for_s * 1e6), fan)
        soon_us = now_us + 60_000_000  # no gap, however slow the test is
        await self._redis.command("HSET", KEYS.admission_bucket, "tokens", 0, "deaf_us", 1, "at_us", soon_us)

    async def stop(self, for_s: float) -> None:
        """Nobody was let in for so long: the worker or Redis was away."""
        at_us = time.time_ns() // 1000 - round(for_s * 1e6)
        await self._redis.command("HSET", KEYS.admission_bucket, "tokens", 0, "deaf_us", 1, "at_us", at_us)

    async def admit(self, count: int) -> int:
        """Lets in `count`; returns how many were passed over."""
        admitted = skipped = 0
        while admitted < count:
            done = await self.room.admit(rate_per_s=1e6, burst=count - admitted)
            admitted, skipped = admitted + done.count, skipped + done.skipped
        return skipped

    async def positions(self, *fans: str) -> list[int]:
        return list((await self.room.positions(fans)).of)


@asynccontextmanager
async def line_on(valkey: Valkey) -> AsyncIterator[Line]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
    try:
        yield Line(WaitingRoom(redis, KEYS, Rules(place_grace_s=GRACE_S)), redis)
    finally:
        await redis.close()


def run(valkey: Valkey, test: Callable[[Line], Awaitable[None]]) -> None:
    async def main() -> None:
        async with line_on(valkey) as line:
            await test(line)

    asyncio.run(main())


def ticket(fan: str, joined_us: int) -> Ticket:
    return Ticket("e1", fan, fan, joined_us, 4e9)


def test_the_silent_are_passed_over_and_cost_no_admission(valkey: Valkey) -> None:
    async def test(line: Line) -> None:
        for fan in "abcd":
            await line.room.join(fan, fan)
        await line.silence("a", "c")
        assert await line.admit(2) == 2
        assert await line.positions("b", "d") == [0, 0]
        entered = [await line.room.enter(ticket(fan, 0)) for fan in "bd"]
        assert [entry.admission_no for entry in entered] == [1, 2]
        with pytest.raises(EntryRefusedError, match="waiting"):
            await line.room.enter(ticket("a", 0))

    run(valkey, test)


def test_who_comes_back_has_the_old_place_in_a_new_epoch(valkey: Valkey) -> None:
    async def test(line: Line) -> None:
        places = {fan: await line.room.join(fan, fan) for fan in "abcde"}
        await line.silence("a", "b")
        assert await line.admit(1) == 2
        assert await line.positions("a", "b", "c", "d", "e") == [-1, -1, 0, 1, 2]
        back = await line.room.rejoin(ticket("b", places["b"].joined_us))
        assert (back.state, back.position, back.new) == (JoinState.QUEUED, 1, False)
        assert back.joined_us == places["b"].joined_us
        assert back.epoch != places["e"].epoch
        assert (await line.room.join("a", "a")).position == 1
        assert await line.positions("a", "b", "d", "e") == [1, 2, 3, 4]

    run(valkey, test)


@pytest.mark.parametrize("heard", ["by a stream", "by joining"])
def test_who_is_heard_of_is_not_silent(valkey: Valkey, heard: str) -> None:
    async def test(line: Line) -> None:
        place = await line.room.join("a", "a")
        await line.room.join("b", "b")
        await line.silence("a")
        await (line.positions("a") if heard == "by a stream" else line.room.rejoin(ticket("a", place.joined_us)))
        assert await line.admit(1) == 0
        assert await line.positions("a", "b") == [0, 1]

    run(valkey, test)


def test_a_place_is_kept_for_the_grace(valkey: Valkey) -> None:
    async def test(line: Line) -> None:
        for fan in "abc":
            await line.room.join(fan, fan)
        await line.silence("a", for_s=GRACE_S)
        await line.silence("b", for_s=HEARD_WITHIN_S + GRACE_S + 0.1)
        assert await line.admit(2) == 1
        assert await line.positions("a", "b", "c") == [0, -1, 0]

    run(valkey, test)


def test_after_an_outage_nobody_counts_as_silent(valkey: Valkey) -> None:
    async def test(line: Line) -> None:
        for fan in "abc":
            await line.room.join(fan, fan)
        await line.silence("a", "b")
        await line.stop(for_s=30.0)
        assert await line.admit(1) == 0
        assert await line.admit(1) == 0
        assert await line.positions("a", "b", "c") == [0, 0, 1]

    run(valkey, test)


def test_when_not_one_is_heard_of_it_is_the_platform_that_is_deaf(valkey: Valkey) -> None:
    async def test(line: Line) -> None:
        for fan in "abc":
            await line.room.join(fan, fan)
        await line.silence("a", "b", "c")
        assert await line.admit(2) == 0
        assert await line.positions("a", "b") == [0, 0]

    run(valkey, test)


def test_thousands_of_the_absent_do_not_stall_the_line(valkey: Valkey) -> None:
    async def test(line: Line) -> None:
        absent = [f"absent-{n}" for n in range(3000)]
        await asyncio.gather(*(line.room.join(fan, fan) for fan in absent))
        await line.room.join("here", "here")
        await line.silence(*absent)
        skipped = []
        while (await line.positions("here")) != [0]:
            skipped.append((await line.room.admit(rate_per_s=1e6, burst=10)).skipped)
        assert sum(skipped) == 3000
        assert WALK_MAX <= max(skipped) <= 2 * WALK_MAX, "many at once, but not without bounds"

    run(valkey, test)


def test_those_who_were_let_in_and_do_not_come_are_counted_once(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(line: Line) -> None:
        for fan in "abcd":
            await line.room.join(fan, fan)
        await line.admit(2)
        assert await line.room.turnout() == Turnout(entered=0, missed=0)
        await line.room.enter(ticket("a", 0))
        monkeypatch.setattr("target.queue.waiting_room.LATE_S", 0.0)
        assert await line.room.turnout() == Turnout(entered=1, missed=1)
        line.room.rules = Rules(admission_valid_s=0.0)
        await line.admit(2)
        assert (await line.room.rejoin(ticket("c", 1))).state is JoinState.QUEUED
        counted = [await line.room.admit(rate_per_s=0.001, burst=1) for _ in range(3)]
        assert sum(one.no_shows for one in counted) <= 1
        assert await line.room.turnout() == Turnout(entered=1, missed=2), "b has its ten minutes"

    run(valkey, test)
