"""position_monotonic against a walk through each fan's positions, and case by case."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import msgspec
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


RATE_PER_S, BURST = 2.0, 5  # the builder's scenario


def line(fans: int, tells: Callable[[int, int], int], *, every_s: float = 1.0) -> RunBuilder:
    """A line of `fans` who joined in turn at the opening and are let in at the rate, the first ones at once.

    `tells`: what a fan is told who is that far from the front, of so many.
    """
    builder = empty()
    builder.fans = fans
    admitted_s = [max(0.2, (number + 1 - BURST) / RATE_PER_S) for number in range(fans)]
    for number in range(fans):
        name = f"fan-{number:04d}"
        join_s = number / fans / 10
        place = {"position": number + 1, "epoch": "e.0"}
        builder.operation(number, "join", name, place, join_s, join_s + 0.001)
        builder.event(number, "positions", "connect", 0.15, "e.0")
        t_s = 0.16
        while t_s < admitted_s[number]:
            true = number + 1 - sum(one <= t_s for one in admitted_s)
            builder.event(number, "positions", "position", t_s, "e.0", value=tells(true, number), t_sent_s=t_s - 0.01)
            t_s += every_s
        came_s = admitted_s[number] + 0.05
        builder.event(number, "positions", "admitted", came_s, "e.0", t_sent_s=came_s)
        entered = {"admission_no": number + 1, "epoch": "e"}
        builder.operation(number, "enter", name, entered, came_s, came_s + 0.02)
    return builder


@settings(max_examples=30, deadline=None)
@given(fans=st.integers(1, 40), every_s=st.floats(0.3, 2.0))
def test_true_places_are_never_flagged(fans: int, every_s: float) -> None:
    result = positions(line(fans, lambda true, _: true, every_s=every_s))
    assert (result.violations_total, result.status is Status.VIOLATED) == (0, False)
    assert result.chances >= fans


WRONG = {
    "everybody is next": lambda true, number: 1,
    "half of the way": lambda true, number: max(1, true // 3),
    "three times as far": lambda true, number: 3 * true,
    "beyond everybody": lambda true, number: 500,
    "never moves": lambda true, number: number + 1,
}


@pytest.mark.parametrize("tells", WRONG.values(), ids=list(WRONG))
def test_places_that_the_admission_shows_to_be_wrong(tells: Callable[[int, int], int]) -> None:
    assert positions(line(40, tells)).status is Status.VIOLATED


def test_elsewhere_the_rate_is_not_declared() -> None:
    builder = line(40, lambda true, _: 1)
    assert positions(builder.changed(stack="https://tickets.example")).status is not Status.VIOLATED


def test_the_history_shows_the_place_and_the_admission() -> None:
    violation = positions(line(40, lambda true, _: min(true, 1))).violations[0]
    assert "was told position 1, and admitted as no. " in violation.summary
    assert [step.text.partition(" ")[2][:8] for step in violation.history] == ["was told", "came in "]


def test_a_line_that_moves_while_nobody_hears_of_it_is_not_held() -> None:
    result = positions(line(40, lambda true, _: true, every_s=30.0))
    assert (result.status, "heard of it late" in result.note) == (Status.UNKNOWN, True)


def test_places_of_before_and_after_others_were_put_in_are_not_compared() -> None:
    builder = line(40, lambda true, _: 1)
    for event in builder.tables["events"]:
        if event["event"] == "admitted":
            event["epoch"] = "e.1"
    assert positions(builder).violations_total == 0


def test_who_was_called_in_before_a_loss_and_came_in_after_it_has_another_number() -> None:
    """The queue lost its data between the call and the entry: the number is one of the new epoch."""
    builder = line(40, lambda true, _: true)
    before = positions(builder).chances
    late = [row for row in builder.tables["operations"] if row["function"] == "enter"][-20:]
    for number, row in enumerate(late, 1):
        row["value"] = json.dumps({"admission_no": number, "epoch": "f"})
    result = positions(builder)
    assert (result.violations_total, result.chances < before) == (0, True)


def test_epochs_are_looked_at_in_the_order_of_their_names() -> None:
    """Six epochs one after another, each of ten fans, named backwards; a fault lets an epoch begin."""
    builder = line(60, lambda true, number: 1 if number % 10 == 9 else true)
    faults = RunBuilder().faults
    lasting = msgspec.structs.replace(faults.faults[0], t_requested_s=0.0, t_healed_s=60.0)
    builder.faults = msgspec.structs.replace(faults, faults=(lasting,))

    def of(row: dict[str, object]) -> str:
        return "fedcba"[int(str(row["actor"]).removeprefix("fan-")) // 10]

    for row in builder.tables["operations"]:
        value = json.loads(str(row["value"]))
        row["value"] = json.dumps(value | {"epoch": of(row) if row["function"] == "enter" else f"{of(row)}.0"})
    for event in builder.tables["events"]:
        event["epoch"] = f"{of(event)}.0"
    wrong = positions(builder).violations
    epochs = [of({"actor": violation.history[0].actor}) for violation in wrong]
    assert epochs == ["a", "b", "c", "d", "e", "f"]
