from harness.paired import compare
from harness.record.reader import Record
from harness.runs.change import SmallestEffect
from reports import compare as pages
from reports.compare import comparison, rows
from tests.reports import verdicts
from tests.reports.pages import Page


def test_the_whole_run_comes_first_then_what_differed_by_phase(record: Record, quiet: Record) -> None:
    found = compare(quiet, verdicts.ready(quiet), record, verdicts.ready(record), "base", order="two records")
    assert found.left_out == ""
    told = list(rows(found))
    whole = [row for row in told if row.when == "whole run"]
    assert told[: len(whole)] == whole
    assert [row.title for row in whole] == [row.title for row in found.indicators]
    assert all(row.effect in ("worse", "better") for row in told[len(whole) :])
    assert any(row.when == "during payment-latency-8s" and row.effect == "worse" for row in told)


def test_a_page_and_markdown_show_verdicts_grades_invariants_findings_and_figures(
    record: Record, quiet: Record
) -> None:
    base, run = verdicts.ready(quiet), verdicts.not_ready(record)
    found = compare(quiet, base, record, run, "base", order="two records")
    shown = comparison(base, run, found, "other versions: locust")
    html, markdown = Page(pages.html(shown)), pages.markdown(shown)
    assert html.problems == []
    assert (html.resources, "script" in html.tags) == (["data:,"], False)
    assert shown.answer == "Worse than base"
    for said in (html.words, markdown):
        for wanted in (
            "READY, grade B (86.4)",
            "NOT READY, grade F",
            "other versions: locust",
            "No seat is sold twice",
        ):
            assert wanted in said, wanted
        assert all(finding.title in said for finding in run.findings)
    assert [row.title for row in shown.tables[0][1]] == [row.title for row in found.indicators]


def test_what_is_certain_and_too_small_is_told_as_such(record: Record, quiet: Record) -> None:
    found = compare(quiet, verdicts.ready(quiet), record, verdicts.ready(record), "base", order="two records")
    usual, strict = list(rows(found)), list(rows(found, SmallestEffect(share=1.0)))
    worse = [row for row in usual if row.effect.startswith("worse")]
    assert any(row.effect == "worse" for row in worse)
    again = [row for row in strict if row.effect.startswith("worse")]
    assert len(again) == len(worse)
    assert all(row.effect == "worse, by less than 100\u00a0%" for row in again)


def test_nothing_changed_is_not_worse(quiet: Record) -> None:
    verdict = verdicts.ready(quiet)
    found = compare(quiet, verdict, quiet, verdict, "base", order="two records")
    shown = comparison(verdict, verdict, found, "")
    assert (shown.answer, shown.changes) == ("Not worse than base", ())
    assert {state.word for state, _ in shown.findings} <= {"in both"}
    assert Page(pages.html(shown)).problems == []
