"""Seats that come back, and who is told that nothing is left."""

from __future__ import annotations

import pytest

from harness.record.verdict import Figure
from harness.sli.examinations import examine
from harness.sli.examinations.second_wave import second_wave
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import at_rest, empty

FREE, HELD, SOLD = 0, 1, 2


@pytest.fixture
def hall() -> RunBuilder:
    """Two seats and one follower."""
    builder = empty()
    at_rest(builder, capacity=2)
    return builder


def told(builder: RunBuilder, seq: int, t_s: float, seat: str, state: int, *, follower: int = 0) -> None:
    event = builder.event(9, "feed", "seat", t_s, "e", seq, state, seat, t_sent_s=t_s - 0.02)
    event["actor"] = f"spectator-{follower:04d}"


def looked(builder: RunBuilder, t_s: float, free: int) -> None:
    builder.operation(1, "look", "", {"free": free, "stale": False}, t_s, t_s + 0.1)


def figures(builder: RunBuilder) -> dict[str, Figure]:
    return {figure.name: figure for figure in second_wave(Observations(builder.record()))}


def test_a_hold_that_ran_out_comes_back_and_is_sold(hall: RunBuilder) -> None:
    for seq, (t_s, state) in enumerate([(1.0, HELD), (9.0, FREE), (9.5, HELD), (10.0, SOLD)], start=1):
        told(hall, seq, t_s, "A-1", state)
        told(hall, seq, t_s + 3.0, "A-1", state, follower=1)  # later, to another: the first counts
    found = figures(hall)
    assert [found[name].value for name in ("seats_back", "held_again", "sold_again")] == [1, 1, 1]
    assert found["held_again_p50_s"].value == pytest.approx(0.5)
    assert found["back_seen_p95_ms"].value == pytest.approx(20.0)


def test_a_seat_that_nobody_takes_again_came_back_all_the_same(hall: RunBuilder) -> None:
    for seq, state in enumerate([HELD, FREE], start=1):
        told(hall, seq, seq * 2.0, "A-1", state)
    found = figures(hall)
    assert [found[name].value for name in ("seats_back", "held_again", "sold_again")] == [1, 0, 0]
    assert found["held_again_p50_s"].value is None


def test_a_seat_can_come_back_more_than_once(hall: RunBuilder) -> None:
    for seq, state in enumerate([HELD, FREE, HELD, FREE, HELD, SOLD], start=1):
        told(hall, seq, float(seq), "A-1", state)
    found = figures(hall)
    assert [found[name].value for name in ("seats_back", "held_again", "sold_again")] == [2, 2, 1]


def test_sold_out_is_true_while_all_is_taken_and_false_while_a_seat_is_free(hall: RunBuilder) -> None:
    told(hall, 1, 1.0, "A-1", HELD)
    looked(hall, 4.0, 0)  # A-2 has been free all the time
    told(hall, 2, 5.0, "A-2", HELD)
    looked(hall, 7.0, 0)
    told(hall, 3, 9.0, "A-2", FREE)
    looked(hall, 9.2, 0)  # within the lag that a map may have
    looked(hall, 12.0, 0)
    looked(hall, 12.0, 1)
    found = figures(hall)
    assert (found["sold_out_shown"].value, found["sold_out_shown"].samples) == (4, 5)
    assert found["sold_out_falsely"].value == 2


def test_what_is_swept_after_the_run_is_no_second_wave(hall: RunBuilder) -> None:
    after = hall.duration_s + 1
    for seq, state in enumerate([HELD, FREE], start=1):
        told(hall, seq, after + seq, "A-1", state)
    assert figures(hall) == {}


def test_the_content_of_a_snapshot_is_no_change(hall: RunBuilder) -> None:
    hall.event(9, "feed", "snapshot", 1.0, "e", 5, 1)
    hall.event(9, "feed", "seat", 1.0, "e", 5, HELD, "A-1")
    assert figures(hall) == {}


def test_a_whole_run_is_examined_without_a_crash() -> None:
    builder = RunBuilder()
    for t_s in range(5):
        builder.metric(float(t_s), "booking", "process_cpu_seconds_total", t_s / 2)
    found = {one.name: one for one in examine(builder.record())}
    assert set(found) == {"business", "fairness", "money", "second_wave", "kept", "saturation"}
    assert all(one.figures and not one.note for one in found.values())


def test_a_run_to_which_nobody_came_says_so() -> None:
    assert {one.note for one in examine(empty().record()) if not one.figures} == {
        "the record has nothing to examine it by"
    }
