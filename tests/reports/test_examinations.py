"""Figures with their intervals; a figure that could not be told is no zero."""

from __future__ import annotations

import msgspec

from harness.record.schema import SelfTestSummary
from harness.record.verdict import Examination, Figure
from reports.view.judged.examinations import examinations
from reports.view.judged.invariants import selftest

COUNTED = Figure(name="n", title="Unexplained", value=-1234567.0, unit="cents", samples=12)
ESTIMATED = Figure(
    name="a", title="Bots ahead", value=21.5, unit="% of the line", low=10.25, high=31.5, detectable=15.0, samples=164
)
UNTOLD = Figure(name="b", title="Jumps", value=None, unit="of those tried", note="nobody tried")


def test_a_row_says_value_interval_and_what_could_have_been_seen() -> None:
    [view] = examinations((Examination(name="x", title="X", question="?", figures=(COUNTED, ESTIMATED, UNTOLD)),))
    counted, estimated, untold = view.rows
    assert view.estimated
    assert (counted.value, counted.interval, counted.detectable, counted.samples) == ("−12,345.67", "", "", "12")
    assert (estimated.value, estimated.detectable) == ("21.5 % of the line", "15")
    assert estimated.interval.startswith("10.")
    assert (untold.value, untold.note) == ("not told", "nobody tried")


def test_the_report_says_whether_the_checkers_were_shown_to_see() -> None:
    passed = SelfTestSummary(
        version="0.1.0 abc", began="2026-11-23T10:15:00Z", took_s=200.0, bugs_known=14, bugs_planted=14, bugs_caught=14,
        missed=(), clean_runs=3, false_alarms=0, passed=True,
    )  # fmt: skip
    assert selftest(passed) == (
        "The last self-test of these checkers passed: 14 of 14 planted bugs caught, 0 false alarms in 3 clean runs; "
        "2026-11-23 10:15 UTC, version 0.1.0 abc."
    )
    assert "FAILED" in selftest(msgspec.structs.replace(passed, passed=False))
    assert "No self-test has shown" in selftest(None)
