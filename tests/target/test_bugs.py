"""Each planted bug is a real fault of the running system, and nothing is planted unless it was asked for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from target import bugs
from target.inventory import SeatsTakenError
from target.orders import OrderState
from target.settings import Settings, SettingsError
from tests.target.booth import booth_on, settings_for
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider


@pytest.fixture
def settings(valkey: Valkey, truth: Truth, provider: Provider, request: pytest.FixtureRequest) -> Settings:
    return settings_for(valkey, truth, provider, bug=request.param)


@pytest.mark.parametrize("settings", ["lost_ack"], indirect=True)
def test_lost_ack_acknowledges_an_order_that_is_never_confirmed(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            receipt = await booth.pay(await booth.hold("f", "101-A-1"))
            assert receipt.state is OrderState.CONFIRMED
            await booth.take_over()
            await booth.jobs.recover()
            assert (await booth.order(receipt)).state is OrderState.PENDING
            assert await booth.orders.unfinished_count() == 0
            assert provider.entries(receipt.order_id) == ["capture"]

    asyncio.run(main())


@pytest.mark.parametrize("settings", ["double_sell"], indirect=True)
def test_double_sell_confirms_two_orders_for_one_seat(settings: Settings) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claims = [await booth.hold(fan, "101-A-1") for fan in ("a", "b")]
            receipts = [await booth.pay(claim) for claim in claims]
            assert [receipt.state for receipt in receipts] == [OrderState.CONFIRMED] * 2
            rows = await booth.orders.export()
            assert [(row.seat, row.state) for row in rows] == [("101-A-1", "confirmed")] * 2

    asyncio.run(main())


@pytest.mark.parametrize("settings", [""], indirect=True)
def test_without_a_bug_a_seat_has_one_holder(settings: Settings) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            await booth.hold("a", "101-A-1")
            with pytest.raises(SeatsTakenError):
                await booth.hold("b", "101-A-1")

    asyncio.run(main())


def test_the_registry_says_what_each_bug_breaks() -> None:
    assert {name: bug.breaks for name, bug in bugs.BUGS.items()} == {
        "lost_ack": "no_lost_booking",
        "double_sell": "no_double_sell",
        "dropped_event": "feed_gap_free",
    }
    with pytest.raises(SettingsError, match="known: double_sell, dropped_event, lost_ack"):
        bugs.find("unheard_of")


@pytest.mark.parametrize("role", ["booking", "worker", "feed"])
def test_an_unknown_bug_ends_the_process_with_one_clear_line(role: str) -> None:
    environment = {**os.environ, "TARGET_BUG": "unheard_of"}
    done = subprocess.run(
        [sys.executable, "-m", "target", role], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "target: TARGET_BUG='unheard_of': no such bug; known: double_sell, dropped_event, lost_ack"
    ]
