"""money_reconciles, state by state."""

from __future__ import annotations

import pytest

from harness.audit import audit
from harness.audit.history import Evidence
from harness.record.verdict import Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import booked, empty, exported, judged, sold
from tests.paper_stock import StockSale

SEAT = "101-A-1"
CASES = [  # state of the order, entries of the ledger, verdict
    ("confirmed", [("capture", 5000)], Status.HELD),
    ("confirmed", [("decline", 5000), ("capture", 5000)], Status.HELD),
    ("confirmed", [("capture", 5000), ("capture", 5000), ("refund", 5000)], Status.HELD),
    ("confirmed", [], Status.VIOLATED),
    ("confirmed", [("capture", 4999)], Status.VIOLATED),
    ("confirmed", [("capture", 2500), ("capture", 2500)], Status.VIOLATED),
    ("confirmed", [("capture", 5000), ("capture", 5000)], Status.VIOLATED),
    ("confirmed", [("capture", 5000), ("refund", 5000)], Status.VIOLATED),
    ("declined", [("decline", 5000)], Status.NOT_EXERCISED),
    ("declined", [], Status.NOT_EXERCISED),
    ("declined", [("capture", 5000)], Status.VIOLATED),
    ("declined", [("capture", 5000), ("refund", 5000)], Status.VIOLATED),
    ("declined", [("decline", 5000), ("capture", 5000), ("refund", 5000)], Status.VIOLATED),
    ("expired", [("capture", 5000), ("refund", 5000)], Status.HELD),
    ("expired", [("capture", 5000)], Status.VIOLATED),
    ("refunded", [("capture", 5000), ("refund", 5000)], Status.HELD),
    ("refunded", [("capture", 5000), ("refund", 4000)], Status.VIOLATED),
    ("refunded", [("capture", 5000)], Status.VIOLATED),
    ("refunded", [("capture", 5000), ("refund", 5000), ("refund", 5000)], Status.VIOLATED),
    ("pending", [("capture", 5000)], Status.VIOLATED),
    ("pending", [], Status.UNKNOWN),
]


@pytest.mark.parametrize(("state", "entries", "status"), CASES)
def test_an_order_and_its_ledger(state: str, entries: list[tuple[str, int]], status: Status) -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a", state)
    for entry, cents in entries:
        booked(builder, "a", entry, cents)
    assert judged("money_reconciles", builder).status is status


def test_an_uncharged_order_still_pending_leaves_the_rest_undecided() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    exported(builder, 2, "101-A-2", "b", "pending")
    result = judged("money_reconciles", builder)
    assert (result.status, result.note) == (
        Status.UNKNOWN,
        "1 orders were still pending, uncharged, when settling ended",
    )


@pytest.mark.parametrize("entries", [["capture"], ["capture", "refund"]])
def test_a_charge_without_an_order_had_no_intent_behind_it(entries: list[str]) -> None:
    builder = empty()
    for entry in entries:
        booked(builder, "ghost", entry)
    result = judged("money_reconciles", builder)
    assert result.violations_total == 1
    assert "for no order" in result.violations[0].summary


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        (["capture", "refund"], 0),
        (["capture"], 1),
        (["refund"], 1),
        (["capture", "capture", "refund"], 1),
        (["capture", "refund", "refund"], 1),
    ],
)
def test_a_shop_may_give_back_what_it_took_for_an_order_that_came_to_nothing(entries: list[str], found: int) -> None:
    sale = StockSale()
    for entry in entries:
        booked(sale, "sold-out-meanwhile", entry)
    assert judged("money_reconciles", sale).violations_total == found


def test_a_decline_without_an_order_moved_no_money() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    booked(builder, "ghost", "decline")
    assert judged("money_reconciles", builder).status is Status.HELD


def test_the_price_is_the_one_that_the_fan_was_told() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    builder.tables["final_orders"][0]["amount_cents"] = 5500
    builder.tables["final_ledger"][0]["amount_cents"] = 5500
    summary = judged("money_reconciles", builder).violations[0].summary
    assert summary == "order a of fan-0001 costs 5500 cents, but the fan was told 5000"


def test_an_order_of_several_seats_is_charged_once_for_all() -> None:
    builder = empty()
    for seat in (SEAT, "101-A-2"):
        exported(builder, 1, seat, "a")
    booked(builder, "a", "capture", 10_000)
    assert judged("money_reconciles", builder).status is Status.HELD


def test_an_order_torn_between_states_is_violated() -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a")
    exported(builder, 1, "101-A-2", "a", "refunded")
    booked(builder, "a", "capture", 10_000)
    assert "has seats in different states" in judged("money_reconciles", builder).violations[0].summary


def test_its_chances_are_orders_with_money_moved_or_a_payment_without_an_answer() -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a", "declined")
    booked(builder, "a", "decline")
    assert judged("money_reconciles", builder).status is Status.NOT_EXERCISED
    exported(builder, 2, "101-A-2", "b", "expired")
    builder.operation(2, "pay", "k-b", {"hold_id": "h", "seats": ["101-A-2"]}, 1.0, None, "unknown", "timeout")
    assert judged("money_reconciles", builder).chances == 1
    sold(builder, 3, "101-A-3", "c")
    result = judged("money_reconciles", builder)
    assert (result.status, result.chances) == (Status.HELD, 2)


