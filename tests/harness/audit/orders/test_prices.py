"""charged_as_shown against its definition, order by order, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import booked, empty, exported, judged

cents = st.sampled_from([5000, 5150])


def priced(builder: RunBuilder, *, absent: tuple[str, ...] = ()) -> InvariantResult:
    return judged("charged_as_shown", builder, absent=absent)


def bought(
    builder: RunBuilder, fan: int, shown: int | None, told: int, ordered: int, captured: int, refunded: int | None
) -> None:
    order = f"o{fan}"
    value = {"hold_id": "h", "seats": [f"s{fan}"], "order_id": order, "amount_cents": told, "state": "confirmed"}
    builder.operation(fan, "pay", f"k-{order}", value | ({"shown_cents": shown} if shown else {}), fan, fan + 0.1)
    exported(builder, fan, f"s{fan}", order, "confirmed" if refunded is None else "refunded", ordered)
    booked(builder, order, "capture", captured)
    if refunded is not None:
        booked(builder, order, "refund", refunded)


@settings(max_examples=300, deadline=None)
@given(orders=st.lists(st.tuples(st.none() | cents, cents, cents, cents, st.none() | cents), min_size=1, max_size=8))
def test_it_counts_each_order_with_a_figure_that_is_not_the_one_shown(
    orders: list[tuple[int | None, int, int, int, int | None]],
) -> None:
    builder = empty()
    for fan, figures in enumerate(orders):
        bought(builder, fan, *figures)
    wrong = [o for o in orders if o[0] and set(o) - {None} != {o[0]}]
    shown = [o for o in orders if o[0]]
    result = priced(builder)
    assert result.violations_total == len(wrong)
    assert result.chances == len(shown)
    right = Status.HELD if len(shown) == len(orders) else Status.UNKNOWN
    assert result.status is (Status.VIOLATED if wrong else right if shown else Status.UNKNOWN)


def test_a_price_that_is_raised_consistently_is_shown_with_what_was_booked() -> None:
    builder = empty()
    bought(builder, 1, 5000, 5150, 5150, 5150, None)
    violation = priced(builder).violations[0]
    assert violation.summary == "order o1: fan-0001 was shown 5000 cents and told 5150"
    assert [step.text for step in violation.history] == [
        "fan-0001 paid for seat s1, shown at 5000 cents: ok, 5150 cents",
        "order o1 is confirmed, 5150 cents",
        "capture c-0 of 5150 cents",
    ]
    assert judged("money_reconciles", builder).status is Status.HELD  # the books are in order


def test_a_payment_without_an_answer_was_shown_a_price_too() -> None:
    builder = empty()
    value = {"hold_id": "h", "seats": ["s1"], "shown_cents": 5000}
    builder.operation(1, "pay", "k-o1", value, 1.0, None, "unknown", "timeout")
    exported(builder, 1, "s1", "o1", cents=5150)
    assert priced(builder).violations[0].summary == (
        "order o1: fan-0001 was shown 5000 cents, and the order is of 5150"
    )


def test_another_amount_at_a_later_look() -> None:
    builder = empty()
    bought(builder, 1, 5000, 5000, 5000, 5000, None)
    builder.operation(1, "order", "o1", {"state": "confirmed", "seats": ["s1"], "amount_cents": 5150}, 5.0, 5.1)
    assert priced(builder).violations[0].summary == "order o1: fan-0001 was shown 5000 cents, and later told 5150"


@pytest.mark.parametrize(("parts", "status"), [((2500, 2500), Status.HELD), ((2500, 2650), Status.VIOLATED)])
def test_what_is_captured_in_parts_adds_up(parts: tuple[int, ...], status: Status) -> None:
    builder = empty()
    bought(builder, 1, 5000, 5000, 5000, 5000, None)
    builder.tables["final_ledger"].clear()
    for part in parts:
        booked(builder, "o1", "capture", part)
    assert priced(builder).status is status


def test_a_charge_that_is_made_twice_is_for_the_books_to_find() -> None:
    builder = empty()
    bought(builder, 1, 5000, 5000, 5000, 5000, None)
    booked(builder, "o1", "capture", 5000)
    assert priced(builder).status is Status.HELD
    assert judged("money_reconciles", builder).status is Status.VIOLATED


@pytest.mark.parametrize("capability", ["order_export", "ledger_export"])
def test_what_is_not_shown_is_not_held_but_a_wrong_answer_is_still_wrong(capability: str) -> None:
    builder = empty()
    bought(builder, 1, 5000, 5000, 5000, 5000, None)
    builder.changed(capabilities=tuple({"order_export", "ledger_export"} - {capability}))
    assert priced(builder).status is Status.NOT_OBSERVABLE
    bought(builder, 2, 5000, 5150, 5150, 5150, None)
    assert priced(builder).status is Status.VIOLATED


def test_a_ledger_that_could_not_be_read_leaves_it_open() -> None:
    builder = empty()
    bought(builder, 1, 5000, 5000, 5000, 5000, None)
    result = priced(builder, absent=("final_ledger",))
    assert (result.status, result.note) == (Status.UNKNOWN, "the provider's ledger could not be read at rest")


def test_a_price_shown_for_no_order_is_no_chance() -> None:
    builder = empty()
    builder.operation(1, "pay", "k", {"hold_id": "h", "seats": ["s"], "shown_cents": 5000}, 1.0, 1.1, "fail", "expired")
    exported(builder, 2, "s2", "o2")
    assert priced(builder).chances == 0
