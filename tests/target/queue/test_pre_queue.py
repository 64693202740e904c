"""Before the opening: fans gather, nobody is let in, and the line is by arrival or by lot, whatever Redis loses."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from target.http.tickets import Ticket
from target.queue import WaitingRoom
from target.queue.draw import draw_of, entry_of
from target.queue.rules import Rules
from target.queue.waiting_room import JoinState, QueuePlace
from target.seats import Inventory, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.booth import until
from tests.target.conftest import Valkey

KEYS = Keys("e1")
FANS = [f"fan-{n}" for n in range(40)]
SOON_S = 4.0  # all fans have joined by then


def rules(*, opens_in_s: float, shuffle: bool = True) -> Rules:
    opens_at_us = round((time.time() + opens_in_s) * 1e6)
    return Rules(opens_at_us=opens_at_us, draw=draw_of("secret", "e1", opens_at_us) if shuffle else None)


@asynccontextmanager
async def room_on(valkey: Valkey, rules: Rules) -> AsyncIterator[WaitingRoom]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
    try:
        yield WaitingRoom(redis, KEYS, rules)
    finally:
        await redis.close()


def ticket(fan: str, joined_us: int) -> Ticket:
    return Ticket("e1", fan, fan, joined_us, 4e9)


async def order(room: WaitingRoom, fans: list[str]) -> list[str]:
    """These fans by their position."""
    seen = await room.positions(fans)
    assert sorted(seen.of) == list(range(1, len(fans) + 1))
    return [fan for _, fan in sorted(zip(seen.of, fans, strict=True))]


def test_nobody_is_let_in_before_the_opening_and_then_only_at_the_rate(valkey: Valkey) -> None:
    async def main() -> None:
        async with room_on(valkey, rules(opens_in_s=SOON_S)) as room:
            for fan in FANS:
                await room.join(fan, fan)
            before = 0
            while not await room.opened():
                before += (await room.admit(rate_per_s=1e6, burst=5)).count
            let_in = [(await room.admit(rate_per_s=0.001, burst=5)).count for _ in range(5)]
            assert sum(let_in) <= 5
            assert before <= 5, "only an admission that began before the opening and was decided after it"
            await until(lambda: _admits(room), what="an admission after the opening")

    asyncio.run(main())


async def _admits(room: WaitingRoom) -> bool:
    return (await room.admit(rate_per_s=1e6, burst=1)).count == 1


def test_who_comes_first_stays_first_without_a_draw_and_may_know_it(valkey: Valkey) -> None:
    async def main() -> None:
        async with room_on(valkey, rules(opens_in_s=1000, shuffle=False)) as room:
            places = [await room.join(fan, fan) for fan in FANS]
            assert [place.position for place in places] == list(range(1, 41))
            assert {place.state for place in places} == {JoinState.GATHERING}
            assert (await room.positions(FANS)).gathering
            assert await order(room, FANS) == FANS

    asyncio.run(main())


def test_with_a_draw_no_place_is_told_before_the_opening_and_the_lot_decides_it(valkey: Valkey) -> None:
    async def main() -> None:
        async with room_on(valkey, rules(opens_in_s=SOON_S)) as room:
            draw = room.rules.draw
            assert draw is not None
            early = [await room.join(fan, fan) for fan in FANS]
            assert {(place.state, place.position) for place in early} == {(JoinState.GATHERING, None)}
            assert len({place.epoch for place in early}) == 1, "a place that nobody was told cannot be lost"
            again = await room.join(FANS[0], "somebody else")
            assert (again.new, again.joined_us, again.identity) == (False, early[0].joined_us, FANS[0])
            await until(room.opened, what="the opening")
            late = await room.join("late", "late")
            assert (late.state, late.position) == (JoinState.QUEUED, 41)
            assert await order(room, [*FANS, "late"]) == [*sorted(FANS, key=draw.score), "late"]
            seen = await room.positions(FANS)
            assert not seen.gathering
            assert seen.epoch == early[0].epoch

    asyncio.run(main())


def test_the_lots_are_listed_in_their_order_with_those_who_have_been_let_in(valkey: Valkey) -> None:
    async def main() -> None:
        async with room_on(valkey, rules(opens_in_s=SOON_S)) as room:
            draw = room.rules.draw
            assert draw is not None
            for fan in FANS:
                await room.join(fan, fan)
            await until(room.opened, what="the opening")
            await room.join("late", "late")
            await until(lambda: _admits(room), what="an admission")
            everybody = await room.entrants(first=0, count=100)
            line = sorted(FANS, key=draw.score)
            assert [entry for entry, _ in everybody.drawn] == [entry_of(fan) for fan in line]
            part = await room.entrants(first=10, count=5)
            assert (part.total, part.drawn) == (40, everybody.drawn[10:15])
            assert (await room.entrants(first=40, count=5)).drawn == ()

    asyncio.run(main())


def test_tickets_rebuild_the_drawn_line_after_all_data_is_lost(mortal_valkey: Valkey) -> None:
    """Also those of fans whom Redis never knew: their tickets were stamped before the opening while it was away."""

    async def main() -> None:
        async with room_on(mortal_valkey, rules(opens_in_s=SOON_S)) as room:
            draw = room.rules.draw
            assert draw is not None
            tickets = [ticket(fan, (await room.join(fan, fan)).joined_us) for fan in FANS]
            tickets += [ticket(f"parked-{n}", room.stamp()) for n in range(5)]
            await until(room.opened, what="the opening")
            mortal_valkey.kill()
            mortal_valkey.start()
        async with room_on(mortal_valkey, room.rules) as room:
            late = await room.join("late", "late")
            random.Random(7).shuffle(tickets)
            places: list[QueuePlace] = [await room.rejoin(one) for one in tickets]
            fans = [one.fan for one in tickets]
            assert await order(room, [*fans, "late"]) == [*sorted(fans, key=draw.score), "late"]
            assert places[-1].epoch != late.epoch, "places that were told have changed"
            assert (await room.entrants(first=0, count=100)).total == 45

    asyncio.run(main())


def test_a_stamp_given_after_the_opening_does_not_enter_the_draw(valkey: Valkey) -> None:
    async def main() -> None:
        opening = rules(opens_in_s=0.0)
        async with room_on(valkey, opening) as room:
            await room.join("a", "a")
            ahead = msgspec.structs.replace(opening, opens_at_us=opening.opens_at_us + 60_000_000)
            room.rules = ahead  # this process's clock is a minute behind Redis's
            assert room.stamp() >= ahead.opens_at_us

    asyncio.run(main())
