"""no_double_sell and no_lost_booking, case by case."""

from __future__ import annotations

import pytest

from harness.record.verdict import Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, sold

SEAT = "104-C-12"


def told(builder: RunBuilder, fan: int, order: str, *, outcome: str = "ok", state: str = "confirmed") -> None:
    value = {"hold_id": "h", "seats": [SEAT], "order_id": order, "amount_cents": 5000, "state": state}
    builder.operation(fan, "pay", f"k-{order}", value, fan, fan + 0.5, outcome)


def test_two_fans_told_that_the_same_seat_is_theirs() -> None:
    builder = empty()
    told(builder, 1, "a")
    told(builder, 2, "b")
    result = judged("no_double_sell", builder, absent=("final_orders",))
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == f"seat {SEAT} was sold 2 times: orders a, b"
    assert [(step.t_s, step.actor) for step in result.violations[0].history] == [(1.5, "fan-0001"), (2.5, "fan-0002")]


def test_a_lookup_is_a_promise_too() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    builder.operation(2, "order", "b", {"state": "confirmed", "seats": [SEAT], "amount_cents": 5000}, 5.0, 5.1)
    assert judged("no_double_sell", builder).status is Status.VIOLATED


def test_the_export_alone_can_show_a_double_sell() -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a")
    exported(builder, 2, SEAT, "b")
    result = judged("no_double_sell", builder)
    assert result.violations_total == 1
    assert {step.actor for step in result.violations[0].history} == {"order export"}


def test_an_order_told_twice_is_one_order() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    told(builder, 1, "a")
    builder.operation(1, "order", "a", {"state": "confirmed", "seats": [SEAT], "amount_cents": 5000}, 5.0, 5.1)
    assert judged("no_double_sell", builder).status is Status.NOT_EXERCISED
    assert judged("no_lost_booking", builder).status is Status.HELD


def test_an_order_without_an_id_is_known_by_its_idempotency_key() -> None:
    builder = empty()
    value = {"hold_id": "h", "seats": [SEAT], "amount_cents": 5000, "state": "confirmed"}
    builder.operation(1, "pay", "k-a", value, 1.0, 1.5)
    exported(builder, 1, SEAT, "a")
    assert judged("no_double_sell", builder).status is Status.NOT_EXERCISED
    assert judged("no_lost_booking", builder).status is Status.HELD


@pytest.mark.parametrize(("outcome", "state"), [("unknown", ""), ("ok", "pending"), ("fail", "")])
def test_what_was_not_confirmed_claims_no_seat(outcome: str, state: str) -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    told(builder, 2, "b", outcome=outcome, state=state)
    result = judged("no_double_sell", builder)
    assert result.status is Status.NOT_EXERCISED
    assert result.unknowns == (1 if outcome == "unknown" else 0)


