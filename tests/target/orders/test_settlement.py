"""What the provider's word leads to, after every way a charge can go wrong between us and the provider."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from target.orders import OrderState, Policy
from target.orders.saga import KeyReusedError, Receipt
from target.payments.records import ChargeStatus
from target.runtime.breakers import UnavailableError
from target.seats import HoldGoneError
from target.settings import Settings
from tests.target.booth import Booth, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider, StartProvider

IMPATIENT = Policy(payment_patience_s=0.0)


@pytest.fixture
def bad(start_provider: StartProvider) -> Provider:
    """A provider of the test's own, to be switched."""
    return start_provider(0)


@pytest.fixture(params=["sale", "authorise"])
def settings(valkey: Valkey, truth: Truth, bad: Provider, request: pytest.FixtureRequest) -> Settings:
    return settings_for(valkey, truth, bad, payment_flow=request.param, payment_timeout_s=15.0)


@pytest.fixture
def authorise(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, payment_flow="authorise")


async def recovered(booth: Booth, receipt: Receipt, *wanted: OrderState) -> None:
    """Runs recovery until the order came to one of these states."""

    async def there() -> bool:
        await booth.orders.release_leases([receipt.order_id], after_s=-1.0)
        await booth.jobs.recover()
        return (await booth.order(receipt)).state in wanted

    await until(there, within_s=60, what=f"{wanted}")


@pytest.mark.parametrize("charge", ["capture_then_timeout", "capture_then_error", "slow"])
def test_an_answer_that_was_lost_or_late_is_found_and_charged_once(
    settings: Settings, bad: Provider, charge: str
) -> None:
    async def main() -> None:
        bad.switch(charge=charge, charge_delay_s=0.6)
        async with booth_on(msgspec.structs.replace(settings, payment_timeout_s=0.3)) as booth:
            receipt = await booth.pay(await booth.hold("f", "101-A-1"))
            assert receipt.state is OrderState.PENDING
            bad.switch()
            await recovered(booth, receipt, OrderState.CONFIRMED)
            assert await booth.seat("101-A-1") == "2"

    asyncio.run(main())
    assert [row.entry for row in bad.ledger()] == ["capture"]


def test_a_provider_that_only_errs_is_never_charged_and_the_seats_go_back(settings: Settings, bad: Provider) -> None:
    async def main() -> None:
        bad.switch(charge="error")
        async with booth_on(settings, policy=IMPATIENT) as booth:
            receipt = await booth.pay(await booth.hold("f", "101-A-1"))
            await recovered(booth, receipt, OrderState.EXPIRED)
            assert await booth.seat("101-A-1") == "0"

    asyncio.run(main())
    assert bad.ledger() == []


def test_an_authorisation_left_by_a_crash_is_captured(authorise: Settings, bad: Provider) -> None:
    async def main() -> None:
        async with booth_on(authorise) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.orders.create(checkout, lease_s=0.0)
            await booth.checkouts.payments.charge(checkout.order_id, checkout, capture=False)
            assert bad.ledger() == []
            await booth.jobs.recover()
            assert [row.state for row in await booth.orders.export()] == ["confirmed"]

    asyncio.run(main())
    assert [row.entry for row in bad.ledger()] == ["capture"]


def test_an_authorisation_that_comes_too_late_is_voided_and_takes_nothing(authorise: Settings, bad: Provider) -> None:
    async def main() -> None:
        bad.switch(charge="error")
        async with booth_on(authorise, policy=IMPATIENT) as booth:
            claim = await booth.hold("f", "101-A-1")
            receipt = await booth.pay(claim)
            await recovered(booth, receipt, OrderState.EXPIRED)
            bad.switch()
            payments = booth.checkouts.payments
            checkout = booth.checkout(claim)
            await until(lambda: _usable(booth), what="the breaker")
            await payments.charge(checkout.order_id, checkout, capture=False)  # it lands after all
            await booth.orders.release_leases([receipt.order_id], after_s=-1.0)
            await booth.jobs.recover()
            found = await payments.find_charge(receipt.order_id)
            assert found is not None
            assert found.status is ChargeStatus.VOIDED
            assert await booth.orders.unfinished_count() == 0
            assert (await booth.order(receipt)).state is OrderState.EXPIRED

    asyncio.run(main())
    assert bad.ledger() == []


def test_a_charge_that_was_voided_ends_its_order(authorise: Settings) -> None:
    async def main() -> None:
        async with booth_on(authorise) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.orders.create(checkout, lease_s=0.0)
            charge = await booth.checkouts.payments.charge(checkout.order_id, checkout, capture=False)
            await booth.checkouts.payments.void(charge.charge_id)
            await booth.jobs.recover()
            assert [row.state for row in await booth.orders.export()] == ["expired"]
            assert await booth.orders.unfinished_count() == 0
            assert await booth.seat("101-A-1") == "0"

    asyncio.run(main())


