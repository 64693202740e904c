"""The admission loop: at its rate, and after an outage only when parked tickets have had time to come back."""

from __future__ import annotations

import asyncio

from target.admission import RETURN_GRACE_S, AdmissionController
from target.conflict_signal import ConflictSignal
from target.inventory import Inventory
from target.keys import Keys
from target.rate_policy import FixedRate
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
