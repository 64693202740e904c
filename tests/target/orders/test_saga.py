"""Checkouts on a real Valkey, a real Postgres and the real provider: what happens, and what outages leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import pytest

from target.orders import OrderState, Policy
from target.orders.orders import Checkout, Order, OverLimitError
from target.orders.saga import KeyReusedError, Receipt
from target.runtime.breakers import UnavailableError
from target.seats import HoldGoneError, HoldState
from target.seats.inventory import SeatsClaim
from target.settings import Settings
from tests.target.booth import Booth, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.gate import gate_to
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider, StartProvider


@pytest.fixture(params=["sale", "authorise"])
def flow(request: pytest.FixtureRequest) -> str:
    """Both ways to charge pass the same tests."""
    return str(request.param)


@pytest.fixture(params=["lua", "watch"])
def settings(request: pytest.FixtureRequest, valkey: Valkey, truth: Truth, provider: Provider, flow: str) -> Settings:
    return settings_for(valkey, truth, provider, payment_flow=flow, holds=request.param)


def test_a_paid_hold_becomes_a_confirmed_order_and_sold_seats(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1", "101-A-2")
            receipt = await booth.pay(claim)
            assert receipt.state is OrderState.CONFIRMED
            order = await booth.order(receipt)
            assert (order.state, order.seats, order.amount_cents) == (
                OrderState.CONFIRMED,
                ("101-A-1", "101-A-2"),
                receipt.amount_cents,
            )
            assert [await booth.seat(seat) for seat in claim.seats] == ["2", "2"]
            assert provider.entries(receipt.order_id) == ["capture"]

    asyncio.run(main())


def test_a_repeat_answers_the_same_order_and_charges_once(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            receipts = await asyncio.gather(*(booth.pay(claim) for _ in range(8)))
            assert len({receipt.order_id for receipt in receipts}) == 1
            assert (await booth.pay(claim)).state is OrderState.CONFIRMED
            assert provider.entries(receipts[0].order_id) == ["capture"]

    asyncio.run(main())


def test_a_key_means_one_checkout_for_ever(settings: Settings) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            await booth.pay(await booth.hold("f", "101-A-1"))
            other = await booth.hold("f", "101-A-2")
            with pytest.raises(KeyReusedError):
                await booth.pay(other)
            assert await booth.seat("101-A-2") == "1"

    asyncio.run(main())


@pytest.mark.parametrize("refusal", ["a key that was used", "over the limit"])
def test_a_checkout_that_is_refused_leaves_the_lock_of_one_under_way(settings: Settings, refusal: str) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            inventory = booth.context.inventory
            await booth.pay(await booth.hold("f", "101-A-1"), key="used")
            claim = await booth.hold("f", "101-A-2", "101-A-3")
            under_way = booth.checkout(claim, key="under way")
            assert await inventory.lock(under_way, until_s=0.0)
            assert await booth.orders.create(under_way, lease_s=60.0)
            key, limit, error = ("used", 0, KeyReusedError) if refusal != "over the limit" else ("k", 2, OverLimitError)
            with pytest.raises(error):
                await booth.pay(claim, key=key, limit=limit)
            with pytest.raises(HoldGoneError) as gone:
                await inventory.release(claim.hold_id, fan="f")
            assert gone.value.state is HoldState.LOCKED

    asyncio.run(main())


def test_a_second_key_for_one_hold_is_told_that_the_hold_is_gone(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1", "101-A-2")
            under_way = booth.checkout(claim, key="under way", limit=2)
            assert await booth.orders.create(under_way, lease_s=0.0)
            with pytest.raises(HoldGoneError):
                await booth.pay(claim, key="second", limit=2)
            await booth.jobs.recover()
            assert provider.entries(under_way.order_id) == ["capture"]
            assert provider.entries(booth.checkout(claim, key="second").order_id) == []

    asyncio.run(main())


def test_a_declined_card_sells_nothing_and_leaves_the_hold_for_another_card(
    settings: Settings, provider: Provider
) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            declined = await booth.pay(claim, card="declined")
            assert declined.state is OrderState.DECLINED
            assert provider.entries(declined.order_id) == ["decline"]
            assert await booth.seat("101-A-1") == "1"
            assert (await booth.pay(claim, key="another")).state is OrderState.CONFIRMED

    asyncio.run(main())


def test_a_repeat_of_a_declined_payment_does_not_lock_the_hold_beyond_its_time(settings: Settings) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            for _ in range(2):
                assert (await booth.pay(claim, card="declined")).state is OrderState.DECLINED
            hold = await booth.context.inventory.get_hold(claim.hold_id)
            assert hold is not None
            assert hold.state is HoldState.HELD

    asyncio.run(main())


@pytest.mark.parametrize(("card", "then"), [("declined", HoldState.HELD), ("ok", HoldState.SOLD)])
def test_a_hold_that_is_renewed_after_its_payment_ended_is_given_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, card: str, then: HoldState
) -> None:
    """The worker has read that the order is pending, and the booking process ends it before the hold is renewed."""

    async def main() -> None:
        async with booth_on(settings) as booth:
            inventory = booth.context.inventory
            claim = await booth.hold("f", "101-A-1")
            under_way = booth.checkout(claim, card=card)
            promised = await inventory.get_hold(claim.hold_id)
            assert await inventory.lock(under_way, until_s=0.0)
            assert await booth.orders.create(under_way, lease_s=0.0)
            restore = inventory.restore

            async def restore_late(late: SeatsClaim, *, until_s: float) -> None:
                await booth.jobs.recover()
                await restore(late, until_s=until_s)

            monkeypatch.setattr(inventory, "restore", restore_late)
            await booth.jobs.keep_holds()
            found = await inventory.get_hold(claim.hold_id)
            assert found is not None
            assert promised is not None
            assert found.state is then
            if then is HoldState.HELD:
                assert found.expires_at == promised.expires_at

    asyncio.run(main())


def test_a_hold_whose_payment_was_declined_while_redis_was_away_is_its_fans_again(
    mortal_valkey: Valkey, truth: Truth, start_provider: StartProvider, flow: str
) -> None:
    """Long before its lock would have run out."""

    async def main() -> None:
        provider = start_provider(0)
        settings = settings_for(
            mortal_valkey, truth, provider, payment_flow=flow, dependency_timeout_s=1.0, hold_ttl_s=300.0
        )
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            provider.switch(charge="slow", charge_delay_s=1.0)
            paying = asyncio.create_task(booth.pay(claim, card="declined"))
            await until(lambda: booth.orders.owned(claim.seats), within_s=60, what="the order")
            assert mortal_valkey.process is not None
            mortal_valkey.process.send_signal(signal.SIGSTOP)
            try:
                assert (await paying).state is OrderState.DECLINED
            finally:
                mortal_valkey.process.send_signal(signal.SIGCONT)

            async def its_fans() -> bool:
                with contextlib.suppress(UnavailableError):
                    hold = await booth.context.inventory.get_hold(claim.hold_id)
                    return hold is not None and hold.state is HoldState.HELD
                return False

            await until(its_fans, within_s=60, what="the hold")

    asyncio.run(main())


def test_a_hold_that_redis_has_lost_with_its_data_is_honoured_while_its_seats_are_free(settings: Settings) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            inventory = booth.context.inventory
            lost, taken = await booth.hold("f", "101-A-1"), await booth.hold("g", "101-A-2", "101-A-3")
            await booth.context.redis.command("FLUSHALL")
            await inventory.load()
            await booth.hold("h", "101-A-3")
            assert (await booth.pay(lost)).state is OrderState.CONFIRMED
            with pytest.raises(HoldGoneError):
                await booth.pay(taken)
            assert [await booth.seat(f"101-A-{n}") for n in (1, 2, 3)] == ["2", "0", "1"]

    asyncio.run(main())


def test_a_lost_hold_is_not_honoured_over_the_limit(settings: Settings) -> None:
    """What the identity has taken since counts, also while its order is not there yet for the truth to count."""

    async def main() -> None:
        async with booth_on(settings) as booth:
            lost = await booth.hold("f", "101-A-1", "101-A-2")
            await booth.context.redis.command("FLUSHALL")
            await booth.context.inventory.load()
            since = await booth.hold("f", "101-B-1")
            with pytest.raises(HoldGoneError):
                await booth.pay(lost, key="lost", limit=2)
            assert [await booth.seat(f"101-A-{n}") for n in (1, 2)] == ["0", "0"]
            assert (await booth.pay(since, key="since", limit=2)).state is OrderState.CONFIRMED

    asyncio.run(main())


def test_of_many_checkouts_of_one_seat_one_wins_and_the_others_are_never_charged(
    mortal_valkey: Valkey, truth: Truth, provider: Provider, flow: str
) -> None:
    """Without Redis every signed hold is believed: the truth alone decides."""

    async def main() -> None:
        async with booth_on(settings_for(mortal_valkey, truth, provider, payment_flow=flow)) as booth:
            claims = []
            for fan in ("a", "b", "c", "d"):
                await booth.context.inventory.load()
                claims.append(await booth.hold(fan, "101-A-1", "101-A-2"))
                await booth.context.redis.command("FLUSHALL")
            mortal_valkey.kill()
            outcomes = await asyncio.gather(*(booth.pay(claim) for claim in claims), return_exceptions=True)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == [*["HoldGoneError"] * 3, "Receipt"]
            charged = [provider.entries(booth.checkout(claim).order_id) for claim in claims]
            assert sorted(charged) == [[], [], [], ["capture"]]
            assert {row.state for row in await booth.orders.export()} == {"confirmed"}

    asyncio.run(main())


def test_the_truth_refuses_a_seat_that_a_live_order_owns(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            first = await booth.pay(await booth.hold("a", "101-A-1"))
            assert first.state is OrderState.CONFIRMED
            await booth.context.inventory.load()  # Redis has lost everything and was not told of the order
            late = await booth.hold("b", "101-A-1", "101-A-2")
            with pytest.raises(HoldGoneError):
                await booth.pay(late)
            assert provider.entries(booth.checkout(late).order_id) == []

    asyncio.run(main())


def test_a_hold_that_is_gone_is_not_charged(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            claim = await booth.hold("f", "101-A-1")
            await booth.context.inventory.release(claim.hold_id, fan="f")
            with pytest.raises(HoldGoneError):
                await booth.pay(claim)
            assert provider.entries(booth.checkout(claim).order_id) == []

    asyncio.run(main())


def test_a_slow_provider_leaves_the_order_pending_and_recovery_finds_the_late_capture(
    valkey: Valkey, truth: Truth, start_provider: StartProvider
) -> None:
    slow = start_provider(300)

    async def main() -> None:
        async with booth_on(settings_for(valkey, truth, slow, payment_timeout_s=0.1)) as booth:
            receipt = await booth.pay(await booth.hold("f", "101-A-1"))
            assert receipt.state is OrderState.PENDING
            assert await booth.seat("101-A-1") == "1"
            await _landed(slow, receipt.order_id)
            await asyncio.gather(booth.take_over(), booth.jobs.recover())
            await booth.take_over()
            await asyncio.gather(booth.jobs.recover(), booth.jobs.recover())
            assert (await booth.order(receipt)).state is OrderState.CONFIRMED
            assert await booth.seat("101-A-1") == "2"
            assert slow.entries(receipt.order_id) == ["capture"]

    asyncio.run(main())


def test_recovery_charges_an_intent_that_was_never_charged(settings: Settings, provider: Provider) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.orders.create(checkout, lease_s=0.0)  # and then the process died
            await booth.jobs.recover()
            assert [row.state for row in await booth.orders.export()] == ["confirmed"]
            assert provider.entries(checkout.order_id) == ["capture"]

    asyncio.run(main())


def test_a_capture_that_lands_after_the_seats_went_to_another_is_refunded(
    valkey: Valkey, truth: Truth, start_provider: StartProvider
) -> None:
    slow, quick = start_provider(400), start_provider(0)
    impatient = Policy(payment_patience_s=0.0)

    async def main() -> None:
        settings = settings_for(valkey, truth, slow, payment_timeout_s=0.1)
        async with (
            booth_on(settings, policy=impatient) as booth,
            booth_on(settings_for(valkey, truth, quick), load=False) as other,
        ):
            late = await booth.pay(await booth.hold("late", "101-A-1"))
            await booth.take_over()
            await booth.jobs.recover()
            assert (await booth.order(late)).state is OrderState.EXPIRED
            assert await booth.seat("101-A-1") == "0"
            winner = await other.pay(await other.hold("winner", "101-A-1"))
            assert winner.state is OrderState.CONFIRMED
            await _landed(slow, late.order_id)
            await booth.orders.release_leases([late.order_id], after_s=-1.0)
            await booth.jobs.recover()
            assert (await booth.order(late)).state is OrderState.REFUNDED
            assert slow.entries(late.order_id) == ["capture", "refund"]
            assert await booth.orders.unfinished_count() == 0

    asyncio.run(main())


def test_a_capture_that_lands_late_still_buys_seats_that_are_free(
    valkey: Valkey, truth: Truth, start_provider: StartProvider
) -> None:
    slow = start_provider(400)

    async def main() -> None:
        settings = settings_for(valkey, truth, slow, payment_timeout_s=0.1)
        async with booth_on(settings, policy=Policy(payment_patience_s=0.0)) as booth:
            late = await booth.pay(await booth.hold("late", "101-A-1"))
            await booth.take_over()
            await booth.jobs.recover()
            await _landed(slow, late.order_id)
            await booth.orders.release_leases([late.order_id], after_s=-1.0)
            await booth.jobs.recover()
            assert (await booth.order(late)).state is OrderState.CONFIRMED
            assert await booth.seat("101-A-1") == "2"
            assert slow.entries(late.order_id) == ["capture"]

    asyncio.run(main())


def test_while_the_primary_is_away_checkouts_are_parked_uncharged_and_finished_later(
    valkey: Valkey, truth: Truth, provider: Provider, flow: str
) -> None:
    async def main() -> None:
        async with gate_to(truth.primary_port) as gate:
            dsn = truth.primary_dsn.replace(str(truth.primary_port), str(gate.port))
            settings = settings_for(
                valkey, truth, provider, primary_dsn=dsn, dependency_timeout_s=0.5, payment_flow=flow
            )
            async with booth_on(settings) as booth:
                claim = await booth.hold("f", "101-A-1")
                await gate.shut()
                parked = await booth.pay(claim)
                assert parked.state is OrderState.PENDING
                assert provider.entries(parked.order_id) == []
                assert await booth.pay(claim) == parked
                found, stale = await booth.saga.find(parked.order_id)
                assert isinstance(found, Checkout)
                assert stale
                with pytest.raises(UnavailableError):
                    await booth.saga.find("unknown")
                await gate.open()
                await _finished(booth)
                assert (await booth.order(parked)).state is OrderState.CONFIRMED
                assert provider.entries(parked.order_id) == ["capture"]
                assert await booth.checkouts.parking.all() == []

    asyncio.run(main())


def test_a_parked_checkout_whose_seats_were_sold_meanwhile_expires_uncharged(
    settings: Settings, provider: Provider
) -> None:
    async def main() -> None:
        async with booth_on(settings) as booth:
            parked = booth.checkout(await booth.hold("parked", "101-A-1"))
            await booth.checkouts.parking.park(parked)
            await booth.context.inventory.load()
            await booth.pay(await booth.hold("winner", "101-A-1"))
            await booth.jobs.unpark()
            found = await booth.orders.find(parked.order_id)
            assert found is not None
            assert found.state is OrderState.EXPIRED
            assert provider.entries(parked.order_id) == []
            assert await booth.orders.unfinished_count() == 0

    asyncio.run(main())


def test_a_running_checkout_finishes_without_redis_which_is_told_later(
    mortal_valkey: Valkey, truth: Truth, provider: Provider, flow: str
) -> None:
    async def main() -> None:
        async with gate_to(mortal_valkey.port) as gate:
            url = f"redis://127.0.0.1:{gate.port}/0"
            settings = settings_for(mortal_valkey, truth, provider, redis_url=url, payment_flow=flow)
            async with booth_on(settings) as booth:
                claim = await booth.hold("f", "101-A-1")
                stale = await booth.hold("g", "101-A-2")
                await gate.shut()
                receipt = await booth.pay(claim)
                assert receipt.state is OrderState.CONFIRMED
                with pytest.raises(HoldGoneError):
                    await booth.pay(stale, expires_in_s=-1.0)
                await gate.open()
                await until(lambda: _told(booth), what="Redis to be told")
                assert await booth.seat("101-A-1") == "2"

    asyncio.run(main())


def test_holds_that_were_given_back_buy_no_more_than_the_limit_while_redis_is_away(
    mortal_valkey: Valkey, truth: Truth, provider: Provider
) -> None:
    async def main() -> None:
        async with gate_to(mortal_valkey.port) as gate:
            url = f"redis://127.0.0.1:{gate.port}/0"
            async with booth_on(settings_for(mortal_valkey, truth, provider, redis_url=url)) as booth:
                claims = []
                for first in (1, 3, 5):
                    claims.append(await booth.hold("f", f"101-A-{first}", f"101-A-{first + 1}"))
                    await booth.context.inventory.release(claims[-1].hold_id, fan="f")
                counted = await booth.hold("f", "101-B-1", "101-B-2")
                await gate.shut()
                paying = (booth.pay(claim, key=claim.seats[0], limit=4) for claim in claims)
                ends = await asyncio.gather(*paying, return_exceptions=True)
                refused = [end for end in ends if isinstance(end, OverLimitError)]
                assert [len(refused), sum(isinstance(end, Receipt) for end in ends)] == [1, 2]
                won = next(claim for claim, end in zip(claims, ends, strict=True) if isinstance(end, Receipt))
                again = await booth.pay(won, key=won.seats[0], limit=4)
                assert again.state is OrderState.CONFIRMED
                await gate.open()
                await until(lambda: _told(booth), what="Redis to be told")
                with pytest.raises(OverLimitError):
                    await booth.pay(counted, key="counted", limit=4)
                await booth.context.inventory.release(counted.hold_id, fan="f")
                assert len(await booth.orders.live()) == 2

    asyncio.run(main())


def test_without_redis_and_primary_nothing_is_promised(mortal_valkey: Valkey, truth: Truth, provider: Provider) -> None:
    async def main() -> None:
        async with gate_to(mortal_valkey.port) as redis, gate_to(truth.primary_port) as primary:
            settings = settings_for(
                mortal_valkey,
                truth,
                provider,
                redis_url=f"redis://127.0.0.1:{redis.port}/0",
                primary_dsn=truth.primary_dsn.replace(str(truth.primary_port), str(primary.port)),
            )
            async with booth_on(settings) as booth:
                claim = await booth.hold("f", "101-A-1")
                await asyncio.gather(redis.shut(), primary.shut())
                with pytest.raises(UnavailableError):
                    await booth.pay(claim)
                assert provider.entries(booth.checkout(claim).order_id) == []

    asyncio.run(main())


def test_own_orders_are_read_from_the_replica_while_the_primary_is_away(
    valkey: Valkey, truth: Truth, provider: Provider
) -> None:
    async def main() -> None:
        async with gate_to(truth.primary_port) as gate:
            dsn = truth.primary_dsn.replace(str(truth.primary_port), str(gate.port))
            async with booth_on(settings_for(valkey, truth, provider, primary_dsn=dsn)) as booth:
                receipt = await booth.pay(await booth.hold("f", "101-A-1"))

                async def replicated() -> bool:
                    return await booth.orders.find_on_replica(receipt.order_id) is not None

                await until(replicated, what="the replica")
                assert await booth.context.database.lag.measure() == pytest.approx(0.0, abs=1.0)
                assert await booth.orders.seat_states() == {"101-A-1": OrderState.CONFIRMED}
                await gate.shut()
                order, stale = await booth.saga.find(receipt.order_id)
                assert order is not None
                assert not stale

    asyncio.run(main())


def test_a_checkout_that_is_still_parked_hides_no_order_that_came_of_it(
    valkey: Valkey, truth: Truth, provider: Provider
) -> None:
    """A process keeps what it parked in its journal until its own replay, though others have carried it out."""

    async def main() -> None:
        async with gate_to(truth.primary_port) as gate:
            dsn = truth.primary_dsn.replace(str(truth.primary_port), str(gate.port))
            async with booth_on(settings_for(valkey, truth, provider, primary_dsn=dsn)) as booth:
                claim = await booth.hold("f", "101-A-1")
                receipt = await booth.pay(claim)
                assert receipt.state is OrderState.CONFIRMED
                await booth.checkouts.parking.park(booth.checkout(claim))

                async def replicated() -> bool:
                    old = await booth.orders.find_on_replica(receipt.order_id)
                    return old is not None and old.state is OrderState.CONFIRMED

                await until(replicated, what="the replica")
                await gate.shut()
                order, stale = await booth.saga.find(receipt.order_id)
                assert isinstance(order, Order)
                assert (order.state, stale) == (OrderState.CONFIRMED, False)

    asyncio.run(main())


async def _landed(provider: Provider, order_id: str) -> None:
    async def there() -> bool:
        return bool(await asyncio.to_thread(provider.entries, order_id))

    await until(there, what="the capture")


async def _finished(booth: Booth) -> None:
    async def done() -> bool:
        try:
            await booth.jobs.unpark()
            await booth.jobs.recover()
            return not await booth.orders.unfinished_count() and not await booth.checkouts.parking.all()
        except UnavailableError:
            return False

    await until(done, what="the parked checkout")


async def _told(booth: Booth) -> bool:
    try:
        await booth.jobs.tell_inventory()
    except UnavailableError:
        return False
    return True


def test_what_outlasts_several_calls_grows_with_the_time_that_one_may_take() -> None:
    patient = Policy().waiting_for(20.0)
    assert (patient.lock_s, patient.lease_s) == (300.0, 120.0)
    assert Policy().waiting_for(0.2) == Policy()
