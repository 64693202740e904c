"""granted_as_asked against its definition, and case by case."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged
from tests.paper_sale import HOLD_TTL_S

SEATS = ("101-A-1", "101-A-2", "101-A-3")


def granted(builder: RunBuilder) -> InvariantResult:
    return judged("granted_as_asked", builder)


def hold(
    builder: RunBuilder,
    fan: int,
    t_s: float,
    *,
    asked: tuple[str, ...] | None = SEATS[:2],
    got: tuple[str, ...] = SEATS[:2],
    ttl_s: float = HOLD_TTL_S,
) -> None:
    value = {"seats": got, "ttl_s": ttl_s, "asked": asked}
    row = builder.operation(fan, "hold", f"h-{fan}-{t_s}", value, t_s, t_s + 0.1)
    if asked is None:
        row["value"] = json.dumps({"seats": got, "ttl_s": ttl_s})


def unanswered(builder: RunBuilder, fan: int, t_s: float, outcome: str = "unknown", error: str = "timeout") -> None:
    builder.operation(fan, "hold", "", {"seats": SEATS[:2]}, t_s, t_s + 0.1, outcome, error)


some_seats = st.lists(st.sampled_from(SEATS), unique=True, max_size=3).map(tuple)


@settings(max_examples=100, deadline=None)
@given(holds=st.lists(st.tuples(some_seats, some_seats), min_size=1, max_size=8))
def test_it_counts_each_grant_of_anything_else(holds: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    builder = empty()
    for fan, (asked, got) in enumerate(holds):
        hold(builder, fan, float(fan), asked=asked, got=got)
    result = granted(builder)
    assert result.violations_total == sum(set(asked) != set(got) for asked, got in holds)
    assert result.chances == len(holds)


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (("101-A-1",), "101-A-1"),
        (("101-A-1", "101-A-3"), "101-A-1, 101-A-3"),
        (SEATS, "101-A-1, 101-A-2, 101-A-3"),
        ((), "nothing"),
        (("101-A-1", "101-A-2", "101-A-2"), "101-A-1, 101-A-2, 101-A-2"),
    ],
    ids=["fewer", "others", "more", "none", "one twice"],
)
def test_what_was_granted_is_not_what_was_asked_for(got: tuple[str, ...], words: str) -> None:
    builder = empty()
    hold(builder, 1, 2.0, got=got)
    result = granted(builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == f"fan-0001 asked for 101-A-1, 101-A-2 and was granted {words}"


def test_the_same_seats_in_another_order() -> None:
    builder = empty()
    hold(builder, 1, 2.0, got=("101-A-2", "101-A-1"))
    assert (granted(builder).status, granted(builder).chances) == (Status.HELD, 1)


@pytest.mark.parametrize(("others", "status"), [(0, Status.NOT_OBSERVABLE), (1, Status.UNKNOWN)])
def test_an_adapter_that_does_not_say_what_was_asked_for(others: int, status: Status) -> None:
    builder = empty()
    hold(builder, 1, 2.0, asked=None)
    for fan in range(others):
        hold(builder, fan + 2, 3.0)
    assert granted(builder).status is status


@pytest.mark.parametrize(
    ("ttl_s", "status"), [(7.6, Status.HELD), (7.3, Status.VIOLATED), (8.4, Status.HELD), (80.0, Status.VIOLATED)]
)
def test_a_fan_is_told_another_time_than_the_on_sale_declares(ttl_s: float, status: Status) -> None:
    builder = empty()
    hold(builder, 1, 2.0, ttl_s=ttl_s)
    result = granted(builder)
    assert result.status is status
    if status is Status.VIOLATED:
        assert result.violations[0].summary == (
            f"fan-0001 was granted 101-A-1, 101-A-2 for {ttl_s:g} s, where the on-sale declares 8 s"
        )


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [("unknown", "timeout", Status.HELD), ("fail", "status", Status.HELD), ("fail", "conflict", Status.VIOLATED)],
)
def test_who_asks_again_is_told_what_is_left(outcome: str, error: str, status: Status) -> None:
    """Of a hold whose first answer was lost; a conflict gave nothing whose time could run."""
    builder = empty()
    unanswered(builder, 1, 2.0, outcome, error)
    hold(builder, 1, 5.0, ttl_s=5.0)
    assert granted(builder).status is status


def test_a_hold_that_is_long_over_does_not_shorten_the_next() -> None:
    builder = empty()
    hold(builder, 1, 2.0)
    hold(builder, 1, 20.0, ttl_s=5.0)
    assert granted(builder).status is Status.VIOLATED


@pytest.mark.parametrize(
    ("heal_s", "again_s", "ttl_s", "status"),
    [
        (7.0, 13.0, 2.1, Status.HELD),  # of a request that hung, was answered with an error, and came through at 7 s
        (7.0, 20.0, 2.1, Status.VIOLATED),  # long after that hold was over
        (1.5, 13.0, 2.1, Status.VIOLATED),  # the fault was over when it was asked for
    ],
)
def test_a_request_that_hung_in_a_fault_may_take_effect_when_it_is_healed(
    heal_s: float, again_s: float, ttl_s: float, status: Status
) -> None:
    builder = empty()
    [run] = RunBuilder().faults.faults[:1]
    hang = replace(run, t_requested_s=1.0, t_heal_requested_s=heal_s - 0.1, t_healed_s=heal_s)
    builder.faults = replace(builder.faults, faults=(hang,))
    unanswered(builder, 1, 2.0, "fail", "status")
    hold(builder, 1, again_s, ttl_s=ttl_s)
    assert granted(builder).status is status


def test_of_another_platform_no_time_is_declared() -> None:
    builder = empty().changed(stack="https://tickets.example")
    hold(builder, 1, 2.0, ttl_s=1.0)
    assert granted(builder).status is Status.HELD


def test_one_hold_is_given_to_two_fans() -> None:
    builder = empty()
    for fan in (1, 2):
        hold(builder, fan, 2.0, got=SEATS[fan - 1 : fan], asked=SEATS[fan - 1 : fan])
        builder.tables["operations"][-1]["key"] = "h"
    assert [one.summary for one in granted(builder).violations] == ["fan-0001 and fan-0002 were given one hold, h"]


@pytest.mark.parametrize(("left_s", "longer"), [(HOLD_TTL_S - 2.0, ""), (HOLD_TTL_S - 1.4, ""), (HOLD_TTL_S, "1.9 s")])
def test_a_hold_that_is_asked_for_again_lasts_no_longer(left_s: float, longer: str) -> None:
    builder = empty()
    for t_s, ttl_s in ((1.0, HOLD_TTL_S), (3.0, left_s)):
        value = {"seats": SEATS[:2], "ttl_s": ttl_s, "asked": SEATS[:2]}
        builder.operation(1, "hold", "h-1", value, t_s, t_s + 0.1)
    assert [one.summary for one in granted(builder).violations] == [
        f"fan-0001 asked for 101-A-1, 101-A-2 again, and the hold was made {longer} longer"
    ] * bool(longer)
