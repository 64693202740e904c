"""The admission loop: at its rate, and after an outage only when parked tickets have had time to come back."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from prometheus_client import REGISTRY

from target.admission import RETURN_GRACE_S, AdmissionController
from target.conflict_signal import ConflictSignal
from target.inventory import Inventory
from target.keys import Keys
from target.queue_rules import Rules
from target.rate_policy import OBSERVE_S, AdaptiveRate, Feedback, FixedRate
from target.redis_store import RedisStore
from target.tickets import Ticket
from target.venue import load
from target.waiting_room import WaitingRoom
from tests.target.conftest import Valkey

KEYS = Keys("e1")
EAGER = FixedRate(1e6, 10)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def step_until_admitted(controller: AdmissionController, room: WaitingRoom, fan: str) -> None:
    while (await room.positions([fan])).of[0] != 0:
        await controller.step()


def test_nobody_is_let_in_until_the_grace_after_an_outage_is_over(mortal_valkey: Valkey) -> None:
    async def main() -> None:
        redis = RedisStore(mortal_valkey.url, timeout_s=0.5)
        inventory = Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60)
        room, clock = WaitingRoom(redis, KEYS), Clock()
        controller = AdmissionController(room, EAGER, ConflictSignal(redis, KEYS), "e1", clock=clock)
        await inventory.load()
        await room.join("a", "a")
        await step_until_admitted(controller, room, "a")

        mortal_valkey.kill()
        await controller.step()
        parked = Ticket("e1", "parked", "parked", room.stamp(), 4e9)
        mortal_valkey.start()
        await inventory.load()
        await room.join("later", "later")
        for _ in range(5):
            await controller.step()
        assert (await room.rejoin(parked)).position == 1

        clock.now_s += RETURN_GRACE_S - 0.01
        await controller.step()
        assert list((await room.positions(["parked", "later"])).of) == [1, 2]
        clock.now_s += 0.02
        await step_until_admitted(controller, room, "later")
        entries = [await room.enter(Ticket("e1", fan, fan, 0, 4e9)) for fan in ("parked", "later")]
        assert entries[0].admission_no < entries[1].admission_no
        await redis.close()

    asyncio.run(main())


def test_an_event_that_is_not_loaded_counts_as_an_outage(valkey: Valkey) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=2)
        room, clock = WaitingRoom(redis, KEYS), Clock()
        controller = AdmissionController(room, EAGER, ConflictSignal(redis, KEYS), "e1", clock=clock)
        await controller.step()
        await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
        await room.join("a", "a")
        for _ in range(5):
            await controller.step()
        assert (await room.positions(["a"])).of[0] == 1
        clock.now_s += RETURN_GRACE_S
        await step_until_admitted(controller, room, "a")
        await redis.close()

    asyncio.run(main())


def test_an_adaptive_rate_follows_the_conflicts_that_booking_processes_count(valkey: Valkey) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=2)
        await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
        room, clock, signal = WaitingRoom(redis, KEYS), Clock(), ConflictSignal(redis, KEYS)
        policy = AdaptiveRate(30.0, 10, floor_per_s=5.0, ceiling_per_s=60.0, target_ratio=0.1)
        controller = AdmissionController(room, policy, signal, "adaptive", clock=clock)

        async def second(holds: int, conflicts: int) -> float:
            for n in range(holds):
                signal.count(conflict=n < conflicts)
            await signal.flush()
            clock.now_s += OBSERVE_S
            await controller.step()
            return policy.rate_per_s()

        assert await second(0, 0) == 30.0
        assert await second(30, 15) < 30.0
        for _ in range(20):
            low = await second(30, 15)
        assert low == 5.0
        assert metric("target_conflict_ratio") == pytest.approx(0.5, abs=0.05)
        assert metric("target_admission_rate_per_s") == 5.0
        for _ in range(60):
            high = await second(30, 0)
        assert high == 60.0
        assert metric("target_admission_rate_per_s") == 60.0
        await redis.close()

    asyncio.run(main())


def test_no_shows_are_made_up_for_and_abandoned_places_counted(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("target.waiting_room.LATE_S", 0.0)

    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=2)
        await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
        room, clock = WaitingRoom(redis, KEYS, Rules(place_grace_s=0.1)), Clock()
        policy = AdaptiveRate(10.0, 10, floor_per_s=5.0, ceiling_per_s=1e6, target_ratio=0.1)
        controller = AdmissionController(room, policy, ConflictSignal(redis, KEYS), "shows", clock=clock)
        clock.now_s += OBSERVE_S
        await controller.step()
        assert policy.rate_per_s() == 10.0

        fans = [f"f{n}" for n in range(8)]
        for fan in fans:
            await room.join(fan, fan)
        let_in = 0
        while let_in < 8:
            let_in += (await room.admit(rate_per_s=1e6, burst=8 - let_in)).count
        for fan in fans[:4]:
            await room.enter(Ticket("e1", fan, fan, 0, 4e9))
        clock.now_s += OBSERVE_S
        await controller.step()
        assert metric("target_show_ratio", "shows") == 0.5
        assert policy.rate_per_s() == pytest.approx(20.0)

        await room.join("silent", "silent")
        await redis.command("ZADD", KEYS.seen, 1, "silent")
        soon_us = time.time_ns() // 1000 + 60_000_000  # no gap, however slow the test is
        await redis.command("HSET", KEYS.admission_bucket, "deaf_us", 1, "tokens", 5, "at_us", soon_us)
        await room.join("here", "here")
        await controller.step()
        assert (await room.positions(["silent", "here"])).of == [-1, 0]
        assert metric("target_abandoned_places_total", "shows") == 1
        await redis.close()

    asyncio.run(main())


def test_no_window_exceeds_the_ceiling_and_the_burst_however_the_rate_moves(valkey: Valkey) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=2)
        await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
        room = WaitingRoom(redis, KEYS)
        await asyncio.gather(*(room.join(f"f{n}", f"f{n}") for n in range(300)))
        policy = AdaptiveRate(60.0, 10, floor_per_s=5.0, ceiling_per_s=60.0, target_ratio=0.1)
        dice, calls = random.Random(3), []
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            ratio = dice.choice((0.0, 0.0, 0.3, None))
            policy.observe(Feedback(ratio, dice.uniform(0.2, 1.0)))
            began = time.monotonic()
            done = await room.admit(rate_per_s=policy.rate_per_s(), burst=policy.burst)
            calls.append((began, time.monotonic(), done.count))
        assert sum(count for *_, count in calls) > 10
        for first, (start, *_) in enumerate(calls):
            let_in = 0
            for _, done_s, count in calls[first : first + 400]:
                let_in += count
                assert let_in <= 60 * (done_s - start) + 10 + 1e-6
        await redis.close()

    asyncio.run(main())


def metric(name: str, event: str = "adaptive") -> float | None:
    return REGISTRY.get_sample_value(name, {"event": event})
