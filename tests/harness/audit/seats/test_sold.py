"""no_sold_seat_granted, case by case and against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, with_uncertain_clocks

SEAT = "101-A-1"


def sold_again(builder: RunBuilder) -> InvariantResult:
    return judged("no_sold_seat_granted", builder)


def bought(builder: RunBuilder, fan: int = 1, told_s: float = 0.496) -> None:
    value = {"hold_id": f"h-{fan}", "seats": [SEAT], "order_id": f"o-{fan}", "amount_cents": 5000, "state": "confirmed"}
    builder.operation(fan, "hold", f"h-{fan}", {"seats": [SEAT], "ttl_s": 3.0}, told_s - 0.4, told_s - 0.3)
    builder.operation(fan, "pay", f"k-o-{fan}", value, told_s - 0.05, told_s)


def asked(builder: RunBuilder, fan: int, t_s: float, outcome: str = "ok", error: str = "") -> None:
    key = f"h-{fan}-{t_s}" if outcome == "ok" else ""
    builder.operation(fan, "hold", key, {"seats": [SEAT], "ttl_s": 3.0}, t_s, t_s + 0.01, outcome, error)


@pytest.mark.parametrize("export", [True, False])
def test_a_grant_of_a_sold_seat_whose_holder_leaves(export: bool) -> None:
    builder = empty()
    bought(builder)
    if export:
        exported(builder, 1, SEAT, "o-1")
    asked(builder, 2, 4.496)
    result = sold_again(builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == f"seat {SEAT} was granted to fan-0002 4 s after it was sold to fan-0001"
    assert [step.text for step in result.violations[0].history] == [
        f"fan-0001 was told that {SEAT} is sold to them",
        f"fan-0002 asked for seat {SEAT} at 4.496 s and was granted it",
    ]
    assert judged("no_early_expiry", builder).status is not Status.VIOLATED  # it is told of once


def test_its_own_buyer_may_not_hold_it_again_either() -> None:
    builder = empty()
    bought(builder)
    asked(builder, 1, 4.0)
    assert sold_again(builder).status is Status.VIOLATED


def test_a_lookup_and_a_sweep_tell_as_much() -> None:
    builder = empty()
    builder.operation(1, "order", "o-1", {"state": "confirmed", "seats": [SEAT]}, 2.0, 2.1)
    builder.operation(9, "sweep", SEAT, {}, 60.0, 60.1, actor="operator")
    assert sold_again(builder).status is Status.VIOLATED


@pytest.mark.parametrize("state", ["refunded", "declined", "expired"])
def test_a_sale_that_was_taken_back_leaves_the_seat_to_others(state: str) -> None:
    builder = empty()
    bought(builder)
    exported(builder, 1, SEAT, "o-1", state)
    asked(builder, 2, 4.0)
    assert sold_again(builder).status is Status.NOT_EXERCISED


def test_a_grant_that_was_asked_for_before_the_sale_was_told_may_have_come_first() -> None:
    builder = empty()
    bought(builder)
    asked(builder, 2, 0.49)
    assert sold_again(builder).status is Status.NOT_EXERCISED


def test_clocks_of_two_workers_may_differ() -> None:
    builder = empty()
    bought(builder)
    asked(builder, 2, 0.51)
    assert sold_again(builder).status is Status.VIOLATED
    assert sold_again(with_uncertain_clocks(builder, 20.0)).status is Status.NOT_EXERCISED


def test_only_sold_seats_that_somebody_asked_for_are_chances() -> None:
    builder = empty()
    bought(builder)
    assert (sold_again(builder).status, sold_again(builder).chances) == (Status.NOT_EXERCISED, 0)
    asked(builder, 2, 4.0, "fail", "conflict")
    asked(builder, 3, 5.0, "unknown", "timeout")
    asked(builder, 4, 6.0, "fail", "status")
    builder.operation(9, "sweep", SEAT, {}, 60.0, 60.1, "fail", "conflict", actor="operator")
    assert (sold_again(builder).status, sold_again(builder).chances) == (Status.HELD, 2)


moment = st.floats(0, 20, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(sales=st.lists(moment, max_size=3), grants=st.lists(moment, max_size=6))
def test_each_grant_after_the_first_sale_is_wrong_and_no_other(sales: list[float], grants: list[float]) -> None:
    builder = empty()
    for fan, told_s in enumerate(sales, 1):
        value = {"seats": [SEAT], "order_id": f"o-{fan}", "state": "confirmed"}
        builder.operation(fan, "pay", f"k-{fan}", value, told_s - 0.1, told_s)
    for fan, t_s in enumerate(grants, 11):
        asked(builder, fan, t_s)
    wrong = [t_s for t_s in grants if sales and t_s > min(sales)]
    assert sold_again(builder).violations_total == len(wrong)
