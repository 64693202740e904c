"""The waiting room in a real Valkey: FIFO by join, idempotent, tickets in their place, a rate that holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from target.http.tickets import Ticket
from target.queue import SaleSignal, WaitingRoom
from target.queue.rules import Rules
from target.queue.waiting_room import (
    CodeSpentError,
    EntryRefusedError,
    ForeignPlaceError,
    JoinState,
    SecondPlaceError,
)
from target.seats import Inventory, load
from target.storage.keys import Keys
from target.storage.redis import NotReadyError, RedisStore
from tests.target.conftest import Valkey

VENUE = load("arena", "e1")
KEYS = Keys("e1")


@asynccontextmanager
async def room_on(valkey: Valkey, *, loaded: bool = True) -> AsyncIterator[WaitingRoom]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    if loaded:
        await Inventory(redis, KEYS, VENUE, hold_ttl_s=60).load()
    try:
        yield WaitingRoom(redis, KEYS)
    finally:
        await redis.close()


def run(valkey: Valkey, test: Callable[[WaitingRoom], Awaitable[None]], *, loaded: bool = True) -> None:
    async def main() -> None:
        async with room_on(valkey, loaded=loaded) as room:
            await test(room)

    asyncio.run(main())


def ticket(fan: str, joined_us: int = 0) -> Ticket:
    return Ticket("e1", fan, fan, joined_us, time.time() + 60)


async def admit(room: WaitingRoom, count: int) -> None:
    """Lets in `count` fans: a bucket of that size that fills at once."""
    admitted = 0
    while admitted < count:
        admitted += (await room.admit(rate_per_s=1e6, burst=count - admitted)).count


def test_positions_are_unique_and_in_the_order_of_joining(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        fans = [f"fan-{n}" for n in range(50)]
        assert [(await room.join(fan, fan)).position for fan in fans] == list(range(1, 51))
        crowd = await asyncio.gather(*(room.join(f"c{n}", f"c{n}") for n in range(300)))
        assert sorted(place.position for place in crowd) == list(range(51, 351))
        assert len({place.joined_us for place in crowd}) == 300
        assert sorted(crowd, key=lambda place: place.joined_us) == sorted(crowd, key=lambda place: place.position)
        assert len({place.epoch for place in crowd}) == 1

    run(valkey, test)


def test_joining_again_changes_nothing(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        first = await room.join("a", "me")
        await room.join("b", "b")
        again = await room.join("a", "somebody else")
        assert first.new
        assert not again.new
        assert (again.position, again.joined_us, again.identity) == (1, first.joined_us, "me")

    run(valkey, test)


def test_a_place_is_its_devices_also_on_streams_and_at_the_door(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        mine = await room.join("a", "a", device="phone")
        own = Ticket("e1", "a", "a", mine.joined_us, 4e9, "phone")
        theirs = Ticket("e1", "a", "a", mine.joined_us + 1, 4e9, "thief")
        for attempt in (room.join("a", "a"), room.join("a", "a", device="thief"), room.rejoin(theirs)):
            with pytest.raises(ForeignPlaceError):
                await attempt
        assert (await room.rejoin(own)).position == 1
        await admit(room, 1)
        with pytest.raises(ForeignPlaceError):
            await room.enter(theirs)
        assert (await room.enter(own)).admission_no == 1

    run(valkey, test)


def test_after_a_loss_of_data_the_earlier_ticket_is_the_true_one(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        own = Ticket("e1", "a", "a", room.stamp(), 4e9, "phone")
        await room.join("b", "b")
        await room.join("a", "thief", device="thief")
        place = await room.rejoin(own)
        assert (place.position, place.identity, place.new) == (1, "a", True)
        await admit(room, 2)
        assert (await room.enter(own)).admission_no == 1
        with pytest.raises(ForeignPlaceError):
            await room.enter(Ticket("e1", "a", "thief", 0, 4e9, "thief"))

    run(valkey, test)


def test_while_nothing_is_left_nobody_is_let_in_and_afterwards_the_bucket_is_empty(valkey: Valkey) -> None:
    async def main() -> None:
        async with room_on(valkey) as room:
            redis = RedisStore(valkey.url, timeout_s=30.0)
            sale = SaleSignal(redis, KEYS)
            for fan in "abc":
                await room.join(fan, fan)
            await admit(room, 1)
            await sale.set_sold_out(True)
            assert (await room.admit(rate_per_s=1e6, burst=5)).count == 0
            seen = await room.positions("bc")
            assert (list(seen.of), seen.sold_out) == ([1, 2], True)
            await sale.set_sold_out(False)
            assert not (await room.positions("bc")).sold_out
            assert (await room.admit(rate_per_s=1e-3, burst=5)).count == 0
            await admit(room, 2)
            await redis.close()

    asyncio.run(main())


def test_admission_is_first_in_first_out_and_entry_happens_once(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        for fan in "abcd":
            await room.join(fan, fan)
        with pytest.raises(EntryRefusedError, match="waiting"):
            await room.enter(ticket("a"))
        await admit(room, 2)
        assert list((await room.positions("abcdx")).of) == [0, 0, 1, 2, -1]
        entries = [await room.enter(ticket(fan)) for fan in "ab"]
        assert [entry.admission_no for entry in entries] == [1, 2]
        assert await room.enter(ticket("a")) == entries[0]
        assert (await room.join("a", "a")).state is JoinState.ADMITTED
        with pytest.raises(EntryRefusedError, match="waiting"):
            await room.enter(ticket("c"))

    run(valkey, test)


def test_a_ticket_is_used_up_after_the_time_for_repeats(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(room: WaitingRoom) -> None:
        await room.join("a", "a")
        await admit(room, 1)
        await room.enter(ticket("a"))
        monkeypatch.setattr(WaitingRoom, "repeat_enter_s", 0.0)
        with pytest.raises(EntryRefusedError, match="used"):
            await room.enter(ticket("a"))

    run(valkey, test)


def test_a_missed_admission_goes_to_the_end_of_the_queue(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        first = await room.join("a", "a")
        await room.join("b", "b")
        room.rules = Rules(admission_valid_s=0.0)
        await admit(room, 1)
        with pytest.raises(EntryRefusedError, match="expired"):
            await room.enter(ticket("a"))
        again = await room.rejoin(ticket("a", first.joined_us))
        assert again.position == 2

    run(valkey, test)


def test_parked_tickets_take_their_place_by_stamp_in_a_new_epoch(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        before = await room.join("before", "before")
        parked = [ticket(f"parked-{n}", room.stamp()) for n in range(3)]
        after = await room.join("after", "after")
        places = [await room.rejoin(parked[n]) for n in (2, 0, 1)]
        seen = await room.positions(["before", "parked-0", "parked-1", "parked-2", "after"])
        assert list(seen.of) == [1, 2, 3, 4, 5]
        assert before.epoch == after.epoch
        assert len({after.epoch, *(place.epoch for place in places)}) == 4
        assert seen.epoch == places[-1].epoch

    run(valkey, test)


def test_a_join_that_came_through_after_its_ticket_was_given_does_not_cost_the_place(valkey: Valkey) -> None:
    """A hang is lossless: what was sent before it is carried out when it is over, and the fan was told "paused"."""

    async def test(room: WaitingRoom) -> None:
        paused = ticket("early", room.stamp())
        later = ticket("later", room.stamp())
        epoch = (await room.join("early", "early")).epoch
        await room.rejoin(later)
        place = await room.rejoin(paused)
        assert (place.position, place.joined_us, place.new) == (1, paused.joined_us, False)
        assert place.epoch != epoch
        assert (await room.positions(["early", "later"])).of == [1, 2]
        assert (await room.rejoin(paused)).epoch == place.epoch
        await admit(room, 1)
        assert (await room.enter(paused)).admission_no == 1

    run(valkey, test)


def test_an_old_ticket_brings_a_place_that_was_given_up_not_back(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        paused = ticket("a", room.stamp())
        await room.rejoin(paused)
        room.rules = Rules(admission_valid_s=0.0)
        await admit(room, 1)
        await room.join("b", "b")
        assert (await room.rejoin(paused)).position == 2
        assert (await room.rejoin(paused)).position == 2

    run(valkey, test)


def test_a_stamp_from_a_clock_ahead_does_not_let_later_joins_pass(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        ahead_us = time.time_ns() // 1000 + 5_000_000
        await room.rejoin(ticket("ahead", ahead_us))
        later = await room.join("later", "later")
        assert later.position == 2
        assert later.joined_us > ahead_us
        assert room.stamp() > later.joined_us

    run(valkey, test)


def test_admissions_never_exceed_rate_and_burst(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        await asyncio.gather(*(room.join(f"f{n}", f"f{n}") for n in range(300)))
        admissions: list[tuple[float, float, int]] = []
        end, total = time.monotonic() + 60.0, 0
        while total < 60:
            before = time.monotonic()
            assert before < end
            admitted = await room.admit(rate_per_s=50, burst=10)
            admissions.append((before, time.monotonic(), admitted.count))
            total += admitted.count
        for first, (start, _, _) in enumerate(admissions):
            let_in = 0
            for _, done, count in admissions[first : first + 400]:
                let_in += count
                assert let_in <= 50 * (done - start) + 10 + 1e-6

    run(valkey, test)


def test_a_bucket_starts_empty(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        await room.join("a", "a")
        assert (await room.admit(rate_per_s=0.001, burst=30)).count == 0

    run(valkey, test)


def test_nobody_joins_before_the_event_is_loaded(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        for attempt in (room.join("a", "a"), room.positions(["a"]), room.admit(rate_per_s=1, burst=1)):
            with pytest.raises(NotReadyError):
                await attempt

    run(valkey, test, loaded=False)


def code_ticket(fan: str, code: str, joined_us: int) -> Ticket:
    return Ticket("e1", fan, fan, joined_us, time.time() + 60, "", code)


def test_an_access_code_lets_one_fan_in_also_over_a_loss_of_data(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        mine = await room.join("a", "a", code="c1")
        for _ in range(2):  # also when it is asked again
            with pytest.raises(CodeSpentError):
                await room.join("b", "b", code="c1")
        assert (await room.join("a", "a", code="c1")).position == 1
        assert (await room.join("b", "b", code="c2")).position == 2
        await room._redis.command("DEL", KEYS.codes, KEYS.fans, KEYS.queue)
        await room.rejoin(code_ticket("a", "c1", mine.joined_us))
        with pytest.raises(CodeSpentError):
            await room.join("thief", "thief", code="c1")

    run(valkey, test)


def test_of_two_tickets_that_were_given_for_one_code_while_redis_was_away_one_counts(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        tickets = [code_ticket(fan, "c1", room.stamp()) for fan in ("a", "b")]
        await room.rejoin(tickets[0])
        with pytest.raises(CodeSpentError):
            await room.rejoin(tickets[1])
        assert list((await room.positions(["a", "b"])).of) == [1, -1]

    run(valkey, test)


def test_whoever_is_refused_for_another_reason_does_not_take_the_code(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        await room.join("a", "a", device="phone")
        with pytest.raises(ForeignPlaceError):
            await room.join("a", "a", device="thief", code="c1")
        assert (await room.join("b", "b", code="c1")).position == 2

    run(valkey, test)


def test_an_identity_gets_one_place_where_the_rules_say_so(valkey: Valkey) -> None:
    async def test(room: WaitingRoom) -> None:
        await room.join("phone", "ann")
        await room.join("laptop", "ann")  # without the rule
        one_each = WaitingRoom(room._redis, KEYS, Rules(places_per_identity=1))
        await one_each.join("p", "bob")
        with pytest.raises(SecondPlaceError):
            await one_each.join("l", "bob")
        assert (await one_each.join("p", "bob")).position == 3
        await admit(one_each, 3)
        with pytest.raises(SecondPlaceError):
            await one_each.join("l", "bob")

    run(valkey, test)
