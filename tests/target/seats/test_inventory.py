"""Seats in a real Valkey, in both backends: one winner, all or nothing, the limit, expiry that is never early."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from target.roles.composition import HOLD_BACKENDS
from target.seats import HoldGoneError, HoldState, Inventory, PurchaseLimitError, SeatsTakenError, load
from target.storage.keys import Keys, states_on
from target.storage.redis import NotReadyError, RedisStore
from tests.target.conftest import Valkey

VENUE = load("arena", "e1")
KEYS = Keys("e1")
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Shop:
    valkey: Valkey
    holds: str


@dataclass(frozen=True)
class Claimed:
    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]


def claim(fan: str, *seats: str, identity: str = "", hold_id: str = "") -> Claimed:
    return Claimed(hold_id or f"h{next(NUMBERS)}", fan, identity or fan, seats)


async def held(inventory: Inventory, fan: str, *seats: str, identity: str = "", limit: int = 4) -> Claimed:
    asked = claim(fan, *seats, identity=identity)
    await inventory.hold(asked, limit=limit)
    return asked


@pytest.fixture(params=sorted(HOLD_BACKENDS))
def shop(request: pytest.FixtureRequest, valkey: Valkey) -> Shop:
    """An empty Valkey, and the backend of holds to be used on it."""
    return Shop(valkey, request.param)


@asynccontextmanager
async def inventory_on(shop: Shop, *, hold_ttl_s: float = 60.0, loaded: bool = True) -> AsyncIterator[Inventory]:
    redis = RedisStore(shop.valkey.url, timeout_s=30.0)
    store = HOLD_BACKENDS[shop.holds](redis, KEYS)
    inventory = Inventory(redis, KEYS, VENUE, hold_ttl_s=hold_ttl_s, store=store)
    if loaded:
        await inventory.load()
    try:
        yield inventory
    finally:
        await redis.close()


def run(shop: Shop, test: Callable[[Inventory], Awaitable[None]], **options: float | bool) -> None:
    async def main() -> None:
        async with inventory_on(shop, **options) as inventory:  # type: ignore[arg-type]
            await test(inventory)

    asyncio.run(main())


async def state_of(inventory: Inventory, seat: str) -> str:
    seat_map = await inventory._redis.command("GET", KEYS.map)
    index = VENUE.index(seat)
    assert index is not None
    return chr(states_on(seat_map)[index])


async def expiry(inventory: Inventory, hold: Claimed) -> float:
    found = await inventory.get_hold(hold.hold_id)
    assert found is not None
    return found.expires_at


async def feed(inventory: Inventory) -> list[tuple[str, str, str]]:
    entries = await inventory._redis.client.xrange(KEYS.feed)
    return [(name.decode(), seat.decode(), what[:1].decode()) for name, row in entries for seat, what in row.items()]


async def outcome(attempt: Awaitable[object]) -> str:
    try:
        await attempt
    except SeatsTakenError:
        return "taken"
    except PurchaseLimitError:
        return "limit"
    return "ok"


def test_one_of_many_concurrent_holds_wins(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        attempts = [held(inventory, f"f{n}", "104-C-12") for n in range(200)]
        assert Counter(await asyncio.gather(*map(outcome, attempts))) == {"ok": 1, "taken": 199}

    run(shop, test)


def test_several_seats_are_held_all_or_none(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        await held(inventory, "a", "101-A-2")
        with pytest.raises(SeatsTakenError) as taken:
            await held(inventory, "b", "101-A-1", "101-A-2", "101-A-3")
        assert taken.value.seats == ("101-A-2",)
        assert [await state_of(inventory, f"101-A-{n}") for n in (1, 2, 3)] == ["0", "1", "0"]
        assert len(await feed(inventory)) == 1

    run(shop, test)


def test_overlapping_groups_never_share_a_seat(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        groups = [[f"101-A-{n}", f"101-A-{n + 1}", f"101-A-{n + 2}"] for n in range(1, 13)]
        holds = await asyncio.gather(
            *(held(inventory, f"f{n}", *group) for n, group in enumerate(groups * 8)),
            return_exceptions=True,
        )
        won = [seat for hold in holds if not isinstance(hold, BaseException) for seat in hold.seats]
        assert won
        assert len(won) == len(set(won))

    run(shop, test)


def test_the_limit_holds_for_an_identity_across_fans(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        attempts = [held(inventory, f"device{n}", f"101-B-{n}", identity="same") for n in range(1, 11)]
        assert Counter(await asyncio.gather(*map(outcome, attempts))) == {"ok": 4, "limit": 6}
        await held(inventory, "operator", "101-C-1", "101-C-2", identity="same", limit=0)

    run(shop, test)


def test_sold_seats_count_and_released_ones_do_not(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        sold = await held(inventory, "f", "101-A-1", "101-A-2", identity="i")
        await inventory.mark_sold(sold)
        await inventory.mark_sold(sold)
        given_back = await held(inventory, "f", "101-A-3", "101-A-4", identity="i")
        assert await outcome(held(inventory, "f", "101-A-5", identity="i")) == "limit"
        await inventory.release(given_back.hold_id, fan="f")
        assert await outcome(held(inventory, "f", "101-A-5", "101-A-6", identity="i")) == "ok"

    run(shop, test)


def test_only_its_fan_releases_a_hold_and_never_during_payment(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await held(inventory, "f", "101-A-1")
        with pytest.raises(HoldGoneError) as stranger:
            await inventory.release(hold.hold_id, fan="g")
        assert stranger.value.state is None
        assert await inventory.lock(hold, until_s=time.time() + 30)
        with pytest.raises(HoldGoneError) as locked:
            await inventory.release(hold.hold_id, fan="f")
        assert locked.value.state is HoldState.LOCKED
        await inventory.let_go(hold)
        await inventory.let_go(hold)
        assert await state_of(inventory, "101-A-1") == "0"
        with pytest.raises(HoldGoneError) as gone:
            await inventory.release(hold.hold_id, fan="f")
        assert gone.value.state is HoldState.RELEASED

    run(shop, test)


def test_holds_expire_in_time_and_never_early(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        before = time.time()
        hold = await held(inventory, "f", "101-A-1")
        expires_at = await expiry(inventory, hold)
        assert expires_at >= before + 0.3
        while not await inventory.expire_due():
            assert time.time() < before + 5
        assert time.time() >= expires_at
        assert await state_of(inventory, "101-A-1") == "0"
        found = await inventory.get_hold(hold.hold_id)
        assert found is not None
        assert found.state is HoldState.EXPIRED
        assert await inventory.holds_count() == 0

    run(shop, test, hold_ttl_s=0.3)


def test_an_extended_hold_outlives_its_ttl(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await held(inventory, "f", "101-A-1")
        expires_at = await expiry(inventory, hold)
        assert await inventory.lock(hold, until_s=time.time() + 60)
        while time.time() < expires_at + 0.05:
            assert await inventory.expire_due() == 0
        found = await inventory.get_hold(hold.hold_id)
        assert found is not None
        assert found.state is HoldState.LOCKED
        assert found.expires_at > expires_at + 50

    run(shop, test, hold_ttl_s=0.1)


def test_a_failed_payment_gives_the_hold_back_for_as_long_as_it_was_promised(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await held(inventory, "f1", "101-A-1")
        promised_s = await expiry(inventory, hold)
        assert await inventory.lock(hold, until_s=promised_s + 60)
        assert await inventory.lock(hold, until_s=promised_s + 90)
        await inventory.unlock(hold)
        assert await expiry(inventory, hold) == promised_s
        await inventory.unlock(hold)
        await inventory.release(hold.hold_id, fan="f1")
        assert await state_of(inventory, "101-A-1") == "0"

    run(shop, test)


def test_an_expired_hold_cannot_be_extended(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await held(inventory, "f", "101-A-1")
        while not await inventory.expire_due():
            pass
        assert not await inventory.lock(hold, until_s=time.time() + 10)

    run(shop, test, hold_ttl_s=0.05)


def test_a_confirmed_sale_wins_over_a_later_hold(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        first = await held(inventory, "f", "101-A-1")
        while not await inventory.expire_due():
            pass
        second = await held(inventory, "g", "101-A-1")
        await inventory.mark_sold(first)
        assert await state_of(inventory, "101-A-1") == "2"
        await inventory.release(second.hold_id, fan="g")
        assert await state_of(inventory, "101-A-1") == "2"

    run(shop, test, hold_ttl_s=0.05)


def test_a_forgotten_hold_is_sold_by_its_seats(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        await inventory.mark_sold(claim("f", "101-A-1"))
        assert await state_of(inventory, "101-A-1") == "2"

    run(shop, test)


def test_a_forgotten_hold_is_restored_where_its_seats_are_free(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        other = await held(inventory, "g", "101-A-2")
        forgotten = claim("f", "101-A-1", "101-A-2")
        await inventory.restore(forgotten, until_s=time.time() + 30)
        found = await inventory.get_hold(forgotten.hold_id)
        assert found is not None
        assert found.seats == ("101-A-1",)
        await inventory.mark_sold(forgotten)
        assert await outcome(held(inventory, "f", "102-A-1", "102-A-2", "102-A-3")) == "limit"
        await inventory.release(other.hold_id, fan="g")
        assert await state_of(inventory, "101-A-2") == "2"

    run(shop, test)


def test_every_change_has_the_next_number_in_the_feed(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        hold = await held(inventory, "f", "101-A-1", "101-A-2")
        await inventory.release(hold.hold_id, fan="f")
        again = await held(inventory, "f", "101-A-2")
        await inventory.mark_sold(again)
        assert await feed(inventory) == [
            ("0-1", "101-A-1", "1"),
            ("0-2", "101-A-2", "1"),
            ("0-3", "101-A-1", "0"),
            ("0-4", "101-A-2", "0"),
            ("0-5", "101-A-2", "1"),
            ("0-6", "101-A-2", "2"),
        ]

    run(shop, test)


def test_nothing_is_held_before_the_event_is_loaded(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        assert not await inventory.loaded()
        with pytest.raises(NotReadyError):
            await held(inventory, "f", "101-A-1")

    run(shop, test, loaded=False)


def test_loading_restores_what_orders_own(shop: Shop) -> None:
    async def test(inventory: Inventory) -> None:
        lost = await held(inventory, "x", "101-B-1")
        sold = claim("f", "101-A-1", "101-A-2", hold_id="h1")
        pending = claim("g", "101-A-3", hold_id="h2")
        await inventory.load(sold=[sold], pending=[pending])
        assert await inventory.loaded()
        assert [await state_of(inventory, seat) for seat in ("101-A-1", "101-A-2", "101-A-3")] == ["2", "2", "1"]
        assert await state_of(inventory, "101-B-1") == "0"
        assert await inventory.get_hold(lost.hold_id) is None
        assert await feed(inventory) == []
        await inventory.mark_sold(pending)
        assert await state_of(inventory, "101-A-3") == "2"
        assert await outcome(held(inventory, "f", "102-A-1", "102-A-2", "102-A-3")) == "limit"

    run(shop, test)


def test_nothing_is_left_once_every_seat_is_held_or_sold(shop: Shop) -> None:
    async def main() -> None:
        redis = RedisStore(shop.valkey.url, timeout_s=30.0)
        venue = load("hall", "e1")
        store = HOLD_BACKENDS[shop.holds](redis, KEYS)
        inventory = Inventory(redis, KEYS, venue, hold_ttl_s=60.0, store=store)
        assert not await inventory.sold_out()
        await inventory.load()
        rows = [tuple(venue.seats[at : at + 12]) for at in range(0, venue.capacity, 12)]
        first, *others, last = [claim(f"fan-{number}", *row) for number, row in enumerate(rows)]
        for one in (first, *others):
            await inventory.hold(one, limit=0)
        assert not await inventory.sold_out()
        await inventory.hold(last, limit=0)
        assert await inventory.sold_out()
        await inventory.mark_sold(first)
        assert await inventory.sold_out()
        await inventory.release(last.hold_id, fan=last.fan)
        assert not await inventory.sold_out()
        await redis.close()

    asyncio.run(main())