def test_an_order_that_is_exported_twice_is_named_as_such_and_costs_what_it_costs() -> None:
    builder = RunBuilder(faulty=False)
    row = builder.confirmed()[0]
    builder.tables["final_orders"].append(dict(row))
    found = {result.name: result for result in audit(builder.record())}
    [violation] = found["money_reconciles"].violations
    assert f"order {row['order_id']} of {row['fan']} is exported more than once" in violation.summary
    assert str(row["seat"]) in violation.summary
    assert [name for name, result in found.items() if result.status is Status.VIOLATED] == ["money_reconciles"]


def test_rows_of_one_seat_that_contradict_each_other_are_mixed() -> None:
    builder = RunBuilder(faulty=False)
    row = builder.confirmed()[0]
    builder.tables["final_orders"].append(row | {"state": "refunded"})
    order = Evidence(builder.record()).orders[str(row["order_id"])]
    assert (order.state, order.repeated) == ("mixed", (row["seat"],))


@pytest.mark.parametrize(("again", "status"), [(False, Status.VIOLATED), (True, Status.HELD)])
def test_a_fan_whose_last_word_is_that_the_card_was_declined_was_not_charged(*, again: bool, status: Status) -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a", "refunded")
    booked(builder, "a", "capture")
    booked(builder, "a", "refund")
    value = {"hold_id": "h", "seats": [SEAT]}
    builder.operation(1, "pay", "k-a", value, 1.0, 1.1, "fail", "declined")
    if again:
        builder.operation(1, "pay", "k-a", value, 2.0, None, "unknown", "timeout")
    assert judged("money_reconciles", builder).status is status


@pytest.mark.parametrize(("entries", "status"), [([], Status.HELD), ([("capture", 100)], Status.VIOLATED)])
def test_a_free_ticket_is_charged_to_nobody(entries: list[tuple[str, int]], status: Status) -> None:
    builder = empty()
    sold(builder, 1, "104-C-13", "b")
    exported(builder, 2, SEAT, "a", cents=0)
    for entry, cents in entries:
        booked(builder, "a", entry, cents)
    assert judged("money_reconciles", builder).status is status


@pytest.mark.parametrize(
    ("told", "entries", "wrong"),
    [
        ("ok-1", [("capture", "ok-1")], ""),
        ("ok-1", [("capture", "ok-2")], "the capture of 5000 cents is on the card ok-2"),
        ("ok-1", [("capture", "ok-1"), ("capture", "ok-1"), ("refund", "ok-2")],
         "the refund of 5000 cents is on the card ok-2"),
        ("ok-1", [("decline", "ok-2"), ("capture", "ok-1")], ""),
        ("declined", [("capture", "ok-1")], "the capture of 5000 cents is on the card ok-1"),
        ("ok-1", [("capture", None)], ""),
        (None, [("capture", "ok-2")], ""),
    ],
)  # fmt: skip
def test_money_comes_from_the_card_that_the_fan_paid_with(
    told: str | None, entries: list[tuple[str, str | None]], wrong: str
) -> None:
    builder = empty()
    value = {"hold_id": "h", "seats": [SEAT], "order_id": "a", "amount_cents": 5000, "state": "confirmed"}
    builder.operation(1, "pay", "k-a", value | ({"card": told} if told else {}), 1.0, 1.1)
    exported(builder, 1, SEAT, "a")
    for entry, card in entries:
        booked(builder, "a", entry, card=card)
    result = judged("money_reconciles", builder)
    assert (result.status is Status.VIOLATED, [wrong in one.summary for one in result.violations]) == (
        bool(wrong), [True] * bool(wrong)
    )  # fmt: skip


def test_a_payment_without_an_answer_was_made_with_the_fans_card_too() -> None:
    builder = empty()
    builder.operation(
        1, "pay", "k-a", {"hold_id": "h", "seats": [SEAT], "card": "ok-1"}, 1.0, 5.0, "unknown", "timeout"
    )
    exported(builder, 1, SEAT, "a")
    booked(builder, "a", "capture", card="ok-2")
    assert judged("money_reconciles", builder).status is Status.VIOLATED


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_two_refunds_on_one_charge_one_went_to_somebody_else(first: str) -> None:
    """However the ledger lists them, each order nets nothing."""
    builder = empty()
    for fan, order in enumerate("ab"):
        exported(builder, fan, f"101-A-{fan}", order, "refunded")
        booked(builder, order, "capture")
    for order in sorted("ab", key=lambda order: order != first):
        booked(builder, order, "refund", charge="c-0")
    (violation,) = judged("money_reconciles", builder).violations
    assert violation.summary == "the refund of order b went to the charge of order a"


def test_a_refund_on_no_charge_gave_nobody_the_money_back() -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a", "refunded")
    booked(builder, "a", "capture")
    booked(builder, "a", "refund", charge="c-9")
    (violation,) = judged("money_reconciles", builder).violations
    assert violation.summary == "the refund of order a went to c-9, which charged nobody"