@pytest.mark.parametrize(
    ("state", "fan", "seat", "problem"),
    [
        ("refunded", 1, SEAT, "is refunded"),
        ("pending", 1, SEAT, "is pending"),
        ("confirmed", 2, SEAT, "belongs to fan-0002"),
        ("confirmed", 1, "104-C-13", f"no longer has seat {SEAT}"),
    ],
)
def test_a_promise_that_the_export_does_not_keep_is_lost(state: str, fan: int, seat: str, problem: str) -> None:
    builder = empty()
    told(builder, 1, "a")
    exported(builder, fan, seat, "a", state)
    result = judged("no_lost_booking", builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == f"order a of fan-0001 is lost: it {problem}"


def test_a_promise_that_nobody_remembers_is_lost() -> None:
    builder = empty()
    told(builder, 1, "a")
    result = judged("no_lost_booking", builder)
    assert result.violations[0].summary == "order a of fan-0001 is lost: it is not in the order export"


def test_a_confirmed_seat_that_the_map_offers_again_is_lost() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    builder.tables["final_seats"][0]["state"] = "free"
    result = judged("no_lost_booking", builder)
    assert result.violations[0].summary == f"seat {SEAT} of the confirmed order a is free in the seat map"


def test_nobody_bought_anything_is_no_pass() -> None:
    assert judged("no_double_sell", empty()).status is Status.UNKNOWN
    assert judged("no_lost_booking", empty()).status is Status.UNKNOWN


@pytest.mark.parametrize(("outcome", "error", "status"), [
    ("fail", "conflict", Status.HELD), ("ok", "", Status.VIOLATED), ("fail", "status", Status.NOT_EXERCISED),
])  # fmt: skip
def test_a_sold_seat_that_is_asked_for_again_at_rest(outcome: str, error: str, status: Status) -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    builder.operation(0, "sweep", SEAT, {}, 60.0, 60.1, outcome, error, actor="sweep")
    result = judged("no_double_sell", builder)
    assert result.status is status
    if status is Status.VIOLATED:
        assert result.violations[0].summary == f"seat {SEAT} was granted again after order a had it"


@pytest.mark.parametrize(("outcome", "problem"), [
    ("unknown", "is order b of fan-0002"), ("fail", "is order b of fan-0002"),
])  # fmt: skip
def test_the_order_of_a_key_belongs_to_the_fan_who_used_it(outcome: str, problem: str) -> None:
    builder = empty()
    sold(builder, 3, "104-C-13", "c")
    builder.operation(1, "pay", "k-b", {"hold_id": "h", "seats": [SEAT]}, 1.0, None, outcome, "timeout")
    exported(builder, 2, SEAT, "b", "confirmed")
    result = judged("no_lost_booking", builder)
    assert result.status is Status.VIOLATED
    assert f"the purchase of fan-0001 with the key k-b {problem}" in [v.summary for v in result.violations]


@pytest.mark.parametrize("invariant", ["no_lost_booking", "charged_as_shown"])
def test_a_strangers_order_with_the_key_of_a_fan_is_not_the_fans(invariant: str) -> None:
    """Keys are each fan's own. The fan never heard of the payment, and a stranger tried the key afterwards."""
    builder = empty()
    sold(builder, 3, "104-C-13", "c")
    value = {"hold_id": "h", "seats": [SEAT], "shown_cents": 5000}
    builder.operation(1, "pay", "k-b", value, 1.0, None, "unknown", "timeout")
    exported(builder, 1, SEAT, "b")
    builder.tables["final_seats"].append({"seat": SEAT, "state": "sold"})
    exported(builder, 9, "104-C-14", "z", "declined", 6500)
    builder.tables["final_orders"][-1] |= {"idempotency_key": "k-b", "fan": "prober-key"}
    assert judged(invariant, builder).status is not Status.VIOLATED


def test_an_order_has_the_seats_that_were_paid_for() -> None:
    builder = empty()
    builder.operation(1, "pay", "k-a", {"hold_id": "h", "seats": [SEAT]}, 1.0, None, "unknown", "timeout")
    exported(builder, 1, "104-C-13", "a")
    summary = "the purchase of fan-0001 with the key k-a is order a, which has seat 104-C-13"
    assert [v.summary for v in judged("no_lost_booking", builder).violations] == [summary]


def test_the_order_that_a_fan_was_told_is_the_one_of_their_key() -> None:
    builder = empty()
    sold(builder, 2, "104-C-13", "c")
    told(builder, 1, "b")
    exported(builder, 1, SEAT, "b")
    builder.tables["final_seats"].append({"seat": SEAT, "state": "sold"})
    builder.tables["final_orders"][-1]["idempotency_key"] = "k-other"
    summary = "the purchase of fan-0001 with the key k-b was answered with order b, which is of the key k-other"
    assert [v.summary for v in judged("no_lost_booking", builder).violations] == [summary]


def test_where_the_export_shows_keys_of_its_own_they_say_nothing() -> None:
    builder = empty()
    told(builder, 1, "b")
    exported(builder, 1, SEAT, "b")
    builder.tables["final_orders"][-1]["idempotency_key"] = "internal-17"
    assert judged("no_lost_booking", builder).status is Status.HELD


@pytest.mark.parametrize(("fan", "status"), [(3, Status.VIOLATED), (77, Status.VIOLATED)])
def test_where_the_platform_is_ours_there_is_no_order_that_nobody_asked_for(fan: int, status: Status) -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    builder.operation(3, "hold", "h", {"seats": ["104-C-13"], "ttl_s": 8.0}, 1.0, 1.1)
    exported(builder, fan, "104-C-13", "x")
    builder.tables["final_seats"].append({"seat": "104-C-13", "state": "sold"})
    assert judged("no_lost_booking", builder).status is status
    del builder.tables["operations"][0]
    assert "never asked" not in str(judged("no_lost_booking", builder).violations)  # perhaps they did


def test_its_chances_are_what_fans_were_told() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    builder.operation(2, "pay", "k-b", {"hold_id": "h", "seats": ["s"]}, 1.0, 1.1, "fail", "declined")
    builder.operation(3, "pay", "k-c", {"hold_id": "h", "seats": ["s"]}, 1.0, None, "unknown", "timeout")
    assert judged("no_lost_booking", builder).chances == 2


def test_an_order_has_no_more_seats_than_its_fan_was_told() -> None:
    builder = empty()
    exported(builder, 1, SEAT, "a")
    exported(builder, 1, "104-C-13", "a")
    builder.operation(1, "order", "a", {"state": "confirmed", "seats": [SEAT]}, 5.0, 5.1)
    summary = "order a of fan-0001 is lost: it has seat 104-C-13 too"
    assert [v.summary for v in judged("no_lost_booking", builder).violations] == [summary]


@pytest.mark.parametrize(("outcome", "order"), [("ok", ""), ("ok", "a"), ("unknown", "")])
def test_of_an_order_that_the_export_gives_nobody_it_is_not_said_whose_it_is(outcome: str, order: str) -> None:
    builder = empty()
    told = {"order_id": order, "amount_cents": 5000, "state": "confirmed"} if outcome == "ok" else {}
    builder.operation(1, "pay", "k-a", {"hold_id": "h", "seats": [SEAT], **told}, 1.0, 1.5, outcome)
    sold(builder, 3, "104-C-13", "c")
    exported(builder, 1, SEAT, "a")
    builder.tables["final_orders"][-1]["fan"] = ""
    builder.tables["final_seats"].append({"seat": SEAT, "state": "sold"})
    assert judged("no_lost_booking", builder).status is Status.HELD
    builder.tables["final_orders"][-1]["seat"] = "104-C-14"
    assert judged("no_lost_booking", builder).status is Status.VIOLATED
