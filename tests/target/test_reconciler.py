"""Loading an event again while orders move on: what Redis then says is what the orders say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from target.inventory import Claim, Inventory
from target.orders import Checkout
from target.promises import Promise
from target.reconciler import load_if_lost
from target.roll_call import RollCall
from tests.target.booth import EVENT, Booth, booth_on, settings_for
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider


class _Interrupted(Inventory):
    """An inventory in whose loading, after the orders were read, things happen to them."""

    def meanwhile(self, booth: Booth, confirmed: Checkout, declined: Checkout, made: Checkout) -> None:
        self._booth, self._moves = booth, (confirmed, declined, made)

    async def load(
        self, *, sold: Iterable[Claim] = (), pending: Iterable[Claim] = (), promised: Iterable[Promise] = ()
    ) -> bool:
        confirmed, declined, made = self._moves
        orders = self._booth.orders
        assert await orders.confirm(confirmed.order_id, "ch-1")
        assert await orders.decline(declined.order_id, "ch-2", "declined")
        assert await orders.create(made, lease_s=60.0)
        return await super().load(sold=sold, pending=pending, promised=promised)


@pytest.mark.parametrize("school", ["lua", "watch"])
def test_what_happens_to_orders_during_the_loading_is_not_lost(
    valkey: Valkey, truth: Truth, provider: Provider, school: str
) -> None:
    async def main() -> None:
        async with booth_on(settings_for(valkey, truth, provider, holds=school)) as booth:
            context = booth.context
            checkouts = [booth.checkout(await booth.hold(fan, f"101-A-{n}"), key=fan) for n, fan in enumerate("abc", 1)]
            confirmed, declined, made = checkouts
            for checkout in (confirmed, declined):
                assert await booth.orders.create(checkout, lease_s=60.0)
            valkey.empty()
            inventory = _Interrupted(context.redis, context.keys, context.venue, hold_ttl_s=60.0)
            inventory.meanwhile(booth, confirmed, declined, made)
            assert await load_if_lost(inventory, booth.orders, RollCall(context.redis, context.keys), EVENT)
            assert [await booth.seat(f"101-A-{n}") for n in (1, 2, 3)] == ["2", "0", "1"]
            assert await inventory.holds_count() == 1

    asyncio.run(main())
