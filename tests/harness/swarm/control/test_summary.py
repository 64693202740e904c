"""What was delivered, in figures."""

from __future__ import annotations

import pytest

from harness.record.schema import CutSummary
from harness.scenario import Load
from harness.swarm.control.summary import WorkerFacts, load_summary


def test_skew_and_window_are_taken_over_all_workers() -> None:
    workers = [
        WorkerFacts(
            number=1,
            host="a",
            armed=3,
            first_sends_s=(0.001, 0.002),
            followers=1,
            requests_sent=10,
            cut=(CutSummary("fan", "pay", 1),),
        ),
        WorkerFacts(
            number=2,
            host="b",
            armed=2,
            first_sends_s=(0.004,),
            requests_sent=5,
            samples_recorded=4,
            cut=(CutSummary("fan", "pay", 2), CutSummary("bot", "join", 1)),
        ),
    ]
    load = load_summary(Load(fans=4, spectators=1), workers)
    assert (load.users_asked, load.users_armed, load.users_released) == (5, 5, 4)
    assert load.skew_ms_max == pytest.approx(4.0)
    assert load.skew_ms_p50 == pytest.approx(2.0)
    assert load.window_delivered_s == pytest.approx(0.003)
    assert (load.requests_sent, load.samples_recorded, load.unfinished) == (15, 4, 4)
    assert load.cut == (CutSummary("fan", "pay", 3), CutSummary("bot", "join", 1))
    assert [(one.worker, one.released, one.skew_ms_min) for one in load.workers] == [
        (1, 3, pytest.approx(1.0)),
        (2, 1, pytest.approx(4.0)),
    ]


def test_a_worker_that_released_nobody_has_no_skew() -> None:
    load = load_summary(Load(fans=1, spectators=0), [WorkerFacts(number=1, host="a", lost=True)])
    assert (load.skew_ms_max, load.window_delivered_s, load.workers[0].lost) == (None, None, True)
