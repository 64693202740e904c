"""Loading an event again while orders move on: what Redis then says is what the orders say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest

from target.orders.orders import Checkout
from target.queue import AdmissionController, SaleSignal
from target.roles.reconciler import Reconciler, load_if_lost
from target.runtime.breakers import UnavailableError
from target.seats import HoldRecovery, Inventory
from target.seats.inventory import SeatsClaim
from target.seats.promises import HoldPromise
from tests.target.booth import EVENT, Booth, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider


class _Interrupted(Inventory):
    """An inventory in whose loading, after the orders were read, things happen to them."""

    def meanwhile(self, booth: Booth, confirmed: Checkout, declined: Checkout, made: Checkout) -> None:
        self._booth, self._moves = booth, (confirmed, declined, made)

    async def load(
        self,
        *,
        sold: Iterable[SeatsClaim] = (),
        pending: Iterable[SeatsClaim] = (),
        promised: Iterable[HoldPromise] = (),
    ) -> bool:
        confirmed, declined, made = self._moves
        orders = self._booth.orders
        assert await orders.confirm(confirmed.order_id, "ch-1")
        assert await orders.decline(declined.order_id, "ch-2", "declined")
        assert await orders.create(made, lease_s=60.0)
        return await super().load(sold=sold, pending=pending, promised=promised)


@pytest.mark.parametrize("backend", ["lua", "watch"])
def test_what_happens_to_orders_during_the_loading_is_not_lost(
    valkey: Valkey, truth: Truth, provider: Provider, backend: str
) -> None:
    async def main() -> None:
        async with booth_on(settings_for(valkey, truth, provider, holds=backend)) as booth:
            context = booth.context
            checkouts = [booth.checkout(await booth.hold(fan, f"101-A-{n}"), key=fan) for n, fan in enumerate("abc", 1)]
            confirmed, declined, made = checkouts
            for checkout in (confirmed, declined):
                assert await booth.orders.create(checkout, lease_s=60.0)
            valkey.empty()
            inventory = _Interrupted(context.redis, context.keys, context.venue, hold_ttl_s=60.0)
            inventory.meanwhile(booth, confirmed, declined, made)
            assert await load_if_lost(inventory, booth.orders, HoldRecovery(context.redis, context.keys), EVENT)
            assert [await booth.seat(f"101-A-{n}") for n in (1, 2, 3)] == ["2", "0", "1"]
            assert await inventory.holds_count() == 1

    asyncio.run(main())


class _BackAgain(Inventory):
    """An inventory that could not be asked at first."""

    away = True

    async def loaded(self) -> bool:
        if self.away:
            raise UnavailableError("redis", "away", maybe_done=False)
        return await super().loaded()


@pytest.mark.parametrize("confirmed", [True, False], ids=["sold", "being paid"])
def test_after_an_outage_redis_hears_of_sales_before_holds_are_ended(
    valkey: Valkey, truth: Truth, provider: Provider, confirmed: bool
) -> None:
    async def main() -> None:
        async with booth_on(settings_for(valkey, truth, provider, hold_ttl_s=0.05)) as booth:
            context = booth.context
            checkout = booth.checkout(await booth.hold("a", "101-A-1"))
            assert await booth.orders.create(checkout, lease_s=60.0)
            if confirmed:
                assert await booth.orders.confirm(checkout.order_id, "ch-1")
            inventory = _BackAgain(context.redis, context.keys, context.venue, hold_ttl_s=60.0)
            admission = AdmissionController(context.room, context.rate_policy, context.conflicts, EVENT)
            hold_recovery = HoldRecovery(context.redis, context.keys)
            jobs = booth.jobs
            sale = SaleSignal(context.redis, context.keys)
            reconciler = Reconciler(inventory, booth.orders, admission, sale, hold_recovery, EVENT, jobs.catch_up)
            with pytest.raises(UnavailableError):
                await reconciler.reconcile()
            inventory.away = False
            await until(lambda: _is_due(booth), what="the hold's end")
            await reconciler.reconcile()
            assert await booth.seat("101-A-1") == ("2" if confirmed else "1")

    asyncio.run(main())


async def _is_due(booth: Booth) -> bool:
    hold = await booth.context.inventory.hold_of("101-A-1")
    return hold is not None and time.time() > hold.expires_at
