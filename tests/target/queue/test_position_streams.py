"""How often fans are told their position, and what one stream says, in a real Valkey without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence

import pytest

from target.http.tickets import Ticket
from target.queue import SaleSignal, StreamHub, WaitingRoom
from target.queue.position_streams import ABREAST, BANDS, BATCH, SLOWEST_S, STREAMS_PER_FAN, TICK_S, Stream, cadence_s
from target.queue.waiting_room import HEARD_WITHIN_S, Positions
from target.seats import Inventory, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.conftest import Valkey
from tests.target.processes import ROOT

KEYS = Keys("e1")


def test_the_bands_are_those_that_the_readme_states() -> None:
    readme = (ROOT / "target" / "README.md").read_text()
    rows = re.findall(r"^  \| ([\d.]+ s|more) \| ([\d.]+) s \|$", readme, re.MULTILINE)
    stated = [
        (float(turn.removesuffix(" s")) if turn != "more" else float("inf"), float(every)) for turn, every in rows
    ]
    assert stated == list(BANDS)


@pytest.mark.parametrize(
    ("position", "every_s"),
    [(1, 0.25), (30, 0.25), (31, 1.0), (150, 1.0), (151, 2.5), (600, 2.5), (601, 5.0), (1801, 10.0), (10**7, 20.0)],
)
def test_the_cadence_is_that_of_the_band(position: int, every_s: float) -> None:
    assert cadence_s(position, rate_per_s=30.0) == every_s


def test_a_fan_is_asked_for_before_the_turn_can_come_and_heard_of_in_time() -> None:
    for position in range(31, 5000):
        assert cadence_s(position, rate_per_s=30.0) <= position / 30.0
    soon = [every_s for turn_s, every_s in BANDS if turn_s <= HEARD_WITHIN_S + SLOWEST_S]
    assert max(soon) + TICK_S < HEARD_WITHIN_S


class Counted(WaitingRoom):
    """Counts how many look-ups were under way at once."""

    under_way = most_abreast = 0

    async def positions(self, fans: Sequence[str]) -> Positions:
        self.under_way += 1
        self.most_abreast = max(self.most_abreast, self.under_way)
        try:
            return await super().positions(fans)
        finally:
            self.under_way -= 1


@contextlib.asynccontextmanager
async def hub_on(valkey: Valkey) -> AsyncIterator[tuple[Counted, StreamHub]]:
    async with redis_of(valkey) as redis:
        await Inventory(redis, KEYS, load("arena", "e1"), hold_ttl_s=60).load()
        room = Counted(redis, KEYS)
        hub = StreamHub(room, rate_per_s=30.0)
        job = asyncio.create_task(hub.run())
        try:
            yield room, hub
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)


@contextlib.asynccontextmanager
async def redis_of(valkey: Valkey) -> AsyncIterator[RedisStore]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    try:
        yield redis
    finally:
        await redis.close()


async def told(stream: Stream) -> list[str]:
    """The fields of the next event."""
    async with asyncio.timeout(10):
        return (await stream.next()).decode().splitlines()


def test_a_resumed_stream_goes_on_with_the_count_and_tells_the_place_again(valkey: Valkey) -> None:
    async def main() -> None:
        async with hub_on(valkey) as (room, hub):
            place = await room.join("a", "a")
            ticket = Ticket("e1", "a", "a", place.joined_us, 4e9)
            first = await told(hub.open(ticket))
            assert first[:2] == [f"id: {place.epoch}:1", "event: position"]
            last_id = first[0].removeprefix("id: ")
            again = await told(hub.open(ticket, last_event_id=last_id))
            assert again[:2] == [f"id: {place.epoch}:2", "event: position"]
            assert '"position":1' in again[2]

    asyncio.run(main())


def test_who_waits_is_told_that_nothing_is_left_and_of_the_place_again_when_something_comes_back(
    valkey: Valkey,
) -> None:
    async def main() -> None:
        async with hub_on(valkey) as (room, hub), redis_of(valkey) as redis:
            place = await room.join("a", "a")
            stream = hub.open(Ticket("e1", "a", "a", place.joined_us, 4e9))
            assert (await told(stream))[1] == "event: position"
            sale = SaleSignal(redis, KEYS)
            await sale.set_sold_out(True)
            assert (await told(stream))[1] == "event: sold_out"
            await sale.set_sold_out(False)
            *_, name, data = (await told(stream))[:3]
            assert (name, '"position":1' in data) == ("event: position", True)

    asyncio.run(main())


def test_many_fans_who_are_not_in_the_queue_are_put_in_by_their_tickets_in_order(valkey: Valkey) -> None:
    async def main() -> None:
        async with hub_on(valkey) as (room, hub):
            count = (ABREAST + 1) * BATCH + 30
            stamps = [room.stamp() for _ in range(count)]
            tickets = [Ticket("e1", f"f{n}", f"f{n}", stamp, 4e9) for n, stamp in enumerate(stamps)]
            streams = [hub.open(ticket) for ticket in reversed(tickets)]
            await asyncio.gather(*(told(stream) for stream in streams))
            assert list((await room.positions([ticket.fan for ticket in tickets])).of) == list(range(1, count + 1))
            assert room.most_abreast == ABREAST

    asyncio.run(main())


def test_a_join_that_was_carried_out_after_its_ticket_was_given_costs_nobody_their_place(valkey: Valkey) -> None:
    async def main() -> None:
        async with hub_on(valkey) as (room, hub):
            first, second = (Ticket("e1", fan, fan, room.stamp(), 4e9) for fan in "ab")
            await room.rejoin(second)
            await room.join("a", "a")  # it hung in the outage, and its fan was given the ticket meanwhile
            assert list((await room.positions("ab")).of) == [2, 1]
            assert b'"position":1' in await hub.open(first).next()
            assert list((await room.positions("ab")).of) == [1, 2]

    asyncio.run(main())


def test_the_stream_of_another_device_cannot_bring_a_place_back_and_ends(valkey: Valkey) -> None:
    async def main() -> None:
        async with hub_on(valkey) as (room, hub):
            place = await room.join("a", "a", device="phone")
            redis = RedisStore(valkey.url, timeout_s=30.0)
            await redis.command("ZREM", KEYS.queue, "a")  # passed over: the place is kept for its own device
            await redis.close()
            async with asyncio.timeout(10):
                assert await hub.open(Ticket("e1", "a", "a", place.joined_us + 1, 4e9, "thief")).next() == b""
            own = await told(hub.open(Ticket("e1", "a", "a", place.joined_us, 4e9, "phone")))
            assert own[1] == "event: position"

    asyncio.run(main())


def test_the_newest_streams_of_a_fan_end_the_oldest(valkey: Valkey) -> None:
    async def main() -> None:
        async with hub_on(valkey) as (room, hub):
            place = await room.join("a", "a")
            ticket = Ticket("e1", "a", "a", place.joined_us, 1e12)
            streams = [hub.open(ticket) for _ in range(STREAMS_PER_FAN + 2)]
            assert [stream.finished for stream in streams] == [True] * 2 + [False] * STREAMS_PER_FAN
            for stream in streams[2:]:
                assert b"event: position" in await stream.next()
            for stream in streams:
                hub.close(stream)
            assert not hub._of_fan

    asyncio.run(main())
