"""The retrospective: what the record knows is filled in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from harness.record.reader import Record
from harness.record.verdict import HistoryStep, Violation
from reports import retro
from reports.view import frames
from reports.view.moments import moments
from tests.reports import verdicts


def test_moments_are_in_order_and_tell_faults_failures_and_violations(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    found = moments(record, verdict, frames.read(record))
    assert [one.t_s for one in found] == sorted(one.t_s for one in found)
    told = [one.what for one in found]
    for fault in record.faults.faults:
        assert any(what.startswith(f"{fault.experiment} ({fault.kind} on {fault.component})") for what in told)
    assert any("takes effect, as its canary saw" in what for what in told)
    assert any(what.startswith("The release: ") for what in told)
    assert any("is violated: " in what for what in told)
    released = next(one for one in found if one.what.startswith("The release"))
    assert verdict.t0 is not None
    assert released.wall == verdict.t0[11:19]


@pytest.mark.parametrize("t_s", [1e12, -1e12, float("inf")])
def test_an_instant_that_no_clock_on_the_wall_shows_has_none(record: Record, t_s: float) -> None:
    verdict = verdicts.not_ready(record)
    broken = next(one for one in verdict.invariants if one.violations)
    step = HistoryStep(t_s, "feed", "a change at a time of the platform's own clock")
    odd = structs.replace(broken, violations=(Violation("odd", (step,)),))
    changed = structs.replace(verdict, invariants=(odd,))
    [moment] = [one for one in moments(record, changed, frames.read(record)) if one.what.endswith(": odd")]
    assert moment.wall == ""


def test_what_fans_met_first_is_told_once_for_each_way_to_fail(record: Record) -> None:
    tables = frames.read(record)
    rows = tables.requests.assign(error="conflict")
    for error, failed in (("timeout", range(40, 43)), ("reset", range(50, 51))):
        rows.loc[rows.index[list(failed)], "error"] = error
    found = moments(record, verdicts.ready(record), replace(tables, requests=rows))
    met = {one.t_s: one.what for one in found if "for the first time" in one.what}
    assert len(met) == 2
    assert "(3\u00a0requests in all)" in met[rows.iloc[40:43]["t_end_s"].min()]
    assert "connection cut (1\u00a0request in all)" in met[rows.iloc[50]["t_end_s"]]


def test_each_finding_has_a_cause_or_a_blank_and_a_row_of_actions(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    said = retro.render(record, verdict)
    for finding in verdict.findings:
        assert said.count(finding.title) >= 2
    assert said.count("_to fill in_") > len(verdict.findings)
    parts = ["In brief", "What it meant", "Timeline", "What went well", "What went wrong", "Actions", "Not tested"]
    places = [said.index(f"## {part}") for part in parts]
    assert places == sorted(places)


def test_a_record_of_nothing_has_a_retrospective_too(empty: Record) -> None:
    said = retro.render(empty, verdicts.bare(empty))
    assert "## Timeline" in said
    assert "\n\n\n" not in said
