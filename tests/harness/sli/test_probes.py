"""Our own probes count nowhere: not in fans' figures, not in the sale, not in the report; they break no invariant."""

from __future__ import annotations

import pytest

from harness.audit import audit
from harness.record.schema import PROBE_ACTOR
from harness.sli import measure
from harness.sli.examinations import examine
from harness.sli.measured import Observations
from harness.sli.recovery_gap import recovery_gaps
from harness.sli.sale import did_not_take_place
from reports.view import frames
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty

STEPS = ("seat_map", "section_counts", "hold", "queue_page", "venue")


def probe(builder: RunBuilder) -> RunBuilder:
    """A probe that waits for ever, is refused, and is granted one hold that it gives back."""
    actor = f"{PROBE_ACTOR}1"
    for at in range(60):
        for step in STEPS:
            took_s, outcome = (9.0, "ok") if at % 2 else (0.1, "fail")
            row = builder.request(-2, step, at * 0.7, took_s, outcome=outcome, actor=actor)
            row["kind"] = "probe"
        builder.operation(-2, "look", "", {"free": 0, "stale": True}, at * 0.7, at * 0.7 + 0.1, actor=actor)
        seats = {"seats": ["103-D-19"]}
        builder.operation(-2, "hold", "", seats, at * 0.7 + 0.1, at * 0.7 + 0.2, "fail", "conflict", actor=actor)
    granted = {"seats": ["103-D-20"], "ttl_s": 8.0}
    builder.operation(-2, "hold", "h-probe", granted, 43.0, 43.1, actor=actor)
    builder.operation(-2, "release", "h-probe", {"seats": ["103-D-20"]}, 43.1, 43.2, actor=actor)
    return builder


def test_no_indicator_and_no_examination_sees_them() -> None:
    without, with_them = RunBuilder().record(), probe(RunBuilder()).record()
    assert measure(with_them) == measure(without)
    assert examine(with_them) == examine(without)


def test_what_they_get_is_no_recovery() -> None:
    without, with_them = RunBuilder().record(), probe(RunBuilder()).record()
    for run in without.faults.faults:
        assert recovery_gaps(with_them, run) == recovery_gaps(without, run)


def test_they_are_no_sale() -> None:
    assert did_not_take_place(Observations(probe(empty()).record())) == ""
    assert Observations(probe(RunBuilder()).record()).fans == Observations(RunBuilder().record()).fans


def test_they_break_no_invariant() -> None:
    before = {result.name: result.status for result in audit(RunBuilder().record())}
    assert {result.name: result.status for result in audit(probe(RunBuilder()).record())} == before


@pytest.mark.parametrize("table", ["requests", "operations"])
def test_no_chart_of_the_report_has_them(table: str) -> None:
    shown = getattr(frames.read(probe(RunBuilder()).record()), table)
    assert len(shown) == len(getattr(frames.read(RunBuilder().record()), table))
