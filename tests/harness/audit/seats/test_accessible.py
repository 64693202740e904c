"""accessible_kept against its definition, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged
from tests.paper_sale import EVERY_CAPABILITY

PLACES = {"A-3": "A-3", "A-4": "A-3", "A-5": "A-5", "A-6": "A-5"}
SEATS = ("A-1", "A-2", *PLACES)


def sale(*, shown: bool = True) -> RunBuilder:
    builder = empty().changed(capabilities=(*EVERY_CAPABILITY, "accessible"))
    if shown:
        builder.operation(9, "look", "", {"free": 6, "stale": False, "accessible": PLACES}, 0.1, 0.2)
    return builder


def kept(builder: RunBuilder) -> InvariantResult:
    return judged("accessible_kept", builder)


def ask(
    builder: RunBuilder, fan: int, *seats: str, declared: bool = False, error: str = "", t_s: float | None = None
) -> None:
    value = {"seats": seats, **({"declared": True} if declared else {})}
    outcome = "unknown" if error == "timeout" else "fail" if error else "ok"
    begun_s = float(fan) if t_s is None else t_s
    builder.operation(fan, "hold", "" if error else f"h-{fan}-{begun_s}", value, begun_s, begun_s + 0.1, outcome, error)


requests = st.lists(
    st.tuples(
        st.lists(st.sampled_from(SEATS), unique=True, min_size=1, max_size=4).map(tuple), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=8,
)


def is_due(seats: tuple[str, ...], *, declared: bool) -> bool:
    accessible = [seat for seat in seats if seat in PLACES]
    return all(declared and PLACES[seat] in seats for seat in accessible)


@settings(max_examples=150, deadline=None)
@given(asked=requests)
def test_a_platform_that_keeps_them_is_never_flagged(asked: list[tuple[tuple[str, ...], bool, bool]]) -> None:
    builder = sale()
    for fan, (seats, declared, taken) in enumerate(asked):
        error = "accessible" if not is_due(seats, declared=declared) else "conflict" if taken else ""
        ask(builder, fan, *seats, declared=declared, error=error)
    result = kept(builder)
    chances = sum(not is_due(seats, declared=declared) for seats, declared, _ in asked)
    assert (result.status, result.chances) == (Status.HELD if chances else Status.NOT_EXERCISED, chances)


@settings(max_examples=150, deadline=None)
@given(asked=requests)
def test_it_counts_each_grant_that_was_not_due(asked: list[tuple[tuple[str, ...], bool, bool]]) -> None:
    builder = sale()
    for fan, (seats, declared, _) in enumerate(asked):
        ask(builder, fan, *seats, declared=declared)
    assert kept(builder).violations_total == sum(not is_due(seats, declared=declared) for seats, declared, _ in asked)


@pytest.mark.parametrize(
    ("seats", "declared", "summary"),
    [
        (("A-1", "A-3"), False, "A-3 was granted to fan-0001, who declared no need of accessible seats"),
        (("A-4",), False, "A-4 was granted to fan-0001, who declared no need of accessible seats"),
        (("A-4",), True, "A-4 was granted to fan-0001, who has not the wheelchair place beside it"),
        (("A-3", "A-6"), True, "A-6 was granted to fan-0001, who has not the wheelchair place beside it"),
    ],
)
def test_what_was_granted_is_named(seats: tuple[str, ...], declared: bool, summary: str) -> None:
    builder = sale()
    ask(builder, 1, *seats, declared=declared)
    assert [violation.summary for violation in kept(builder).violations] == [summary]


def test_a_companion_seat_may_follow_its_place_in_another_request() -> None:
    builder = sale()
    ask(builder, 1, "A-3", declared=True)
    ask(builder, 1, "A-4", declared=True, t_s=2.0)
    ask(builder, 2, "A-5", declared=True, error="timeout")
    ask(builder, 2, "A-6", declared=True, t_s=3.0)
    assert kept(builder).violations_total == 0
    ask(builder, 1, "A-4", declared=True, error="accessible", t_s=4.0)
    assert kept(builder).violations_total == 0, "a platform may want both in one request"


def test_who_declared_the_need_is_not_refused_for_want_of_it() -> None:
    builder = sale()
    ask(builder, 1, "A-3", "A-4", declared=True, error="accessible")
    assert [violation.summary for violation in kept(builder).violations] == [
        "fan-0001 was refused accessible seats, and had declared the need"
    ]


def test_what_the_order_export_says_was_sold_counts_too() -> None:
    builder = sale()
    ask(builder, 1, "A-1", "A-2")
    exported(builder, 1, "A-4", "o-1")
    ask(builder, 2, "A-3", "A-4", declared=True)
    exported(builder, 2, "A-3", "o-2")
    exported(builder, 3, "A-5", "o-3")  # the box office's, who asked for nothing here
    assert [violation.summary for violation in kept(builder).violations] == [
        "A-4 was sold to fan-0001, who declared no need of accessible seats"
    ]


def test_a_grant_that_became_an_order_is_told_once() -> None:
    builder = sale()
    ask(builder, 1, "A-3")
    exported(builder, 1, "A-3", "o-1")
    assert kept(builder).violations_total == 1


def test_without_a_layout_that_tells_them_nothing_can_be_seen() -> None:
    builder = sale(shown=False)
    ask(builder, 1, "A-3")
    assert kept(builder).status is Status.NOT_OBSERVABLE
    builder = sale()
    ask(builder, 1, "A-1")
    assert kept(builder).status is Status.NOT_EXERCISED


def test_a_request_without_an_answer_is_no_chance() -> None:
    builder = sale()
    ask(builder, 1, "A-3", error="timeout")
    ask(builder, 2, "A-3", error="conflict")
    assert (kept(builder).status, kept(builder).chances) == (Status.NOT_EXERCISED, 0)


def test_probes_come_with_a_pass_of_the_operators() -> None:
    builder = sale()
    builder.operation(-2, "hold", "h", {"seats": ["A-3"]}, 1.0, 1.1, actor="probe-1")
    assert kept(builder).violations_total == 0
