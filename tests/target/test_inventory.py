"""Seats in a real Valkey: one winner, all or nothing, the limit, expiry that is never early."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from target.inventory import (
    HoldGoneError,
    HoldState,
    Inventory,
    OwnedSeats,
    PurchaseLimitError,
    SeatsTakenError,
)
from target.keys import Keys
from target.redis_store import NotReadyError, RedisStore
from target.venue import load
from tests.target.conftest import Valkey

VENUE = load("arena", "e1")
KEYS = Keys("e1")


@asynccontextmanager
async def inventory_on(valkey: Valkey, *, hold_ttl_s: float = 60.0, loaded: bool = True) -> AsyncIterator[Inventory]:
    redis = RedisStore(valkey.url, timeout_s=2.0)
    inventory = Inventory(redis, KEYS, VENUE, hold_ttl_s=hold_ttl_s)
    if loaded:
        await inventory.load(())
    try:
        yield inventory
    finally:
        await redis.close()


def run(valkey: Valkey, test: Callable[[Inventory], Awaitable[None]], **options: float | bool) -> None:
    async def main() -> None:
        async with inventory_on(valkey, **options) as inventory:  # type: ignore[arg-type]
            await test(inventory)

    asyncio.run(main())


async def state_of(inventory: Inventory, seat: str) -> str:
    seat_map = await inventory._redis.command("GET", KEYS.map)
    index = VENUE.index(seat)
    assert index is not None
    return chr(seat_map[index])


async def feed(inventory: Inventory) -> list[tuple[str, str, str]]:
    entries = await inventory._redis.client.xrange(KEYS.feed)
    return [(name.decode(), row[b"seat"].decode(), row[b"state"].decode()) for name, row in entries]


async def outcome(attempt: Awaitable[object]) -> str:
    try:
        await attempt
    except SeatsTakenError:
        return "taken"
    except PurchaseLimitError:
        return "limit"
    return "ok"


def test_one_of_many_concurrent_holds_wins(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        attempts = [inventory.hold(["104-C-12"], fan=f"f{n}", identity=f"i{n}", limit=4) for n in range(200)]
        assert Counter(await asyncio.gather(*map(outcome, attempts))) == {"ok": 1, "taken": 199}

    run(valkey, test)


def test_several_seats_are_held_all_or_none(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        await inventory.hold(["101-A-2"], fan="a", identity="a", limit=4)
        with pytest.raises(SeatsTakenError) as taken:
            await inventory.hold(["101-A-1", "101-A-2", "101-A-3"], fan="b", identity="b", limit=4)
        assert taken.value.seats == ("101-A-2",)
        assert [await state_of(inventory, f"101-A-{n}") for n in (1, 2, 3)] == ["0", "1", "0"]
        assert len(await feed(inventory)) == 1

    run(valkey, test)


def test_overlapping_groups_never_share_a_seat(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        groups = [[f"101-A-{n}", f"101-A-{n + 1}", f"101-A-{n + 2}"] for n in range(1, 13)]
        holds = await asyncio.gather(
            *(inventory.hold(group, fan=f"f{n}", identity=f"i{n}", limit=4) for n, group in enumerate(groups * 8)),
            return_exceptions=True,
        )
        won = [seat for hold in holds if not isinstance(hold, BaseException) for seat in hold.seats]
        assert won
        assert len(won) == len(set(won))

    run(valkey, test)


def test_the_limit_holds_for_an_identity_across_fans(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        attempts = [inventory.hold([f"101-B-{n}"], fan=f"device{n}", identity="same", limit=4) for n in range(1, 11)]
        assert Counter(await asyncio.gather(*map(outcome, attempts))) == {"ok": 4, "limit": 6}
        await inventory.hold(["101-C-1", "101-C-2"], fan="operator", identity="same", limit=0)

    run(valkey, test)


def test_sold_seats_count_and_released_ones_do_not(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        sold = await inventory.hold(["101-A-1", "101-A-2"], fan="f", identity="i", limit=4)
        await inventory.mark_sold(sold.hold_id)
        await inventory.mark_sold(sold.hold_id)
        given_back = await inventory.hold(["101-A-3", "101-A-4"], fan="f", identity="i", limit=4)
        assert await outcome(inventory.hold(["101-A-5"], fan="f", identity="i", limit=4)) == "limit"
        await inventory.release(given_back.hold_id, fan="f")
        assert await outcome(inventory.hold(["101-A-5", "101-A-6"], fan="f", identity="i", limit=4)) == "ok"

    run(valkey, test)


def test_only_its_fan_releases_a_hold_and_never_during_payment(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await inventory.hold(["101-A-1"], fan="f", identity="f", limit=4)
        with pytest.raises(HoldGoneError) as stranger:
            await inventory.release(hold.hold_id, fan="g")
        assert stranger.value.state is None
        await inventory.extend_hold(hold.hold_id, 30.0)
        with pytest.raises(HoldGoneError) as locked:
            await inventory.release(hold.hold_id, fan="f")
        assert locked.value.state is HoldState.LOCKED
        await inventory.release(hold.hold_id)
        assert await state_of(inventory, "101-A-1") == "0"
        with pytest.raises(HoldGoneError) as gone:
            await inventory.release(hold.hold_id, fan="f")
        assert gone.value.state is HoldState.RELEASED

    run(valkey, test)


def test_holds_expire_in_time_and_never_early(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        before = time.time()
        hold = await inventory.hold(["101-A-1"], fan="f", identity="f", limit=4)
        assert hold.expires_at >= before + 0.3
        while not await inventory.expire_due():
            assert time.time() < before + 5
        assert time.time() >= hold.expires_at
        assert await state_of(inventory, "101-A-1") == "0"
        found = await inventory.get_hold(hold.hold_id)
        assert found is not None
        assert found.state is HoldState.EXPIRED
        assert await inventory.holds_count() == 0

    run(valkey, test, hold_ttl_s=0.3)


def test_an_extended_hold_outlives_its_ttl(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await inventory.hold(["101-A-1"], fan="f", identity="f", limit=4)
        await inventory.extend_hold(hold.hold_id, 60.0)
        while time.time() < hold.expires_at + 0.05:
            assert await inventory.expire_due() == 0
        found = await inventory.get_hold(hold.hold_id)
        assert found is not None
        assert found.state is HoldState.LOCKED
        assert found.expires_at > hold.expires_at + 50

    run(valkey, test, hold_ttl_s=0.1)


def test_an_expired_hold_cannot_be_extended(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await inventory.hold(["101-A-1"], fan="f", identity="f", limit=4)
        while not await inventory.expire_due():
            pass
        with pytest.raises(HoldGoneError):
            await inventory.extend_hold(hold.hold_id, 10.0)

    run(valkey, test, hold_ttl_s=0.05)


def test_a_confirmed_sale_wins_over_a_later_hold(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        first = await inventory.hold(["101-A-1"], fan="f", identity="f", limit=4)
        while not await inventory.expire_due():
            pass
        second = await inventory.hold(["101-A-1"], fan="g", identity="g", limit=4)
        await inventory.mark_sold(first.hold_id)
        assert await state_of(inventory, "101-A-1") == "2"
        await inventory.release(second.hold_id, fan="g")
        assert await state_of(inventory, "101-A-1") == "2"

    run(valkey, test, hold_ttl_s=0.05)


def test_a_forgotten_hold_is_sold_by_its_seats(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        with pytest.raises(HoldGoneError):
            await inventory.mark_sold("hlost")
        await inventory.mark_sold("hlost", seats=["101-A-1"], fan="f")
        assert await state_of(inventory, "101-A-1") == "2"

    run(valkey, test)


def test_every_change_has_the_next_number_in_the_feed(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await inventory.hold(["101-A-1", "101-A-2"], fan="f", identity="f", limit=4)
        await inventory.release(hold.hold_id, fan="f")
        again = await inventory.hold(["101-A-2"], fan="f", identity="f", limit=4)
        await inventory.mark_sold(again.hold_id)
        assert await feed(inventory) == [
            ("1-0", "101-A-1", "1"),
            ("2-0", "101-A-2", "1"),
            ("3-0", "101-A-1", "0"),
            ("4-0", "101-A-2", "0"),
            ("5-0", "101-A-2", "1"),
            ("6-0", "101-A-2", "2"),
        ]

    run(valkey, test)


def test_nothing_is_held_before_the_event_is_loaded(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        assert not await inventory.loaded()
        with pytest.raises(NotReadyError):
            await inventory.hold(["101-A-1"], fan="f", identity="f", limit=4)

    run(valkey, test, loaded=False)


def test_loading_restores_what_orders_own(valkey: Valkey) -> None:
    async def test(inventory: Inventory) -> None:
        lost = await inventory.hold(["101-B-1"], fan="x", identity="x", limit=4)
        await inventory.load(
            [
                OwnedSeats("h1", "f", ("101-A-1", "101-A-2"), sold=True),
                OwnedSeats("h2", "g", ("101-A-3",), sold=False),
            ]
        )
        assert await inventory.loaded()
        assert [await state_of(inventory, seat) for seat in ("101-A-1", "101-A-2", "101-A-3")] == ["2", "2", "1"]
        assert await state_of(inventory, "101-B-1") == "0"
        assert await inventory.get_hold(lost.hold_id) is None
        assert await feed(inventory) == []
        await inventory.mark_sold("h2")
        assert await state_of(inventory, "101-A-3") == "2"
        assert (
            await outcome(inventory.hold([f"102-A-{n}" for n in (1, 2, 3)], fan="f", identity="f", limit=4)) == "limit"
        )

    run(valkey, test)
