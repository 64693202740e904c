"""position_monotonic against a walk through each fan's positions, and case by case."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged


def positions(builder: RunBuilder) -> InvariantResult:
    return judged("position_monotonic", builder)


def told(*rows: tuple[int, str, str, int | None]) -> RunBuilder:
    """(fan, event, epoch, position), in the order of time."""
    builder = empty()
    builder.fans = 10
    for at, (fan, event, epoch, position) in enumerate(rows):
        builder.event(fan, "positions", event, float(at), epoch, value=position)
    return builder


rows = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["position", "position", "position", "connect", "admitted", "paused"]),
    st.sampled_from(["e1", "e2"]),
    st.integers(1, 6),
)


@settings(max_examples=200, deadline=None)
@given(events=st.lists(rows, max_size=25))
def test_it_counts_each_step_back_of_a_wait(events: list[tuple[int, str, str, int]]) -> None:
    last: dict[tuple[int, str], int] = {}
    waits: Counter[int] = Counter()
    places: Counter[tuple[int, int]] = Counter()
    back = again = 0
    for fan, event, epoch, position in events:
        waits[fan] += event == "admitted"
        places[fan, waits[fan]] += event == "position"
        if event == "admitted":
            last = {key: value for key, value in last.items() if key[0] != fan}
        if event == "position":
            back += position > last.get((fan, epoch), 99)
            again += (fan, epoch) in last
            last[fan, epoch] = position
    builder = told(*[(f, e, epoch, p if e == "position" else None) for f, e, epoch, p in events])
    result = positions(builder.changed(stack="https://tickets.example"))  # which may have a line for each epoch
    assert (result.violations_total, result.chances) == (back, again)
    told_once = set(places.values()) - {0} == {1}  # nobody was told a second place: there is nothing to compare
    unbroken = Status.HELD if again else Status.NOT_EXERCISED if told_once else Status.UNKNOWN
    assert result.status is (Status.VIOLATED if back else unbroken)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.integers(0, 5), min_size=1, max_size=20), epoch=st.sampled_from(["", "e1"]))
def test_a_line_that_moves_on_is_never_flagged(steps: list[int], epoch: str) -> None:
    ahead = sorted(steps, reverse=True)
    result = positions(told(*[(1, "position", epoch, n) for n in ahead]))
    assert (result.violations_total, result.chances) == (0, len(ahead) - 1)


def test_one_position_of_each_fan_puts_nothing_to_the_test() -> None:
    result = positions(told(*[(fan, "position", "e1", fan + 1) for fan in range(5)]))
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_the_history_shows_both_positions() -> None:
    violation = positions(told((1, "position", "e1", 3), (1, "position", "e1", 5))).violations[0]
    assert violation.summary == "fan-0001 went back 2 places in the queue"
    assert [step.text for step in violation.history] == [
        "fan-0001 was told position 3 of epoch e1",
        "fan-0001 was told position 5 of epoch e1",
    ]


def test_regressions_after_a_reconnect_are_counted_apart() -> None:
    result = positions(
        told(
            (1, "connect", "", None),
            (1, "position", "e1", 3),
            (1, "connect", "", None),
            (1, "position", "e1", 5),
            (1, "position", "e1", 6),
        )
    )
    assert (result.violations_total, result.note) == (2, "1 of 2 regressions after a reconnect")
    assert result.violations[0].summary == "fan-0001 went back 2 places in the queue after a reconnect"


@pytest.mark.parametrize(
    "between", [(1, "admitted", "e1", None), (1, "position", "e2", 9)], ids=["called in", "new epoch"]
)
def test_a_new_wait_and_a_new_epoch_begin_afresh(between: tuple[int, str, str, int | None]) -> None:
    epoch = "e2" if between[2] == "e2" else "e1"
    assert positions(told((1, "position", "e1", 3), between, (1, "position", epoch, 8))).violations_total == 0


def test_the_answer_to_a_join_tells_a_place_too() -> None:
    builder = told((1, "position", "e1", 5))
    builder.operation(1, "join", "fan-0001", {"position": 3, "epoch": "e1"}, -2.0, -1.0)
    assert positions(builder).status is Status.VIOLATED


def test_many_violations_are_all_counted() -> None:
    assert positions(told(*[(1, "position", "e1", n) for n in range(1, 41)])).violations_total == 39