def test_once_a_refund_is_decided_the_seats_cannot_be_claimed_again(settings: Settings, bad: Provider) -> None:
    """The refund went out, its process died, the seats are free: the order must not become a ticket for nothing."""

    async def main() -> None:
        async with booth_on(settings) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.orders.create(checkout, lease_s=0.0)
            charge = await booth.checkouts.payments.charge(checkout.order_id, checkout)
            await booth.orders.expire(checkout.order_id)
            assert await booth.orders.owe_refund(checkout.order_id, charge.charge_id)
            assert not await booth.orders.stop_watching(checkout.order_id)
            await booth.checkouts.payments.refund(charge.charge_id)
            assert not await booth.orders.reclaim(checkout.order_id, charge.charge_id)
            await booth.jobs.recover()
            assert [row.state for row in await booth.orders.export()] == ["refunded"]
            assert await booth.orders.unfinished_count() == 0

    asyncio.run(main())
    assert [row.entry for row in bad.ledger()] == ["capture", "refund"]


@pytest.mark.parametrize(("card", "code"), [("insufficient_funds", "insufficient_funds"), ("expired", "expired_card")])
def test_why_a_card_was_declined_is_told_also_to_a_repeat(settings: Settings, card: str, code: str) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            receipts = [await booth.pay(claim, card=card) for _ in range(2)]
            assert receipts[0] == receipts[1]
            assert (receipts[0].state, receipts[0].decline_code) == (OrderState.DECLINED, code)

    asyncio.run(main())


def test_a_reused_key_leaves_the_second_hold_as_it_was(settings: Settings) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            first, second = await booth.hold("f", "101-A-1"), await booth.hold("f", "101-A-2")
            await booth.pay(first)
            with pytest.raises(KeyReusedError):
                await booth.pay(second)
            await booth.context.inventory.release(second.hold_id, fan="f")
            assert await booth.seat("101-A-2") == "0"

    asyncio.run(main())


def test_two_keys_for_one_hold_charge_once(settings: Settings, bad: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            outcomes = await asyncio.gather(*(booth.pay(claim, key=f"k{n}") for n in range(6)), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes if not isinstance(outcome, Receipt)] == [HoldGoneError] * 5

    asyncio.run(main())
    assert [row.entry for row in bad.ledger()] == ["capture"]


def test_a_checkout_that_was_parked_too_long_is_refused_uncharged(settings: Settings, bad: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings, policy=Policy(parked_patience_s=60.0)) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.checkouts.parking.park(msgspec.structs.replace(checkout, asked_at_s=time.time() - 61))
            await booth.jobs.unpark()
            await booth.jobs.recover()
            assert [row.state for row in await booth.orders.export()] == ["expired"]
            assert await booth.seat("101-A-1") == "0"

    asyncio.run(main())
    assert bad.ledger() == []


def test_a_hint_makes_recovery_look_at_once_and_a_repeat_does_nothing(settings: Settings, bad: Provider) -> None:
    async def main() -> None:
        bad.switch(charge="capture_then_error")
        async with booth_on(settings) as booth:
            receipt = await booth.pay(await booth.hold("f", "101-A-1"))
            bad.switch()
            await booth.orders.release_leases([receipt.order_id], after_s=3600.0)
            assert await booth.orders.hint(f"ev-{receipt.order_id}", "charge.captured", receipt.order_id, after_s=-1.0)
            await booth.jobs.recover()
            assert (await booth.order(receipt)).state is OrderState.CONFIRMED
            assert not await booth.orders.hint(f"ev-{receipt.order_id}", "x", receipt.order_id, after_s=-1.0)

    asyncio.run(main())


def test_a_hint_wakes_an_order_that_was_no_longer_watched(settings: Settings, bad: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.orders.create(checkout, lease_s=0.0)
            await booth.orders.expire(checkout.order_id)
            await booth.orders.stop_watching(checkout.order_id)
            await booth.context.inventory.load()
            winner = await booth.pay(await booth.hold("winner", "101-A-1"))
            assert winner.state is OrderState.CONFIRMED
            await booth.checkouts.payments.charge(checkout.order_id, checkout)
            assert await booth.orders.unfinished_count() == 0
            await booth.orders.hint(f"ev-{checkout.order_id}", "charge.captured", checkout.order_id, after_s=-1.0)
            await booth.jobs.recover()
            assert {row.fan: row.state for row in await booth.orders.export()} == {
                "f": "refunded",
                "winner": "confirmed",
            }

    asyncio.run(main())
    assert sorted(row.entry for row in bad.ledger()) == ["capture", "capture", "refund"]


async def _usable(booth: Booth) -> bool:
    try:
        await booth.checkouts.payments.find_charge("none")
    except UnavailableError:
        return False
    return True
