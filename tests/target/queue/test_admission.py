"""What every mode of admission promises: the order, the limits, the absent, outages, and several workers at one door.

The modes differ in the rate alone, and only by what they are told of conflicts and no-shows: test_admission_feedback.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from target.http.tickets import Ticket
from target.queue import fastest_per_s
from target.queue.admission import RETURN_GRACE_S
from target.queue.rules import Rules
from target.queue.waiting_room import EntryRefusedError, JoinState
from tests.target.admission_line import Line, every_mode, run
from tests.target.conftest import Valkey

pytestmark = every_mode
CROWD = [f"fan-{n}" for n in range(40)]
HARDLY = {  # so slow that it is the burst alone that lets anybody in
    "admission_rate_per_s": 0.01,
    "admission_floor_per_s": 0.01,
    "admission_ceiling_per_s": 0.01,
    "admission_burst": 10,
}
LIMITS = {
    "admission_rate_per_s": 60.0,
    "admission_floor_per_s": 20.0,
    "admission_ceiling_per_s": 60.0,
    "admission_burst": 10,
}


def test_fans_are_let_in_in_the_order_of_joining(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        crowd = [f"fan-{n}" for n in range(200)]
        places = await asyncio.gather(*(line.room.join(fan, fan) for fan in crowd))
        in_order = sorted(crowd, key=lambda fan: places[crowd.index(fan)].joined_us)
        assert await line.until_in(200, line.worker()) == in_order

    run(valkey, mode, test)


def test_several_workers_at_one_door_let_everybody_in_once_and_in_order(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        await line.join(*CROWD)
        assert await line.until_in(len(CROWD), *(line.worker() for _ in range(4))) == CROWD

    run(valkey, mode, test)


@pytest.mark.parametrize("workers", [1, 3])
def test_no_window_exceeds_the_limit_and_the_burst_whatever_becomes_of_the_holds(
    valkey: Valkey, mode: str, workers: int
) -> None:
    async def test(line: Line) -> None:
        await asyncio.gather(*(line.room.join(f"f{n}", f"f{n}") for n in range(300)))
        doors, dice, calls = [line.worker() for _ in range(workers)], random.Random(3), []
        end, were_in = time.monotonic() + 1.2, 0
        while time.monotonic() < end:
            began = time.monotonic()
            await line.observe(doors[0], holds=20, conflicts=dice.choice((0, 0, 6)))
            await asyncio.gather(*(door.step() for door in doors))
            done, are_in = time.monotonic(), len(await line.let_in())
            calls.append((began, done, are_in - were_in))
            were_in = are_in
        assert were_in > 10
        fastest = fastest_per_s(line.settings)
        for first, (start, *_) in enumerate(calls):
            let_in = 0
            for _, done_s, count in calls[first:]:
                let_in += count
                assert let_in <= fastest * (done_s - start) + 10 + 1e-6

    run(valkey, mode, test, **LIMITS)


def test_the_rate_stays_within_floor_and_ceiling_and_the_line_moves_on(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.join(*CROWD)
        for conflicts in (30, 0):
            were_in = len(await line.let_in())
            for _ in range(40):
                await line.observe(door, holds=30, conflicts=conflicts)
                rate_per_s = line.metric("target_admission_rate_per_s")
                assert rate_per_s is not None
                assert 20.0 <= rate_per_s <= 60.0
            await line.until_in(min(were_in + 10, 40), door)

    run(valkey, mode, test, **LIMITS)


def test_the_door_opens_with_an_empty_bucket_and_after_a_quiet_time_lets_a_burst_in(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.join(*CROWD)
        await door.step()
        assert await line.let_in() == []
        await line.last_admission_was(3600)
        await door.step()
        assert await line.let_in() == CROWD[:10]

    run(valkey, mode, test, **HARDLY)


def test_a_worker_that_takes_over_brings_no_burst_of_its_own(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        await line.join(*CROWD)
        await line.worker().step()
        await line.last_admission_was(3600)
        for door in (line.worker() for _ in range(5)):
            await door.step()
            assert await line.let_in() == CROWD[:10]
        await line.last_admission_was(3600)
        await line.worker().step()
        assert await line.let_in() == CROWD[:20]

    run(valkey, mode, test, **HARDLY)


def test_the_silent_are_passed_over_cost_no_admission_and_have_their_place_when_they_come(
    valkey: Valkey, mode: str
) -> None:
    async def test(line: Line) -> None:
        door, silent = line.worker(), [f"silent-{n}" for n in range(50)]
        await line.join(*silent, "here", "later")
        await line.silence(*silent)
        await door.step()
        assert await line.let_in() == ["here", "later"]
        assert line.metric("target_abandoned_places_total") == 50
        assert line.metric("target_queue_depth") == 0
        await line.join("last")
        back = await line.room.join("silent-7", "silent-7")
        assert (back.position, back.new) == (1, False)
        assert (await line.until_in(4, door))[2:] == ["silent-7", "last"]

    run(valkey, mode, test)


def test_no_shows_are_counted_once_hold_nobody_up_and_queue_again(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.join("a", "b", "c")
        line.room.rules = Rules(admission_valid_s=0.0)
        await line.until_in(3, door)
        for fan in ("a", "b"):
            with pytest.raises(EntryRefusedError, match="expired"):
                await line.enter(fan)
        line.room.rules = Rules()
        for _ in range(3):
            await door.step()
        assert line.metric("target_no_shows_total") == 3
        await line.join("d")
        again = await line.room.join("a", "a")
        assert (again.state, again.position) == (JoinState.QUEUED, 2)
        while await line.positions("a", "d") != [0, 0]:
            await door.step()
        entries = [await line.enter(fan) for fan in "da"]
        assert [entry.admission_no for entry in entries] == [4, 5]
        assert line.metric("target_no_shows_total") == 3

    run(valkey, mode, test)


def test_nobody_is_let_in_before_the_opening_and_then_no_burst(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.join(*CROWD)
        while not await line.room.opened():
            await door.step()
        await door.step()
        assert await line.let_in() == []
        await line.last_admission_was(3600)
        await door.step()
        assert await line.let_in() == CROWD[:10]

    run(valkey, mode, test, **HARDLY, opens_at_s=time.time() + 0.7)


def test_nobody_is_let_in_until_the_grace_after_an_outage_is_over(mortal_valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.join("a")
        await line.until_in(1, door)

        mortal_valkey.kill()
        await door.step()
        parked = Ticket("e1", "parked", "parked", line.room.stamp(), 4e9)
        mortal_valkey.start()
        await line.load()
        await line.join("later")
        for _ in range(5):
            await door.step()
        assert (await line.room.rejoin(parked)).position == 1

        line.clock.now_s += RETURN_GRACE_S - 0.01
        await door.step()
        assert await line.positions("parked", "later") == [1, 2]
        line.clock.now_s += 0.02
        assert await line.until_in(2, door) == ["parked", "later"]

    run(mortal_valkey, mode, test)


def test_an_event_that_is_not_loaded_counts_as_an_outage(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await door.step()
        await line.load()
        await line.join("a")
        for _ in range(5):
            await door.step()
        assert await line.positions("a") == [1]
        line.clock.now_s += RETURN_GRACE_S
        assert await line.until_in(1, door) == ["a"]

    run(valkey, mode, test, loaded=False)


def test_the_door_can_be_held_shut_while_the_line_is_put_together(valkey: Valkey, mode: str) -> None:
    async def test(line: Line) -> None:
        door = line.worker()
        await line.join("a")
        door.hold_back()
        for _ in range(5):
            await door.step()
        assert await line.let_in() == []
        line.clock.now_s += RETURN_GRACE_S
        assert await line.until_in(1, door) == ["a"]

    run(valkey, mode, test)
