"""money_reconciles, state by state."""

from __future__ import annotations

import pytest

from harness.record.verdict import Status
from tests.harness.audit.paper import booked, empty, exported, judged, sold

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
    ("declined", [("decline", 5000)], Status.HELD),
    ("declined", [], Status.HELD),
    ("declined", [("capture", 5000)], Status.VIOLATED),
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


def test_a_decline_without_an_order_moved_no_money() -> None:
    builder = empty()
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


REUSED = {"order_id": "o1", "seats": ["B-2"]}


@pytest.mark.parametrize(
    ("outcome", "answered", "status"),
    [
        ("fail", {}, Status.HELD),
        ("ok", {"answered_id": "o1", "answered_seats": ["A-1"]}, Status.HELD),
        ("ok", {"answered_id": "o1", "answered_seats": ["B-2"]}, Status.VIOLATED),
        ("ok", {"answered_id": "o2", "answered_seats": ["B-2"]}, Status.VIOLATED),
        ("unknown", {}, Status.HELD),
    ],
)
def test_a_used_key_buys_nothing_else(outcome: str, answered: dict[str, object], status: Status) -> None:
    builder = empty()
    sold(builder, 1, "A-1", "o1")
    builder.operation(1, "reuse", "k-o1", {**REUSED, **answered}, 50.0, 50.1, outcome)
    result = judged("money_reconciles", builder)
    assert result.status is status
    assert (result.operations_checked, result.unknowns) == (2, int(outcome == "unknown"))
    if status is Status.VIOLATED:
        violation = result.violations[0]
        assert violation.summary == "the key of order o1 was taken for another purchase"
        assert "was answered with order" in violation.history[0].text
