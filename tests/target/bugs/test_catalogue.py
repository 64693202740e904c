"""Each planted bug is a real fault of the running system, and nothing is planted unless it was asked for."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from target.bugs import catalogue, parts
from target.http.tickets import Pass, Signer, Ticket, TokenError
from target.orders import Order, OrderState
from target.orders.saga import KeyReusedError
from target.queue.access_codes import CodeRefusedError
from target.queue.rate_policy import FixedRate
from target.queue.waiting_room import CodeSpentError, EntryRefusedError, SecondPlaceError
from target.seats import HoldGoneError, PurchaseLimitError, SeatLog, SeatsTakenError
from target.seats.routes import HoldRequest
from target.seats.seat_log import SNAPSHOT_AGE_MAX, SeatChange
from target.settings import SettingsError
from tests.target.booth import EVENT, Booth, Claimed, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider


@pytest.fixture
def with_bug(valkey: Valkey, truth: Truth, provider: Provider) -> Callable[..., None]:
    """Runs a scene on a booth with the bug."""

    def run(bug: str, scene: Callable[[Booth], Awaitable[None]], **changes: object) -> None:
        async def main() -> None:
            async with booth_on(settings_for(valkey, truth, provider, bug=bug, **changes)) as booth:
                await scene(booth)

        asyncio.run(main())

    return run


def test_without_a_bug_a_seat_has_one_holder(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        await booth.hold("a", "101-A-1")
        with pytest.raises(SeatsTakenError):
            await booth.hold("b", "101-A-1")

    with_bug("", scene)


def test_lost_ack_acknowledges_an_order_that_is_never_confirmed(
    with_bug: Callable[..., None], provider: Provider
) -> None:
    async def scene(booth: Booth) -> None:
        receipt = await booth.pay(await booth.hold("f", "101-A-1"))
        assert receipt.state is OrderState.CONFIRMED
        await booth.take_over()
        await booth.jobs.recover()
        assert (await booth.order(receipt)).state is OrderState.PENDING
        assert await booth.orders.unfinished_count() == 0
        assert provider.entries(receipt.order_id) == ["capture"]

    with_bug("lost_ack", scene)


def test_double_sell_confirms_two_orders_for_one_seat(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        claims = [await booth.hold(fan, "101-A-1") for fan in ("a", "b")]
        receipts = [await booth.pay(claim) for claim in claims]
        assert [receipt.state for receipt in receipts] == [OrderState.CONFIRMED] * 2
        rows = await booth.orders.export()
        assert [(row.seat, row.state) for row in rows] == [("101-A-1", "confirmed")] * 2

    with_bug("double_sell", scene)


def test_leaked_hold_keeps_the_seat_of_a_hold_that_is_over(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        await booth.hold("a", "101-A-1")
        await _expire(booth)
        assert await booth.context.inventory.holds_count() == 0
        assert await booth.seat("101-A-1") == "1"
        with pytest.raises(SeatsTakenError):
            await booth.hold("b", "101-A-1")

    with_bug("leaked_hold", scene, hold_ttl_s=0.05)


def test_partial_hold_grants_the_first_of_several_seats(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        context = booth.context
        routes = context.seat_routes(
            context.settings, context.signer, context.venue, context.seat_map, context.inventory, context.conflicts
        )
        assert routes._known(HoldRequest(("101-A-1", "101-A-2"))) == ("101-A-1",)

    with_bug("partial_hold", scene)


@pytest.mark.parametrize(
    ("bug", "alone", "both"),
    [
        ("accessible_for_all", (), ()),
        ("companion_alone", (), ("101-V-20",)),
        ("", ("101-V-21",), ("101-V-20", "101-V-21")),
    ],
)
def test_the_accessible_seats_that_fans_without_the_need_are_granted(
    with_bug: Callable[..., None], bug: str, alone: tuple[str, ...], both: tuple[str, ...]
) -> None:
    async def scene(booth: Booth) -> None:
        context = booth.context
        routes = context.seat_routes(
            context.settings, context.signer, context.venue, context.seat_map, context.inventory, context.conflicts
        )
        anybody = Pass("e", "f", "f", 1, 4, 0.0)
        assert routes._withheld(anybody, ("101-V-21",)) == alone
        assert routes._withheld(anybody, ("101-V-20", "101-V-21")) == both

    with_bug(bug, scene, accessible_pairs=1)


def test_limit_too_low_refuses_a_fan_below_the_limit(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        hold = booth.context.inventory.hold
        await hold(_claim("a", "ann", "101-A-1", "101-A-2"), limit=4)
        with pytest.raises(PurchaseLimitError):
            await hold(_claim("b", "ann", "101-A-3"), limit=4)

    with_bug("limit_too_low", scene)


@pytest.mark.parametrize("bug", ["given_back_counts", ""])
@pytest.mark.parametrize("released", [True, False], ids=["released", "over"])
def test_given_back_counts_refuses_who_gave_seats_back(with_bug: Callable[..., None], bug: str, released: bool) -> None:
    async def scene(booth: Booth) -> None:
        inventory = booth.context.inventory
        first = _claim("a", "ann", "101-A-1", "101-A-2")
        await inventory.hold(first, limit=2)
        if released:
            await inventory.release(first.hold_id, fan="a")
        else:
            await _expire(booth)
        assert await booth.seat("101-A-1") == "0"
        with pytest.raises(PurchaseLimitError) if bug else contextlib.nullcontext():
            await inventory.hold(_claim("b", "ann", "101-A-1", "101-A-2"), limit=2)

    with_bug(bug, scene, hold_ttl_s=60.0 if released else 0.05)


@pytest.mark.parametrize("bug", ["released_by_anybody", ""])
def test_released_by_anybody_gives_back_what_another_fan_holds(with_bug: Callable[..., None], bug: str) -> None:
    async def scene(booth: Booth) -> None:
        inventory = booth.context.inventory
        claim = _claim("a", "ann", "101-A-1")
        await inventory.hold(claim, limit=4)
        with contextlib.nullcontext() if bug else pytest.raises(HoldGoneError):
            await inventory.release(claim.hold_id, fan="b")
        assert await booth.seat("101-A-1") == ("0" if bug else "1")

    with_bug(bug, scene)


def test_free_seat_refused_says_of_some_free_seats_that_they_are_taken(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        refused = 0
        for number in range(1, 15):
            try:
                await booth.hold(f"fan-{number}", f"101-A-{number}")
            except SeatsTakenError:
                refused += 1
                assert await booth.seat(f"101-A-{number}") == "0"
        assert 0 < refused < 14

    with_bug("free_seat_refused", scene)


def test_decline_charged_takes_the_money_and_gives_it_back(with_bug: Callable[..., None], provider: Provider) -> None:
    async def scene(booth: Booth) -> None:
        receipt = await booth.pay(await booth.hold("f", "101-A-1"), card="declined")
        assert receipt.state is OrderState.DECLINED
        assert sorted(provider.entries(receipt.order_id)) == ["capture", "decline", "refund"]

    with_bug("decline_charged", scene)


def test_others_card_takes_the_money_of_the_fan_before(with_bug: Callable[..., None], provider: Provider) -> None:
    async def scene(booth: Booth) -> None:
        orders = [
            (await booth.pay(await booth.hold(fan, f"101-A-{at}"), card=f"ok-{fan}")).order_id
            for at, fan in enumerate("ab", start=1)
        ]
        assert [entry.card for one in orders for entry in provider.ledger() if entry.order_id == one] == ["ok-a"] * 2

    with_bug("others_card", scene)


def test_early_expiry_gives_a_seat_away_before_its_time(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        promised_s = await booth.context.inventory.hold(_claim("a", "a", "101-A-1"), limit=0)
        assert await booth.context.inventory.expire_due() == 1
        await booth.hold("b", "101-A-1")
        assert time.time() < promised_s

    with_bug("early_expiry", scene, hold_ttl_s=parts.EARLY_S * 0.9)


@pytest.mark.parametrize(("bug", "sold"), [("late_payment_taken", True), ("", False)])
def test_late_payment_taken_sells_the_seat_of_the_next_one(with_bug: Callable[..., None], bug: str, sold: bool) -> None:
    async def scene(booth: Booth) -> None:
        late = await booth.hold("a", "101-A-1")

        async def over() -> bool:
            return await booth.context.inventory.expire_due() == 1

        await until(over, what="the hold's time")
        await booth.hold("b", "101-A-1")
        if sold:
            assert (await booth.pay(late)).state is OrderState.CONFIRMED
        else:
            with pytest.raises(HoldGoneError):
                await booth.pay(late)

    with_bug(bug, scene, hold_ttl_s=0.3)


@pytest.mark.parametrize(("bug", "ended"), [("late_expiry", 0), ("", 1)])
def test_late_expiry_keeps_a_hold_that_is_over(with_bug: Callable[..., None], bug: str, ended: int) -> None:
    async def scene(booth: Booth) -> None:
        promised_s = await booth.context.inventory.hold(_claim("a", "a", "101-A-1"), limit=0)

        async def over() -> bool:
            return time.time() > promised_s + 0.05

        await until(over, what="the hold's time")
        assert await booth.context.inventory.expire_due() == ended
        assert await booth.seat("101-A-1") == ("0" if ended else "1")

    with_bug(bug, scene, hold_ttl_s=0.05)


@pytest.mark.parametrize(("bug", "granted"), [("sold_seat_held", True), ("", False)])
def test_sold_seat_held_grants_what_is_sold(with_bug: Callable[..., None], bug: str, granted: bool) -> None:
    async def scene(booth: Booth) -> None:
        receipt = await booth.pay(await booth.hold("a", "101-A-1"))
        assert receipt.state is OrderState.CONFIRMED
        assert await booth.seat("101-A-1") == "2"
        if granted:
            await booth.hold("b", "101-A-1")
        else:
            with pytest.raises(SeatsTakenError):
                await booth.hold("b", "101-A-1")

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "shown"), [("flattering_map", "0"), ("", "1")])
def test_flattering_map_shows_a_held_seat_as_free_and_fresh(
    with_bug: Callable[..., None], bug: str, shown: str
) -> None:
    async def scene(booth: Booth) -> None:
        await booth.hold("f", "101-A-1")
        seen = msgspec.json.decode(await booth.context.seat_map.seats())
        assert (seen["stale"], seen["states"]["101"][0]) == (False, shown)

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "more"), [("flattering_counts", 0), ("", 1)])
def test_flattering_counts_count_a_held_seat_as_free(with_bug: Callable[..., None], bug: str, more: int) -> None:
    async def scene(booth: Booth) -> None:
        await booth.hold("f", "101-A-1")
        seats = msgspec.json.decode(await booth.context.seat_map.seats())["states"]["101"]
        counts = msgspec.json.decode(await booth.context.seat_map.counts())
        assert (counts["stale"], len(seats) - counts["counts"]["101"]) == (False, more)

    with_bug(bug, scene)


def test_double_charge_captures_twice_for_one_order(with_bug: Callable[..., None], provider: Provider) -> None:
    async def scene(booth: Booth) -> None:
        receipt = await booth.pay(await booth.hold("f", "101-A-1"))
        assert receipt.state is OrderState.CONFIRMED
        assert provider.entries(receipt.order_id) == ["capture", "capture"]

    with_bug("double_charge", scene)


def test_late_capture_kept_leaves_an_expired_order_paid(with_bug: Callable[..., None], provider: Provider) -> None:
    async def scene(booth: Booth) -> None:
        assert booth.saga.policy.payment_patience_s == parts.IMPATIENT_S
        checkout = booth.checkout(await booth.hold("f", "101-A-1"))
        assert await booth.orders.create(checkout, lease_s=60.0)
        assert await booth.orders.expire(checkout.order_id)
        await booth.context.payments.charge(checkout.order_id, checkout)  # lands after the order was given up
        order = await booth.orders.find(checkout.order_id)
        assert isinstance(order, Order)
        await booth.saga.recover(order)
        order = await booth.orders.find(checkout.order_id)
        assert order is not None
        assert order.state is OrderState.EXPIRED
        assert await booth.orders.unfinished_count() == 0
        assert provider.entries(checkout.order_id) == ["capture"]

    with_bug("late_capture_kept", scene)


def test_parked_dropped_forgets_a_checkout_whose_fan_was_told_pending(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        parked = booth.checkout(await booth.hold("f", "101-A-1"))
        await booth.checkouts.parking.park(parked)
        await booth.jobs.unpark()
        assert await booth.checkouts.parking.all() == []
        assert await booth.saga.find(parked.order_id) == (None, False)

    with_bug("parked_dropped", scene)


def test_sale_denied_answers_declined_for_an_order_that_is_confirmed(
    with_bug: Callable[..., None], provider: Provider
) -> None:
    async def scene(booth: Booth) -> None:
        claims = [await booth.hold("f", f"101-{row}-{seat}") for row in "ABC" for seat in range(1, 13)]
        receipts = [await booth.pay(claim, key=f"k{at}") for at, claim in enumerate(claims)]
        told = {receipt.state for receipt in receipts}
        assert told == {OrderState.CONFIRMED, OrderState.DECLINED}
        for receipt in receipts:
            assert (await booth.order(receipt)).state is OrderState.CONFIRMED
            assert provider.entries(receipt.order_id) == ["capture"]

    with_bug("sale_denied", scene)


def test_sale_recanted_shows_a_confirmed_order_as_declined(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        receipt = await booth.pay(await booth.hold("f", "101-A-1"))
        assert receipt.state is OrderState.CONFIRMED

        async def shown_declined() -> bool:
            shown, _ = await booth.saga.find(receipt.order_id)
            return isinstance(shown, Order) and shown.state is OrderState.DECLINED

        await until(shown_declined, what="the order to be shown as declined")
        assert (await booth.order(receipt)).state is OrderState.CONFIRMED

    with_bug("sale_recanted", scene)


def test_surcharge_takes_more_than_is_shown(with_bug: Callable[..., None], provider: Provider) -> None:
    async def scene(booth: Booth) -> None:
        venue = booth.context.venue
        shown = venue.layout.prices_cents[venue.layout.sections[0].rows[0].price]
        receipt = await booth.pay(await booth.hold("f", venue.seats[0]))
        assert receipt.amount_cents == shown + parts.SURCHARGE_CENTS
        assert (await booth.order(receipt)).amount_cents == receipt.amount_cents
        assert provider.entries(receipt.order_id) == ["capture"]

    with_bug("surcharge", scene)


@pytest.mark.parametrize(("bug", "charges"), [("repeat_charged", 2), ("", 1)])
def test_repeat_charged_charges_a_payment_that_is_posted_again(
    with_bug: Callable[..., None], provider: Provider, bug: str, charges: int
) -> None:
    async def scene(booth: Booth) -> None:
        claim = await booth.hold("f", "101-A-1")
        first, again = await booth.pay(claim), await booth.pay(claim)
        assert (again.order_id, again.state) == (first.order_id, OrderState.CONFIRMED)
        assert provider.entries(first.order_id) == ["capture"] * charges

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "orders"), [("key_per_hold", 2), ("", 1)])
def test_key_per_hold_takes_a_used_key_for_another_purchase(
    with_bug: Callable[..., None], bug: str, orders: int
) -> None:
    async def scene(booth: Booth) -> None:
        await booth.pay(await booth.hold("f", "101-A-1"))
        with contextlib.suppress(KeyReusedError):
            await booth.pay(await booth.hold("f", "101-A-2"))
        assert len({row.order_id for row in await booth.orders.export()}) == orders

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "orders"), [("key_of_all", 1), ("", 2)])
def test_key_of_all_answers_with_the_order_of_another_fan(with_bug: Callable[..., None], bug: str, orders: int) -> None:
    async def scene(booth: Booth) -> None:
        receipts = [await booth.pay(await booth.hold(fan, seat)) for fan, seat in (("f", "101-A-1"), ("g", "101-A-2"))]
        assert len({receipt.order_id for receipt in receipts}) == orders
        assert len({row.order_id for row in await booth.orders.export()}) == orders
        assert (await booth.pay(await booth.hold("f", "101-A-3"), key="k2")).state is OrderState.CONFIRMED

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "held"), [("limit_per_session", True), ("", False)])
def test_limit_per_session_counts_anew_for_each_fan_of_an_identity(
    with_bug: Callable[..., None], bug: str, held: bool
) -> None:
    async def scene(booth: Booth) -> None:
        inventory = booth.context.inventory
        await inventory.hold(_claim("a-1", "a", "101-A-1"), limit=1)
        second = inventory.hold(_claim("a-2", "a", "101-A-2"), limit=1)
        if held:
            await second
        else:
            with pytest.raises(PurchaseLimitError):
                await second

    with_bug(bug, scene)


def _read(signer: Signer, token: str, *, believed: bool, refused: str) -> None:
    """The pass is believed, or refused for that reason."""
    with contextlib.nullcontext() if believed else pytest.raises(TokenError, match=refused):
        assert signer.read(Pass, token).admission_no == 7


@pytest.mark.parametrize(("bug", "believed"), [("unsigned_ticket", True), ("", False)])
def test_unsigned_ticket_believes_a_forged_pass(with_bug: Callable[..., None], bug: str, believed: bool) -> None:
    async def scene(booth: Booth) -> None:
        signer = booth.context.signer
        real, _ = signer.admit("f", "f", admission_no=7, limit=4, entered_s=time.time())
        raw = base64.urlsafe_b64decode(real + "=" * (-len(real) % 4))
        forged = base64.urlsafe_b64encode(raw[:-16] + b"x" * 16).rstrip(b"=").decode()
        _read(signer, forged, believed=believed, refused="signature")

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "believed"), [("expired_pass", True), ("", False)])
def test_expired_pass_believes_a_pass_that_is_over(with_bug: Callable[..., None], bug: str, believed: bool) -> None:
    async def scene(booth: Booth) -> None:
        signer = booth.context.signer
        over, _ = signer.admit("f", "f", admission_no=7, limit=4, entered_s=1_000.0)
        _read(signer, over, believed=believed, refused="expired")

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "believed"), [("pass_of_elsewhere", True), ("", False)])
def test_pass_of_elsewhere_believes_a_pass_of_another_event(
    with_bug: Callable[..., None], bug: str, believed: bool
) -> None:
    async def scene(booth: Booth) -> None:
        signer = booth.context.signer
        elsewhere = signer.of_event("another")
        given, _ = elsewhere.admit("f", "f", admission_no=7, limit=4, entered_s=time.time())
        assert elsewhere.read(Pass, given).admission_no == 7
        _read(signer, given, believed=believed, refused="another event")

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "believed"), [("shared_pass", True), ("", False)])
def test_shared_pass_believes_a_pass_on_any_device(with_bug: Callable[..., None], bug: str, believed: bool) -> None:
    async def scene(booth: Booth) -> None:
        signer = booth.context.signer
        own, _ = signer.admit("f", "f", admission_no=7, limit=4, entered_s=time.time(), device="phone")
        if believed:
            assert signer.read_from("thief", Pass, own).admission_no == 7
        else:
            with pytest.raises(TokenError, match="another device"):
                signer.read_from("thief", Pass, own)

    with_bug(bug, scene)


def by_tickets(booth: Booth, count: int) -> list[Ticket]:
    """Tickets of fans whom Redis does not know, in the order of their joins."""
    room = booth.context.room
    return [Ticket(EVENT, f"f{n}", f"f{n}", room.stamp(), 4e9) for n in range(count)]


@pytest.mark.parametrize("bug", ["line_by_name", "tickets_restamped", ""])
def test_who_was_forgotten_is_queued_by_something_else_than_the_ticket(with_bug: Callable[..., None], bug: str) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        tickets = by_tickets(booth, 12)
        for ticket in reversed(tickets):
            await room.rejoin(ticket)
        order = list((await room.positions([ticket.fan for ticket in tickets])).of)
        assert (order == list(range(1, 13))) is (not bug)
        assert sorted(order) == list(range(1, 13))

    with_bug(bug, scene)


def test_line_forgotten_never_puts_some_of_them_in_again(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        tickets = by_tickets(booth, 30)
        for ticket in tickets:
            await room.rejoin(ticket)
        seen = list((await room.positions([ticket.fan for ticket in tickets])).of)
        assert 0 < seen.count(-1) < 30

    with_bug("line_forgotten", scene)


@pytest.mark.parametrize(("bug", "position"), [("stream_is_place", 2), ("", 1)])
def test_stream_is_place_puts_who_opens_the_stream_again_at_the_end(
    with_bug: Callable[..., None], bug: str, position: int
) -> None:
    async def scene(booth: Booth) -> None:
        context = booth.context
        first = await context.room.join("a", "a")
        await context.room.join("b", "b")
        hub = context.stream_hub(context.room, rate_per_s=10.0)
        ticket = Ticket(EVENT, "a", "a", first.joined_us, 4e9)
        assert not await hub._look_up([hub.open(ticket)])
        assert not await hub._look_up([hub.open(ticket, last_event_id=f"{first.epoch}:1")])
        assert list((await context.room.positions(["a"])).of) == [position]

    with_bug(bug, scene)


@pytest.mark.parametrize("bug", ["code_reused", ""])
def test_code_reused_lets_a_code_in_twice(with_bug: Callable[..., None], bug: str) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        await room.join("a", "a", code="c1")
        with contextlib.nullcontext() if bug else pytest.raises(CodeSpentError):
            await room.join("b", "b", code="c1")

    with_bug(bug, scene)


@pytest.mark.parametrize("bug", ["codes_believed", ""])
def test_codes_believed_takes_an_invented_code(with_bug: Callable[..., None], bug: str, tmp_path: Path) -> None:
    (tmp_path / "codes").write_text("GOOD-1\n")

    async def scene(booth: Booth) -> None:
        entrance = booth.context.entrance
        assert entrance.code_of(" good-1 ")
        for shown in ("BAD-1", ""):
            with contextlib.nullcontext() if bug else pytest.raises(CodeRefusedError):
                entrance.code_of(shown)

    with_bug(bug, scene, codes=str(tmp_path / "codes"))


@pytest.mark.parametrize(("bug", "position"), [("reload_is_new", 2), ("", 1)])
def test_reload_is_new_puts_who_joins_again_at_the_end(with_bug: Callable[..., None], bug: str, position: int) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        await room.join("a", "a")
        await room.join("b", "b")
        assert (await room.join("a", "a")).position == position

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "position"), [("ticket_is_new", 2), ("", 1)])
def test_ticket_is_new_puts_who_shows_the_ticket_at_the_end(
    with_bug: Callable[..., None], bug: str, position: int
) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        first = await room.join("a", "a")
        await room.join("b", "b")
        ticket = Ticket(EVENT, "a", "a", first.joined_us, 4e9)
        assert (await room.rejoin(ticket)).position == position

    with_bug(bug, scene)


@pytest.mark.parametrize("bug", ["second_place", ""])
def test_second_place_queues_an_identity_twice(with_bug: Callable[..., None], bug: str) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        await room.join("phone", "ann")
        with contextlib.nullcontext() if bug else pytest.raises(SecondPlaceError):
            await room.join("laptop", "ann")

    with_bug(bug, scene, places_per_identity=1)


@pytest.mark.parametrize(("bug", "first"), [("lifo_admission", "c"), ("", "a")])
def test_lifo_admission_lets_the_last_in_first(with_bug: Callable[..., None], bug: str, first: str) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        for fan in ("a", "b", "c"):
            await room.join(fan, fan)
        await room.admit(rate_per_s=1e6, burst=1)  # a bucket starts empty
        while not (await room.admit(rate_per_s=1e6, burst=1)).count:
            pass
        seen = await room.positions(["a", "b", "c"])
        assert ["a", "b", "c"][list(seen.of).index(0)] == first

    with_bug(bug, scene)


def test_position_regress_puts_a_fan_back_in_the_same_epoch(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        await room.join("a", "a")
        looks = [await room.positions(["a"]) for _ in range(2 * parts.REGRESS_EVERY)]
        assert len({look.epoch for look in looks}) == 1
        assert {look.of[0] for look in looks} == {1, 1 + parts.REGRESS_BY}

    with_bug("position_regress", scene)


def test_stale_map_shows_a_sold_seat_as_free_and_fresh(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        seat_map = booth.context.seat_map
        before = await seat_map.seats()
        await booth.pay(await booth.hold("f", "101-A-1"))
        seat_map.invalidate()
        assert await seat_map.seats() == before
        assert msgspec.json.decode(before)["stale"] is False

    with_bug("stale_map", scene)


def test_everybody_next_tells_everybody_that_they_are_next(with_bug: Callable[..., None]) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        for fan in "abc":
            await room.join(fan, fan)
        assert list((await room.positions(["a", "b", "c", "nobody"])).of) == [1, 1, 1, -1]

    with_bug("everybody_next", scene)


@pytest.mark.parametrize(("bug", "told"), [("sold_out_untrue", 1), ("", 0)])
def test_sold_out_untrue_says_now_and_then_that_nothing_is_left(
    with_bug: Callable[..., None], bug: str, told: int
) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        await room.join("a", "a")
        seen = [(await room.positions(["a"])).sold_out for _ in range(parts.DISCOURAGES_EVERY)]
        assert sum(seen) == told

    with_bug(bug, scene)


@pytest.mark.parametrize(("bug", "refused"), [("ticket_used_up", True), ("", False)])
def test_ticket_used_up_lets_nobody_in_again(with_bug: Callable[..., None], bug: str, *, refused: bool) -> None:
    async def scene(booth: Booth) -> None:
        room = booth.context.room
        ticket = Ticket("e", "f", "f", (await room.join("f", "f")).joined_us, 0.0)

        async def admitted() -> bool:
            return (await room.admit(rate_per_s=100.0, burst=10)).count > 0

        await until(admitted, what="the admission")
        await room.enter(ticket)
        with pytest.raises(EntryRefusedError, match="used") if refused else contextlib.nullcontext():
            await room.enter(ticket)

    with_bug(bug, scene)


def test_admission_burst_opens_the_door_now_and_then() -> None:
    now_s = iter((0.0, parts.BURST_LENGTH_S))
    surging = parts.SurgingRate(FixedRate(10.0, 20), clock=lambda: next(now_s))
    assert surging.burst == 20 * parts.BURST_TIMES
    assert surging.rate_per_s() * parts.BURST_LENGTH_S == pytest.approx(surging.burst)
    assert surging.rate_per_s() == 10.0


@pytest.mark.parametrize(("bug", "told"), [("dropped_event", 0), ("duplicate_seq", 2), ("", 1)])
def test_the_faulty_logs_tell_every_50th_change_never_or_twice(bug: str, told: int) -> None:
    log: SeatLog = catalogue.find(bug).seat_log(["101-A-1"])
    log.load("e", 0, b"0", (), now_s=0.0)
    counts = [len(log.append(SeatChange("e", seq, "101-A-1", seq % 2, 0.0))) for seq in range(1, 101)]
    assert counts == [told if seq % parts.EVERY == 0 else 1 for seq in range(1, 101)]


@pytest.mark.parametrize(("bug", "shown"), [("snapshot_behind", ["101-A-2"]), ("", ["101-A-1", "101-A-2"])])
def test_snapshot_behind_lacks_the_newest_change(bug: str, shown: list[str]) -> None:
    log: SeatLog = catalogue.find(bug).seat_log(["101-A-1", "101-A-2"])
    log.load("e", 0, b"00", (), now_s=0.0)
    for seq in range(1, SNAPSHOT_AGE_MAX + 3):
        assert len(log.append(SeatChange("e", seq, f"101-A-{1 + seq % 2}", 1, 0.0))) == 1
    snapshot = msgspec.json.decode(log.opening("", None, 0.0).messages[0])
    assert (snapshot["seq"], sorted(snapshot["seats"])) == (SNAPSHOT_AGE_MAX + 2, shown)


def test_each_bug_says_what_it_breaks() -> None:
    assert {name: bug.breaks for name, bug in catalogue.BUGS.items()} == {
        "double_sell": "no_double_sell",
        "lost_ack": "no_lost_booking",
        "leaked_hold": "no_leaked_hold",
        "partial_hold": "granted_as_asked",
        "early_expiry": "no_early_expiry",
        "late_payment_taken": "no_early_expiry",
        "released_by_anybody": "no_early_expiry",
        "late_expiry": "no_late_expiry",
        "sold_seat_held": "no_sold_seat_granted",
        "flattering_map": "map_honest",
        "flattering_counts": "map_honest",
        "double_charge": "money_reconciles",
        "decline_charged": "money_reconciles",
        "others_card": "money_reconciles",
        "late_capture_kept": "money_reconciles",
        "parked_dropped": "no_lost_order",
        "sale_denied": "no_lost_booking",
        "sale_recanted": "no_lost_booking",
        "surcharge": "charged_as_shown",
        "repeat_charged": "one_key_one_purchase",
        "key_per_hold": "one_key_one_purchase",
        "key_of_all": "one_key_one_purchase",
        "limit_per_session": "purchase_limit",
        "limit_too_low": "refused_for_cause",
        "given_back_counts": "refused_for_cause",
        "free_seat_refused": "refused_for_cause",
        "accessible_for_all": "accessible_kept",
        "companion_alone": "accessible_kept",
        "ticket_used_up": "refused_for_cause",
        "sold_out_untrue": "refused_for_cause",
        "unsigned_ticket": "no_queue_bypass",
        "expired_pass": "no_queue_bypass",
        "pass_of_elsewhere": "no_queue_bypass",
        "shared_pass": "no_queue_bypass",
        "code_reused": "no_queue_bypass",
        "codes_believed": "no_queue_bypass",
        "second_place": "no_queue_bypass",
        "reload_is_new": "queue_order",
        "ticket_is_new": "queue_order",
        "lifo_admission": "queue_order",
        "line_by_name": "place_kept",
        "line_forgotten": "place_kept",
        "tickets_restamped": "place_kept",
        "stream_is_place": "place_kept",
        "position_regress": "position_monotonic",
        "everybody_next": "position_monotonic",
        "dropped_event": "feed_gap_free",
        "duplicate_seq": "feed_gap_free",
        "snapshot_behind": "feed_gap_free",
        "stale_map": "seat_conservation",
        "admission_burst": "admission_rate",
    }


def test_a_script_that_a_bug_no_longer_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="no longer says"):
        parts._changed(parts._HOLD_ANY, "no such passage", "")


@pytest.mark.parametrize("role", ["booking", "worker", "feed"])
def test_an_unknown_bug_ends_the_process_with_one_clear_line(role: str) -> None:
    environment = {**os.environ, "TARGET_BUG": "unheard_of"}
    done = subprocess.run(
        [sys.executable, "-m", "target", role],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"target: TARGET_BUG='unheard_of': no such bug; known: {', '.join(sorted(catalogue.BUGS))}"
    ]
    with pytest.raises(SettingsError):
        catalogue.find("unheard_of")


def _claim(fan: str, identity: str, *seats: str) -> Claimed:
    return Claimed(f"hold-{fan}", fan, identity, seats)


async def _expire(booth: Booth) -> None:
    async def expired() -> bool:
        return await booth.context.inventory.expire_due() > 0

    await until(expired, what="the hold's end")
