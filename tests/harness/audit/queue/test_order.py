"""queue_order against its definition, pair by pair."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

SHARDED = "https://tickets.example"  # a platform of which nobody says that it has one line


def queued(*fans: tuple[float, float, int | None], epochs: Sequence[str] = ()) -> RunBuilder:
    """Fans by (join invoked, join acked, admission number or never), and the epoch of each admission."""
    builder = empty()
    for user, (invoke, ack, number) in enumerate(fans):
        value = {"admission_no": number} | ({"epoch": epochs[user]} if epochs else {})
        builder.operation(user, "join", f"fan-{user:04d}", {"position": user, "epoch": "e1"}, invoke, ack)
        if number is not None:
            builder.operation(user, "enter", f"fan-{user:04d}", value, 100.0 + number, 101.0 + number)
    return builder


def order(builder: RunBuilder) -> InvariantResult:
    return judged("queue_order", builder)


times = st.floats(0, 10, allow_nan=False)
fans = st.lists(st.tuples(times, times), min_size=1, max_size=25).flatmap(
    lambda joins: st.permutations(range(len(joins))).map(
        lambda numbers: [(min(t), max(t), n) for t, n in zip(joins, numbers, strict=True)]
    )
)


@settings(max_examples=150, deadline=None)
@given(fans=fans, epochs=st.lists(st.sampled_from(["e1", "e2"]), min_size=25, max_size=25))
def test_it_counts_every_fan_who_was_admitted_ahead_of_one_that_surely_came_before(
    fans: list[tuple[float, float, int]], epochs: list[str]
) -> None:
    rows = [(*fan, epoch) for fan, epoch in zip(fans, epochs, strict=False)]
    pairs = [(a, b) for a in rows for b in rows if a[3] == b[3] and a[1] < b[0]]
    overtook = {b for a, b in pairs if a[2] > b[2]}
    result = order(queued(*fans, epochs=epochs).changed(stack=SHARDED))
    assert (result.violations_total, result.chances) == (len(overtook), len(pairs))
    exercised = Status.HELD if pairs else Status.NOT_EXERCISED
    assert result.status is (Status.VIOLATED if overtook else exercised)


@settings(max_examples=60, deadline=None)
@given(fans=fans, epochs=st.lists(st.sampled_from(["e1", "e2"]), min_size=25, max_size=25))
def test_a_line_that_keeps_its_order_is_never_flagged(fans: list[tuple[float, float, int]], epochs: list[str]) -> None:
    """Admitted in the order in which the queue took them in, at some instant within each join; in two epochs."""
    numbers = {epoch: itertools.count(1) for epoch in ("e1", "e2")}
    line = sorted(zip(fans, epochs, strict=False), key=lambda fan: sum(fan[0][:2]))
    kept = [(invoke, ack, next(numbers[epoch])) for (invoke, ack, _), epoch in line]
    assert order(queued(*kept, epochs=[epoch for _, epoch in line])).violations_total == 0


def test_numbers_that_begin_again_in_another_epoch_are_no_second_ones() -> None:
    fans = [(0.0, 0.1, 1), (1.0, 1.1, 2), (2.0, 2.1, 1), (3.0, 3.1, 2)]
    result = order(queued(*fans, epochs=["e1", "e1", "e2", "e2"]))
    assert (result.status, result.chances) == (Status.HELD, 2)
    without = order(queued(*fans))
    assert (without.status, without.note[:27]) == (Status.UNKNOWN, "admission numbers were give")


def test_fans_who_are_each_numbered_in_an_epoch_of_their_own_tell_no_order() -> None:
    fans = [(float(n), n + 0.1, 4 - n) for n in range(4)]
    result = order(queued(*fans, epochs=["a", "b", "c", "d"]).changed(stack=SHARDED))
    assert result.status is Status.UNKNOWN
    assert result.note == "4 of 4 fans were told of epochs that nobody else was told of"


@pytest.mark.parametrize(
    ("epochs", "status", "note"),
    [
        ("ababababab", Status.UNKNOWN, "2 epochs were told side by side, though nothing was lost"),
        ("aabbccddee", Status.UNKNOWN, "5 epochs were told within a time in which nothing was lost"),
        ("aaaababbbb", Status.HELD, ""),
    ],
    ids=["side by side", "many", "one after the other"],
)
def test_one_line_has_one_epoch_at_a_time(epochs: str, status: Status, note: str) -> None:
    fans = [(float(n), n + 0.1, n + 1) for n in range(10)]
    result = order(queued(*fans, epochs=list(epochs)))
    assert (result.status, result.note) == (status, note)


def test_who_was_admitted_before_the_loss_did_not_overtake_who_is_admitted_a_second_time_after_it() -> None:
    """Fan 0 was admitted as no. 1 of e1 and had not entered when the queue lost its data."""
    assert order(queued((0.0, 0.1, 1), (1.0, 1.1, 2), epochs=["e2", "e1"])).violations_total == 0


def test_the_worst_inversion_comes_first_with_both_stories() -> None:
    result = order(queued((0.0, 0.1, 9), (1.0, 1.1, 5), (2.0, 2.1, 1)))
    violation = result.violations[0]
    assert violation.summary == "fan-0002 was admitted 8 places ahead of fan-0000, who joined first"
    assert [step.actor for step in violation.history] == ["fan-0000", "fan-0002", "fan-0002", "fan-0000"]


def test_joins_that_overlap_have_no_order() -> None:
    result = order(queued((0.0, 1.0, 2), (0.5, 0.8, 1)))
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_a_fan_who_was_never_admitted_overtook_nobody() -> None:
    assert order(queued((0.0, 0.1, None), (1.0, 1.1, 1))).status is Status.NOT_EXERCISED


def test_a_parked_join_is_an_ack_like_any_other() -> None:
    builder = queued((0.0, 0.1, 2), (1.0, 1.1, 1))
    builder.tables["operations"][0]["value"] = '{"position": null, "epoch": "", "parked": true}'
    result = order(builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].history[0].text == "fan-0000 was told the queue has them, parked"


def test_a_first_try_that_ended_unknown_may_have_taken_the_place() -> None:
    builder = queued((0.0, 0.1, 2), (5.0, 5.1, 1))
    assert order(builder).status is Status.VIOLATED
    builder.operation(1, "join", "fan-0001", {}, 0.05, None, "unknown", "timeout")
    assert order(builder).status is Status.NOT_EXERCISED


def test_a_join_that_was_refused_gave_no_place() -> None:
    builder = queued((5.0, 5.1, 2), (1.0, 1.1, 1))
    builder.operation(0, "join", "fan-0000", {}, 0.0, 0.1, "fail", "status")
    assert order(builder).status is Status.HELD


@pytest.mark.parametrize(("called_s", "status"), [(3.0, Status.HELD), (None, Status.VIOLATED), (99.0, Status.VIOLATED)])
def test_a_place_that_was_called_and_not_taken_is_used_up(called_s: float | None, status: Status) -> None:
    """Fan 0 joins first; when called in and absent, they join again behind fan 1."""
    builder = queued((0.0, 0.1, 2), (1.0, 1.1, 1))
    builder.operation(0, "join", "fan-0000", {"position": 1, "epoch": "e1"}, 9.0, 9.1)
    if called_s is not None:
        builder.fans = 2
        builder.event(0, "positions", "admitted", called_s)
    assert order(builder).status is status


def test_clocks_of_different_workers_are_compared_with_their_uncertainty() -> None:
    builder = queued((0.0, 0.100, 2), (0.101, 0.2, 1))
    assert order(builder).status is Status.VIOLATED
    load = builder.run.load
    worker = msgspec.structs.replace(load.workers[0], clock_uncertainty_ms=0.6)
    builder.changed(load=msgspec.structs.replace(load, workers=(worker, worker)))
    assert order(builder).status is Status.NOT_EXERCISED


@pytest.mark.parametrize("admitted", [True, False])
def test_nothing_to_compare_is_no_pass(admitted: bool) -> None:
    builder = queued((0.0, 0.1, None))
    if admitted:
        builder.operation(7, "enter", "fan-0007", {"admission_no": 1}, 1.0, 1.1)
    assert order(builder).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("value", "violated"),
    [
        ({"epoch": "e1"}, True),
        ({"epoch": "e2"}, False),
        ({"epoch": "e2", "again": True}, True),
        ({"parked": True}, False),
    ],
    ids=[
        "without the ticket",
        "without it, after a loss",
        "with it, after a loss",
        "without it, while the queue is away",
    ],
)
def test_who_joins_again_keeps_the_place_that_the_queue_or_the_ticket_still_has(
    value: dict[str, object], violated: bool
) -> None:
    """Fan 0 joins before fan 1, and again after; both come in, fan 0 as the second."""
    builder = queued((0.0, 0.1, 2), (1.0, 1.1, 1))
    builder.operation(0, "join", "fan-0000", value, 2.0, 2.1)
    assert order(builder).status is (Status.VIOLATED if violated else Status.NOT_EXERCISED)


def test_who_joins_again_after_a_loss_may_still_have_the_first_place() -> None:
    """Fan 1 joins between the two joins of fan 0, who comes in first: of the first join."""
    builder = queued((0.0, 0.1, 1), (1.0, 1.1, 2))
    builder.operation(0, "join", "fan-0000", {"epoch": "e2"}, 2.0, 2.1)
    assert order(builder).violations_total == 0
