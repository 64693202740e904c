"""one_key_one_purchase against its definition, key by key, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import booked, empty, exported, judged, sold


def keys(builder: RunBuilder) -> InvariantResult:
    return judged("one_key_one_purchase", builder)


def posts(builder: RunBuilder, key: str, answer: str, t_s: float = 1.0) -> None:
    """A payment of fan 1: `answer` is an order id, or how else it ended."""
    value = {"hold_id": "h", "seats": ["s"]}
    if answer.startswith("o"):
        told = {"order_id": answer, "amount_cents": 5000, "state": "confirmed"}
        builder.operation(1, "pay", key, value | told, t_s, t_s + 0.1)
    elif answer == "unknown":
        builder.operation(1, "pay", key, value, t_s, None, "unknown", "reset")
    else:
        builder.operation(1, "pay", key, value, t_s, t_s + 0.1, "fail", answer)


answer = st.sampled_from(["o1", "o2", "unknown", "declined", "refused", "status"])
key_story = st.tuples(st.lists(answer, max_size=4), st.sets(st.sampled_from(["o1", "o2"])), st.integers(0, 3))


@settings(max_examples=300, deadline=None)
@given(stories=st.lists(key_story, max_size=4))
def test_it_counts_each_key_with_two_orders_or_two_charges(
    stories: list[tuple[list[str], set[str], int]],
) -> None:
    builder, wrong, again = empty(), 0, 0
    for number, (answers, orders, captures) in enumerate(stories):
        key = f"k{number}"
        for at, one in enumerate(answers):
            posts(builder, key, f"{one}-{number}" if one.startswith("o") else one, float(at))
        for order in sorted(orders):
            exported(builder, 1, f"s-{order}-{number}", f"{order}-{number}")
            builder.tables["final_orders"][-1]["idempotency_key"] = key
        for _ in range(captures if orders else 0):
            booked(builder, f"{max(orders)}-{number}", "capture")
        posted_again = sum(one != "refused" for one in answers) > 1
        told = {one for one in answers if one.startswith("o")} if posted_again else set()
        again += posted_again
        wrong += len(told) > 1 or len(orders) > 1 or (posted_again and bool(orders) and captures > 1)
    result = keys(builder)
    assert result.violations_total == wrong
    assert result.chances == again
    paid = any(answers for answers, _, _ in stories)
    held = Status.HELD if again else Status.NOT_EXERCISED if paid else Status.UNKNOWN
    assert result.status is (Status.VIOLATED if wrong else held)


def test_a_second_order_is_shown_with_both_answers() -> None:
    builder = empty()
    posts(builder, "k", "o1", 1.0)
    posts(builder, "k", "o2", 2.0)
    violation = keys(builder).violations[0]
    assert violation.summary == "the key k bought 2 orders: o1, o2"
    assert [step.text for step in violation.history] == [
        "fan-0001 paid with key k: ok, confirmed (order o1)",
        "fan-0001 paid with key k: ok, confirmed (order o2)",
    ]


def test_a_key_that_was_charged_again_is_shown_with_its_posts() -> None:
    builder = empty()
    sold(builder, 1, "s", "o1")
    posts(builder, "k-o1", "o1", 3.0)
    booked(builder, "o1", "capture")
    summary = "order o1 was charged 2 times; its key k-o1 was posted 2 times"
    assert [violation.summary for violation in keys(builder).violations] == [summary]
    booked(builder, "o1", "refund")
    assert keys(builder).status is Status.HELD


def test_a_double_charge_without_a_repeat_is_for_the_books_to_find() -> None:
    builder = empty()
    sold(builder, 1, "s", "o1")
    booked(builder, "o1", "capture")
    assert keys(builder).violations == ()


@pytest.mark.parametrize(
    ("outcome", "answered", "status", "chances"),
    [
        ("fail", {}, Status.HELD, 1),
        ("ok", {"answered_id": "o1", "answered_seats": ["A-1"]}, Status.HELD, 1),
        ("ok", {"answered_id": "o1", "answered_seats": ["B-2"]}, Status.VIOLATED, 1),
        ("ok", {"answered_id": "o2", "answered_seats": ["B-2"]}, Status.VIOLATED, 1),
        ("unknown", {}, Status.NOT_EXERCISED, 0),
    ],
)
def test_a_used_key_buys_nothing_else(outcome: str, answered: dict[str, object], status: Status, chances: int) -> None:
    builder = empty()
    sold(builder, 1, "A-1", "o1")
    builder.operation(1, "reuse", "k-o1", {"order_id": "o1", "seats": ["B-2"], **answered}, 50.0, 50.1, outcome)
    result = keys(builder)
    assert (result.status, result.chances) == (status, chances)
    assert (result.operations_checked, result.unknowns) == (2, int(outcome == "unknown"))
    if status is Status.VIOLATED:
        violation = result.violations[0]
        assert violation.summary == "the key of order o1 was taken for another purchase"
        assert "was answered with order" in violation.history[0].text


@pytest.mark.parametrize(
    ("outcome", "error", "answered", "told"),
    [
        ("fail", "status", {}, ""),
        ("ok", "", {"answered_id": "o2", "answered_seats": ["B-2"]}, ""),
        ("ok", "", {"answered_id": "o1", "answered_seats": ["A-1"]}, "was answered with order o1 of fan-0001"),
        ("ok", "", {"answered_id": "o1", "answered_seats": ["B-2"]}, "was answered with order o1 of fan-0001"),
        ("fail", "used", {}, "was refused for a key that fan-0001 had used"),
    ],
)
def test_a_key_is_the_fans_own(outcome: str, error: str, answered: dict[str, object], told: str) -> None:
    builder = empty()
    sold(builder, 1, "A-1", "o1")
    tried = {"order_id": "o1", "seats": ["B-2"], **answered}
    builder.operation(2, "reuse", "k-o1", tried, 50.0, 50.1, outcome, error)
    result = keys(builder)
    assert (result.status, result.chances) == (Status.VIOLATED if told else Status.HELD, 1)
    assert [violation.summary for violation in result.violations] == ([f"fan-0002 {told}"] if told else [])


@pytest.mark.parametrize("fan", [1, 2])
def test_nobody_else_can_read_the_order_of_a_key(fan: int) -> None:
    builder = empty()
    sold(builder, 1, "A-1", "o1")
    tried = {"order_id": "o1", "seats": ["B-2"], "read": "confirmed"}
    builder.operation(fan, "reuse", "k-o1", tried, 50.0, 50.1, "fail", "status")
    assert [one.summary for one in keys(builder).violations] == [
        f"fan-000{fan} was shown order o1 of fan-0001, as confirmed"
    ] * (fan != 1)


def test_what_a_platform_that_is_not_at_rest_answers_to_a_used_key_decides_nothing() -> None:
    """Its database is stopped: it takes every order in, and looks at the key when it can."""
    builder = empty()
    sold(builder, 1, "A-1", "o1")
    taken_in = {"order_id": "o1", "seats": ["B-2"], "answered_id": "o1", "answered_seats": ["B-2"]}
    builder.operation(1, "reuse", "k-o1", taken_in, 50.0, 50.1, "ok")
    assert keys(builder).status is Status.VIOLATED
    assert keys(builder.changed(at_rest=False)).status is Status.UNKNOWN


def test_where_no_ledger_is_shown_a_second_charge_could_not_be_seen() -> None:
    builder = empty()
    sold(builder, 1, "s", "o1")
    posts(builder, "k-o1", "o1", 3.0)
    assert keys(builder.changed(capabilities=("order_export",))).status is Status.NOT_OBSERVABLE


def test_a_first_order_that_the_export_gives_nobody_may_be_their_own() -> None:
    builder = empty()
    sold(builder, 1, "B-1", "o1")
    builder.tables["final_orders"][0]["fan"] = ""
    tried = {"order_id": "o1", "seats": ["B-2"], "answered_id": "o1", "answered_seats": ["B-1"]}
    builder.operation(1, "reuse", "k-o1", tried, 50.0, 50.1)
    assert judged("one_key_one_purchase", builder).status is Status.HELD
