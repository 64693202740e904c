"""purchase_limit against a count by hand, and case by case."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, sold

LIMIT = 4  # the builder's scenario keeps the default


def limit(builder: RunBuilder) -> InvariantResult:
    return judged("purchase_limit", builder)


def bought(purchases: list[tuple[int, int, str]]) -> RunBuilder:
    """(fan, seats, state at rest); two fans in a row are one person."""
    builder = empty()
    for number, (fan, size, state) in enumerate(purchases):
        for seat in range(size):
            exported(builder, fan, f"101-{number}-{seat}", f"o{number}", state)
        builder.operation(
            fan, "order", f"o{number}", {"state": state}, number, number + 0.1, identity=f"person-{fan // 2}"
        )
    return builder


def asks(builder: RunBuilder, fan: int, t_s: float, size: int, *, outcome: str = "ok", identity: str = "") -> str:
    """A hold of fresh seats; a refusal is for the limit."""
    number = len(builder.tables["operations"])
    value = {"seats": [f"102-{number}-{seat}" for seat in range(size)], "ttl_s": 8.0}
    error = "limit" if outcome == "fail" else ""
    builder.operation(fan, "hold", f"h-{number}", value, t_s, t_s + 0.1, outcome, error, identity=identity)
    return f"h-{number}"


hold = st.tuples(st.floats(0, 30), st.integers(0, 2), st.integers(1, 4))


@settings(max_examples=150, deadline=None)
@given(holds=st.lists(hold, max_size=12))
def test_its_chances_are_identities_that_asked_for_more_than_they_had_left(holds: list[tuple[float, int, int]]) -> None:
    builder = empty()
    for t_s, fan, size in holds:
        asks(builder, fan, t_s, size, identity=f"person-{fan // 2}")
    exported(builder, 9, "101-A-1", "o")
    at_limit = {
        fan // 2
        for t_s, fan, size in holds
        if size + sum(n for s, f, n in holds if f // 2 == fan // 2 and s + 0.1 <= t_s <= s + 8.0) > LIMIT
    }
    assert limit(builder).chances == len(at_limit)


def test_a_seat_that_was_bought_counts_for_ever_and_one_that_was_given_back_no_more() -> None:
    builder = empty()
    first = asks(builder, 1, 1.0, 4)
    builder.operation(1, "release", first, {"seats": []}, 2.0, 2.1)
    asks(builder, 1, 3.0, 1)
    exported(builder, 9, "101-A-1", "o")
    assert limit(builder).status is Status.NOT_EXERCISED
    kept = asks(builder, 2, 1.0, 4)
    builder.operation(2, "pay", "k-p", {"hold_id": kept, "seats": [], "order_id": "p"}, 2.0, 2.1)
    exported(builder, 2, "101-A-2", "p")
    asks(builder, 2, 40.0, 1, outcome="fail")
    assert limit(builder).chances == 1


def test_a_seat_that_was_taken_says_nothing_of_the_limit() -> None:
    builder = empty()
    asks(builder, 1, 1.0, 4)
    builder.operation(1, "hold", "", {"seats": ["101-A-1"]}, 2.0, 2.1, "fail", "conflict")
    exported(builder, 9, "101-A-1", "o")
    assert limit(builder).status is Status.NOT_EXERCISED


purchase = st.tuples(st.integers(0, 5), st.integers(1, 4), st.sampled_from(["confirmed", "declined", "refunded"]))


@settings(max_examples=150, deadline=None)
@given(purchases=st.lists(purchase, max_size=10))
def test_it_counts_each_person_with_too_many_seats(purchases: list[tuple[int, int, str]]) -> None:
    seats: dict[int, int] = defaultdict(int)
    for fan, size, state in purchases:
        if state == "confirmed":
            seats[fan // 2] += size
    greedy = [person for person, count in seats.items() if count > LIMIT]
    result = limit(bought(purchases))
    assert result.violations_total == len(greedy)
    assert result.status is (Status.VIOLATED if greedy else Status.NOT_EXERCISED if seats else Status.UNKNOWN)


def test_the_history_has_no_more_purchases_than_needed() -> None:
    violation = limit(bought([(0, 1, "confirmed"), (0, 2, "confirmed"), (1, 4, "confirmed")])).violations[0]
    assert violation.summary == "person-0 bought 7 tickets, as 2 fans; 4 are allowed"
    assert [step.text for step in violation.history] == [
        "order o2 of fan-0001, who is person-0, is confirmed for seats 101-2-0, 101-2-1, 101-2-2, 101-2-3",
        "order o1 of fan-0000, who is person-0, is confirmed for seats 101-1-0, 101-1-1",
    ]


def test_what_a_fan_was_told_counts_where_the_export_does_not_know_it() -> None:
    builder = bought([(0, 4, "confirmed")])
    value = {"hold_id": "h", "seats": ["102-A-1"], "order_id": "gone", "amount_cents": 5000, "state": "confirmed"}
    builder.operation(1, "pay", "k-gone", value, 5.0, 5.1, identity="person-0")
    assert limit(builder).violations[0].summary == "person-0 bought 5 tickets, as 2 fans; 4 are allowed"


def test_a_purchase_that_was_told_twice_counts_once() -> None:
    builder = empty()
    for seat in range(LIMIT):
        sold(builder, 1, f"101-A-{seat}", "a")
    value = {"state": "confirmed", "seats": [f"101-A-{seat}" for seat in range(LIMIT)]}
    builder.operation(1, "order", "a", value, 9.0, 9.1)
    asks(builder, 1, 10.0, 1, outcome="fail")
    assert limit(builder).status is Status.HELD


@pytest.mark.parametrize(("purchase_limit", "status"), [(0, Status.NOT_OBSERVABLE), (6, Status.VIOLATED)])
def test_the_limit_is_the_on_sales(purchase_limit: int, status: Status) -> None:
    builder = bought([(0, 4, "confirmed"), (1, 3, "confirmed")])
    scenario = msgspec.to_builtins(builder.scenario())
    scenario["on_sale"]["purchase_limit"] = purchase_limit
    assert limit(builder.changed(scenario=scenario)).status is status


def test_a_platform_of_somebody_else_declares_no_limit() -> None:
    result = limit(bought([(0, 4, "confirmed"), (1, 4, "confirmed")]).changed(stack="https://tickets.example"))
    assert result.status is Status.NOT_OBSERVABLE
    assert "rules are not known" in result.note
