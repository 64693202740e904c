from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.record.reader import Record
from harness.record.verdict import Finding, Verdict
from reports import html_page, view
from tests.reports import verdicts
from tests.reports.conftest import with_request_error
from tests.reports.pages import Page

HOSTILE = """</style><script>alert("1")</script>'"&{{ 7*7 }}<b x=\u2028"""


def rendered(record: Record, verdict: Verdict) -> str:
    return html_page.render(view.build(record, verdict))


def read(record: Record, verdict: Verdict) -> Page:
    return Page(rendered(record, verdict))


@pytest.mark.parametrize("kind", ["ready", "not_ready", "no_verdict", "bare"])
@pytest.mark.parametrize("run", ["record", "quiet", "empty", "cut_short"])
def test_every_verdict_on_every_kind_of_record_is_well_formed(
    kind: str, run: str, request: pytest.FixtureRequest
) -> None:
    record: Record = request.getfixturevalue(run)
    verdict = getattr(verdicts, kind)(record)
    page = read(record, verdict)
    assert page.problems == []
    assert len(page.ids) == len(set(page.ids))
    assert verdict.verdict.value in page.words
    assert verdict.reason in page.words


def test_it_asks_the_network_for_nothing_and_runs_no_script(record: Record) -> None:
    html = rendered(record, verdicts.not_ready(record))
    page = Page(html)
    assert "script" not in page.tags
    assert all(resource.startswith(("#", "data:,")) for resource in page.resources)
    assert not re.search(r"url\((?!#)|@import|https?://", html)


def test_the_contents_lead_to_sections_that_exist(record: Record) -> None:
    page = read(record, verdicts.ready(record))
    assert page.targets
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)


def test_each_reference_inside_a_chart_has_its_target(record: Record) -> None:
    html = rendered(record, verdicts.ready(record))
    wanted = set(re.findall(r'url\(#([^)]*)\)|<use href="#([^"]*)"', html))
    ids = set(Page(html).ids)
    assert wanted
    assert {one or other for one, other in wanted} <= ids


def test_it_names_every_invariant_fault_indicator_and_finding(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    words = read(record, verdict).words
    for name in (
        *(result.name for result in verdict.invariants),
        *(fault.experiment for fault in verdict.faults),
        *(fault.hypothesis for fault in verdict.faults),
        *(sli.name for sli in verdict.slis),
        *(finding.title for finding in verdict.findings),
        *(finding.evidence for finding in verdict.findings),
    ):
        assert name in words, name


def test_the_first_screen_says_word_grade_score_load_and_skew(record: Record) -> None:
    verdict = verdicts.ready(record)
    start = read(record, verdict).words.split("What someone should act on")[0]
    assert verdict.load is not None
    for words in ("READY", "B", "86.4", f"of {verdict.load.users_asked} asked", "samples recorded", "VALID", "455 ms"):
        assert words in start
    assert "4 held" not in start
    assert "1 unknown, 1 not observable, 5 held" in start


def test_a_violation_is_told_step_by_step_with_the_fault_in_force(record: Record) -> None:
    words = read(record, verdicts.not_ready(record)).words
    assert "Seat 101-A-7 has two owners (in force: db-unreachable)" in words
    assert words.index("order o-12 confirmed") < words.index("order o-40 confirmed")
    assert "and 2 more violations like these" in words


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("quiet", "Nothing was broken in this run."),
        ("empty", "No request was recorded."),
        ("empty", "No buyer set out."),
        ("empty", "No figure with a known limit was recorded"),
        ("cut_short", "the record is incomplete"),
        ("cut_short", "no metrics were recorded"),
    ],
)
def test_what_is_absent_is_said(run: str, said: str, request: pytest.FixtureRequest) -> None:
    record: Record = request.getfixturevalue(run)
    assert said in read(record, verdicts.bare(record)).words


def test_an_empty_record_shows_no_number_that_was_not_recorded(empty: Record) -> None:
    page = read(empty, verdicts.bare(empty))
    assert "svg" not in page.tags
    assert "0 ms" not in page.words


def test_hostile_text_stays_text(record: Record, tmp_path: Path) -> None:
    hostile = with_request_error(record, tmp_path / "hostile", HOSTILE)
    finding = Finding(severity=HOSTILE, title=HOSTILE, evidence=HOSTILE, runbook=HOSTILE)
    verdict = verdicts.not_ready(hostile)
    violated = verdict.invariants[0]
    violation = replace(violated.violations[0], summary=HOSTILE, faults=(HOSTILE,))
    verdict = replace(
        verdict,
        reason=HOSTILE,
        findings=(finding,),
        invariants=(replace(violated, name=HOSTILE, note=HOSTILE, violations=(violation,)),),
    )
    page = read(hostile, verdict)
    assert page.problems == []
    assert "script" not in page.tags
    assert page.words.count("alert(") >= 8
    assert "{{ 7*7 }}" in page.words


def test_the_same_record_gives_the_same_page(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    assert rendered(record, verdict) == rendered(record, verdict)


def test_only_a_narrow_screen_gets_the_narrow_layout_never_paper(record: Record) -> None:
    page = rendered(record, verdicts.ready(record))
    assert "@media screen and (max-width" in page
    assert "@media (max-width" not in page


@pytest.mark.parametrize(
    ("verdict", "meaning"),
    [(verdicts.ready, "the sale can open"), (verdicts.not_ready, "should not open like this")],
)
def test_the_first_screen_says_what_the_verdict_means(
    record: Record, verdict: Callable[[Record], Verdict], meaning: str
) -> None:
    assert meaning in rendered(record, verdict(record))
