"""Orders that are made and confirmed at the same moment share transactions, and each still gets its own answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

from target.orders import Orders, OrderState
from target.orders.orders import Checkout, SeatsOwnedError, order_id_for
from target.runtime.breakers import UnavailableError
from target.storage.database import Database
from tests.target.booth import until
from tests.target.postgres_fixture import Truth

EVENT = "e1"


def checkout(number: int, *seats: str, key: str = "k") -> Checkout:
    fan = f"fan-{number}"
    return Checkout(
        order_id=order_id_for(EVENT, fan, key),
        event=EVENT,
        fan=fan,
        identity=fan,
        hold_id=f"hold-{number}",
        idempotency_key=key,
        card="ok",
        seats=seats,
        prices_cents=(100,) * len(seats),
    )


@contextlib.asynccontextmanager
async def orders_on(dsn: str, *, timeout_s: float = 20.0) -> AsyncIterator[Orders]:
    database = Database(dsn, dsn, timeout_s=timeout_s)
    await database.open()
    try:
        yield Orders(database, EVENT)
    finally:
        await database.close()


async def transactions(dsn: str) -> int:
    """How many transactions made the orders there are."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM orders"))
    finally:
        await connection.close()


def test_orders_of_one_moment_share_transactions(truth: Truth) -> None:
    async def main() -> None:
        async with orders_on(truth.primary_dsn) as orders:
            asked = [checkout(number, f"s-{number}", f"t-{number}") for number in range(100)]
            assert all(await asyncio.gather(*(orders.create(one, lease_s=60) for one in asked)))
            assert await transactions(truth.primary_dsn) <= 10
            assert all(await asyncio.gather(*(orders.confirm(one.order_id, "ch_1") for one in asked)))
            assert await transactions(truth.primary_dsn) <= 10
            assert not any(await asyncio.gather(*(orders.confirm(one.order_id, "ch_2") for one in asked)))
            assert {(order.state, order.charge_id) for order in await orders.live()} == {(OrderState.CONFIRMED, "ch_1")}

    asyncio.run(main())


def test_a_run_that_is_refused_leaves_the_others_of_its_group(truth: Truth) -> None:
    async def main() -> None:
        async with orders_on(truth.primary_dsn) as orders:
            wanted = [f"s-{number % 15}" for number in range(20)]  # five seats are wanted by two
            asked = [checkout(number, seat) for number, seat in enumerate(wanted)]
            made = await asyncio.gather(*(orders.create(one, lease_s=60) for one in asked), return_exceptions=True)
            assert sorted(map(str, map(type, made))) == [str(bool)] * 15 + [str(SeatsOwnedError)] * 5
            winners = {one.order_id for one, answer in zip(asked, made, strict=True) if answer is True}
            live = await orders.live()
            assert {order.order_id for order in live} == winners
            assert {seat for order in live for seat in order.seats} == set(wanted)

    asyncio.run(main())


def test_one_order_that_is_asked_for_many_times_at_once_is_made_by_one(truth: Truth) -> None:
    async def main() -> None:
        async with orders_on(truth.primary_dsn) as orders:
            made = await asyncio.gather(*(orders.create(checkout(1, "s-1"), lease_s=60) for _ in range(30)))
            assert sorted(made) == [False] * 29 + [True]

    asyncio.run(main())


def test_whoever_waits_for_a_database_that_hangs_is_told_so_and_comes_again(truth: Truth) -> None:
    async def main() -> None:
        asked = [checkout(number, f"s-{number}") for number in range(200)]
        holder = await asyncpg.connect(truth.primary_dsn)
        async with orders_on(truth.primary_dsn, timeout_s=0.5) as orders:
            async with holder.transaction():
                await holder.execute("LOCK TABLE orders")
                made = await asyncio.gather(*(orders.create(one, lease_s=60) for one in asked), return_exceptions=True)
                assert {type(answer) for answer in made} == {UnavailableError}
            await holder.close()

            async def comes_again() -> bool:
                with contextlib.suppress(UnavailableError):
                    await asyncio.gather(*(orders.create(one, lease_s=60) for one in asked))
                    return len(await orders.live()) == len(asked)
                return False

            await until(comes_again)

    asyncio.run(main())
