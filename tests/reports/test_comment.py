"""The comment on a pull request: three findings, and never too long for a server."""

from __future__ import annotations

from msgspec.structs import replace

from harness.record.reader import Record
from harness.record.verdict import Finding, Reason
from reports import comment, view
from tests.reports import verdicts


def test_it_tells_verdict_and_the_three_findings_to_act_on_first(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    findings = tuple(Finding("major", f"Finding {at}", "Evidence.", "", f"f-{at}") for at in range(9))
    said = comment.render(view.build(record, replace(verdict, findings=findings)))
    assert said.startswith("### gatecrash: NOT READY")
    assert [at for at in range(9) if f"**Finding {at}.**" in said] == [0, 1, 2]
    assert record.run.run_id in said


def test_whatever_the_run_it_is_short_enough_for_a_comment(record: Record) -> None:
    long = "x" * 100_000
    findings = tuple(Finding("major", long, long, long, f"f-{at}") for at in range(900))
    reasons = tuple(Reason(f"{at} {long}", long) for at in range(900))
    verdict = replace(verdicts.not_ready(record), findings=findings, reasons=reasons, reason=long)
    said = comment.render(view.build(record, verdict))
    assert said.startswith("### gatecrash: NOT READY")
    assert len(said.encode()) <= 64_000


def test_names_of_a_platform_are_no_markup(record: Record) -> None:
    findings = (Finding("major", "<img src=x> @everyone [x](y)", "e", "", "f"),)
    said = comment.render(view.build(record, replace(verdicts.ready(record), findings=findings)))
    assert "\\<img src=x\\> \\@everyone \\[x\\](y)" in said
