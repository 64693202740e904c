"""A Redis that has lost its data is told what was promised to fans before it may promise anything else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from target.orders import OrderState
from target.roles.reconciler import load_if_lost
from target.runtime.jobs import beside, every
from target.seats import Attendance, HoldRecovery, HoldState, SeatsTakenError
from target.storage.redis import NotReadyError
from tests.target.booth import EVENT, Booth, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider

SEAT, OTHER = "101-A-1", "101-A-2"
ENDLESS_S = 600.0


class House:
    """Two booking processes and a worker that calls the roll: `present` of them attend."""

    def __init__(self, first: Booth, second: Booth, valkey: Valkey) -> None:
        self.first, self.second, self.valkey = first, second, valkey
        self.hold_recovery = self.caller()

    def caller(self, patience_s: float = ENDLESS_S) -> HoldRecovery:
        return HoldRecovery(self.first.context.redis, self.first.context.keys, patience_s=patience_s)

    def attendance(self, booth: Booth) -> Attendance:
        return Attendance(booth.context.redis, booth.context.keys, booth.context.inventory)

    @contextlib.asynccontextmanager
    async def attended(self) -> AsyncIterator[None]:
        """Both show themselves and answer; the worker has seen them."""
        both = [self.attendance(booth) for booth in (self.first, self.second)]
        for one in both:
            await one.attend()
        assert not await self.reload()
        async with beside([every(0.01, one.attend) for one in both]):
            yield

    async def reload(self) -> bool:
        context = self.first.context
        return await load_if_lost(context.inventory, self.first.orders, self.hold_recovery, EVENT)

    async def lose_all(self) -> None:
        self.valkey.empty()
        assert await self.reload()


@contextlib.asynccontextmanager
async def house(valkey: Valkey, truth: Truth, provider: Provider, backend: str = "lua") -> AsyncIterator[House]:
    settings = settings_for(valkey, truth, provider, holds=backend)
    async with booth_on(settings) as first, booth_on(settings, load=False) as second:
        yield House(first, second, valkey)


async def refused(booth: Booth, fan: str, seat: str) -> None:
    with pytest.raises(SeatsTakenError):
        await booth.hold(fan, seat)


@pytest.mark.parametrize("backend", ["lua", "watch"])
def test_a_promised_seat_is_still_promised_after_the_loss(
    valkey: Valkey, truth: Truth, provider: Provider, backend: str
) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider, backend) as it, it.attended():
            claim = await it.first.hold("a", SEAT, OTHER)
            inventory = it.second.context.inventory
            before = await inventory.get_hold(claim.hold_id)
            await it.lose_all()
            assert await inventory.get_hold(claim.hold_id) == before
            assert before is not None
            assert before.state is HoldState.HELD
            await refused(it.second, "b", OTHER)
            assert (await it.second.pay(claim)).state is OrderState.CONFIRMED
            assert [await it.first.seat(seat) for seat in (SEAT, OTHER)] == ["2", "2"]

    asyncio.run(main())


def test_the_purchase_limit_still_counts_it(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it, it.attended():
            claim = await it.first.hold("a", SEAT, OTHER)
            await it.lose_all()
            keys, redis = it.first.context.keys, it.first.context.redis
            assert await redis.command("HGET", keys.bought, "a") == b"2"
            await it.second.context.inventory.release(claim.hold_id, fan="a")
            assert await redis.command("EXISTS", keys.bought) == 0
            assert [await it.first.seat(seat) for seat in (SEAT, OTHER)] == ["0", "0"]

    asyncio.run(main())


def test_what_was_given_back_at_another_process_stays_free(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it, it.attended():
            claim = await it.first.hold("a", SEAT)
            await it.second.context.inventory.release(claim.hold_id, fan="a")
            await it.lose_all()
            assert await it.first.seat(SEAT) == "0"

    asyncio.run(main())


def test_an_order_outweighs_the_promise_it_came_from(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it, it.attended():
            paid, pending = await it.first.hold("a", SEAT), await it.first.hold("b", OTHER)
            assert (await it.second.pay(paid)).state is OrderState.CONFIRMED
            assert await it.second.orders.create(it.second.checkout(pending), lease_s=60.0)
            await it.lose_all()
            assert [await it.first.seat(seat) for seat in (SEAT, OTHER)] == ["2", "1"]
            hold = await it.first.context.inventory.get_hold(pending.hold_id)
            assert hold is not None
            assert hold.state is HoldState.LOCKED

    asyncio.run(main())


def test_a_process_speaks_for_the_one_it_replaced(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it:
            held, paying = await it.first.hold("a", SEAT), await it.first.hold("b", OTHER)
            inventory = it.second.context.inventory
            before = await inventory.get_hold(held.hold_id)
            assert await inventory.lock(paying, until_s=time.time() + 3600)
            attendance = it.attendance(it.second)
            await attendance.attend()
            assert not await it.reload()
            async with beside([every(0.01, attendance.attend)]):
                await it.lose_all()
            assert await inventory.get_hold(held.hold_id) == before
            again = await inventory.get_hold(paying.hold_id)
            assert again is not None
            assert again.state is HoldState.HELD
            assert again.expires_at <= time.time() + settings_for(valkey, truth, provider).hold_ttl_s

    asyncio.run(main())


def test_a_second_loss_is_told_of_the_same_promises(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it, it.attended():
            await it.first.hold("a", SEAT)
            await it.lose_all()
            await it.lose_all()
            await refused(it.second, "b", SEAT)

    asyncio.run(main())


def test_nobody_holds_anything_before_all_have_answered(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it:
            first, second = it.attendance(it.first), it.attendance(it.second)
            await first.attend()
            await second.attend()
            assert not await it.reload()
            await it.first.hold("a", SEAT)
            it.valkey.empty()
            loading = asyncio.create_task(it.reload())
            keys, redis = it.first.context.keys, it.first.context.redis
            await until(lambda: _exists(it, keys.hold_recovery), what="the call")
            await second.attend()
            with pytest.raises(NotReadyError):
                await it.second.hold("b", SEAT)
            assert await redis.command("HKEYS", keys.answers) == [second.node.encode()]
            assert not loading.done()
            await first.attend()
            assert await loading
            await refused(it.second, "b", SEAT)
            assert not await _exists(it, keys.hold_recovery)

    asyncio.run(main())


def test_an_event_that_came_back_with_old_data_is_closed_until_then(
    valkey: Valkey, truth: Truth, provider: Provider
) -> None:
    """As after a restart from disk: the seats are there, and may lack the newest holds."""

    async def main() -> None:
        async with house(valkey, truth, provider) as it:
            attendance = it.attendance(it.first)
            await attendance.attend()
            assert not await it.reload()
            await it.first.hold("a", SEAT)
            keys, redis = it.first.context.keys, it.first.context.redis
            await redis.command("SET", keys.server, "another process")
            late = await it.first.hold("b", OTHER)
            loading = asyncio.create_task(it.reload())
            await until(lambda: _exists(it, keys.hold_recovery), what="the call")
            with pytest.raises(NotReadyError):
                await it.second.hold("c", "101-A-3")
            with pytest.raises(NotReadyError):
                await it.second.context.inventory.release(late.hold_id, fan="b")
            await attendance.attend()
            assert await loading
            assert [await it.first.seat(seat) for seat in (SEAT, OTHER, "101-A-3")] == ["1", "1", "0"]

    asyncio.run(main())


def test_who_died_with_it_is_not_waited_for_without_end(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it:
            it.hold_recovery = it.caller(patience_s=0.2)
            attendance = it.attendance(it.first)
            await attendance.attend()
            assert not await it.reload()
            await it.lose_all()
            await it.second.hold("b", SEAT)
            assert await it.first.seat(SEAT) == "1"

    asyncio.run(main())


def test_a_worker_that_is_new_waits_until_everybody_has_had_time_to_show_up(
    valkey: Valkey, truth: Truth, provider: Provider
) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it, it.attended():
            await it.first.hold("a", SEAT)
            it.hold_recovery = it.caller()
            await it.lose_all()
            await refused(it.second, "b", SEAT)

    asyncio.run(main())


def test_where_nobody_promised_anything_it_opens(valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with house(valkey, truth, provider) as it:
            await it.lose_all()
            await it.second.hold("b", SEAT)

    asyncio.run(main())


async def _exists(it: House, key: str) -> bool:
    return bool(await it.first.context.redis.command("EXISTS", key))
