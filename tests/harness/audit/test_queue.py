"""queue_order against its definition, pair by pair."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged


def queued(*fans: tuple[float, float, int | None]) -> RunBuilder:
    """Fans by (join invoked, join acked, admission number or never)."""
    builder = empty()
    for user, (invoke, ack, number) in enumerate(fans):
        builder.operation(user, "join", f"fan-{user:04d}", {"position": user, "epoch": "e1"}, invoke, ack)
        if number is not None:
            builder.operation(
                user, "enter", f"fan-{user:04d}", {"admission_no": number}, 100.0 + number, 101.0 + number
            )
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
@given(fans=fans)
def test_it_counts_every_fan_who_was_admitted_ahead_of_one_that_surely_came_before(
    fans: list[tuple[float, float, int]],
) -> None:
    overtook = [b for b in fans if any(a[1] < b[0] and a[2] > b[2] for a in fans)]
    result = order(queued(*fans))
    assert result.violations_total == len(overtook)
    assert result.status is (Status.VIOLATED if overtook else Status.HELD)


def test_the_worst_inversion_comes_first_with_both_stories() -> None:
    result = order(queued((0.0, 0.1, 9), (1.0, 1.1, 5), (2.0, 2.1, 1)))
    violation = result.violations[0]
    assert violation.summary == "fan-0002 was admitted 8 places ahead of fan-0000, who joined first"
    assert [step.actor for step in violation.history] == ["fan-0000", "fan-0002", "fan-0002", "fan-0000"]


def test_joins_that_overlap_have_no_order() -> None:
    assert order(queued((0.0, 1.0, 2), (0.5, 0.8, 1))).status is Status.HELD


def test_a_fan_who_was_never_admitted_overtook_nobody() -> None:
    assert order(queued((0.0, 0.1, None), (1.0, 1.1, 1))).status is Status.HELD


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
    assert order(builder).status is Status.HELD


def test_a_join_that_was_refused_gave_no_place() -> None:
    builder = queued((5.0, 5.1, 2), (1.0, 1.1, 1))
    builder.operation(0, "join", "fan-0000", {}, 0.0, 0.1, "fail", "status")
    assert order(builder).status is Status.HELD


@pytest.mark.parametrize(("called_s", "status"), [(3.0, Status.HELD), (None, Status.VIOLATED), (99.0, Status.VIOLATED)])
def test_a_place_that_was_called_and_not_taken_is_used_up(called_s: float | None, status: Status) -> None:
    """Fan 0 joins first; when called in and absent, they join again behind fan 1."""
    builder = queued((0.0, 0.1, 2), (1.0, 1.1, 1))
    builder.operation(0, "join", "fan-0000", {"position": 1}, 9.0, 9.1)
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
    assert order(builder).status is Status.HELD


@pytest.mark.parametrize("admitted", [True, False])
def test_nothing_to_compare_is_no_pass(admitted: bool) -> None:
    builder = queued((0.0, 0.1, None))
    if admitted:
        builder.operation(7, "enter", "fan-0007", {"admission_no": 1}, 1.0, 1.1)
    assert order(builder).status is Status.UNKNOWN
