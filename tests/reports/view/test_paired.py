"""The section that holds a run with faults against its control."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from harness.paired import added, compare, left_out
from harness.record.reader import Record
from harness.record.verdict import Verdict
from reports import html_page, junit_xml, markdown, view
from reports.view.paired import PairedView
from tests.reports import verdicts


def judged(record: Record) -> Verdict:
    verdict = verdicts.ready(record)
    return replace(verdict, faults=tuple(replace(fault, proven=True) for fault in verdict.faults))


@pytest.fixture(scope="module")
def verdict(record: Record, quiet: Record) -> Verdict:
    alone, both = judged(quiet), judged(record)
    return added(both, compare(quiet, alone, record, both, "control"), quiet.digest())


@pytest.fixture(scope="module")
def page(record: Record, quiet: Record, verdict: Verdict) -> view.Page:
    return view.build(record, verdict, quiet)


@pytest.fixture(scope="module")
def section(page: view.Page) -> PairedView:
    assert page.paired is not None
    return page.paired


def test_a_run_that_was_not_paired_has_no_section(record: Record) -> None:
    page = view.build(record, judged(record))
    assert page.paired is None
    assert 'id="paired"' not in html_page.render(page)
    assert "The spike, or the faults?" not in markdown.render(page)


def test_it_says_both_results_sales_and_retries(section: PairedView) -> None:
    facts = {fact.label: fact for fact in section.facts}
    assert facts["Without the faults"].value == facts["With the faults"].value == "READY"
    assert facts["Sales late"].note.startswith("at most")
    assert facts["Attempts per operation"].note.startswith("control")
    assert "control went first, so that" in section.lede


def test_each_objective_has_both_values_and_what_it_was_missed_by(section: PairedView, verdict: Verdict) -> None:
    objectives = [sli.name for sli in verdict.slis if sli.objective is not None]
    assert [row.name for row in section.objectives] == [
        name for name in objectives if any(row.name == name for row in verdict.paired.indicators)
    ]
    assert all(row.cause.word for row in section.objectives)


def test_every_fault_has_what_differed_and_a_chart(section: PairedView) -> None:
    names = [fault.name for fault in section.faults]
    assert names == ["redis-down", "db-unreachable", "payment-latency-8s", "websocket-drops"]
    redis = section.faults[0]
    assert redis.overlay is not None
    assert redis.overlay.start_s < 6.0 < redis.overlay.end_s
    assert redis.rows or redis.others
    for row in (*redis.rows, *redis.others):
        for cell in (row.before, row.during, row.after):
            assert not cell.delta or cell.interval


def test_the_page_shows_it_without_a_stray_id_and_escaped(page: view.Page) -> None:
    html = html_page.render(page)
    assert 'href="#paired"' in html
    assert 'href="control/report.html"' in html
    assert html.count("without the faults</text>") + html.count("without the faults<") >= 2
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_markdown_has_the_objectives_and_a_line_for_each_fault(page: view.Page) -> None:
    text = markdown.render(page)
    assert "## The spike, or the faults?" in text
    assert "- redis\\-down:" in text or "- redis-down:" in text


def test_a_control_that_cannot_be_used_is_said_and_nothing_is_compared(record: Record) -> None:
    verdict = added(judged(record), left_out("control", "the control gave no verdict: <b>cut</b>"), {})
    page = view.build(record, verdict)
    html = html_page.render(page)
    assert "There are no differences to show: the control gave no verdict: &lt;b&gt;cut&lt;/b&gt;" in html
    assert "There are no differences to show" in markdown.render(page)
    assert page.paired is not None
    assert page.paired.objectives == page.paired.faults == ()


def test_junit_is_the_treatments_alone(record: Record, verdict: Verdict) -> None:
    assert junit_xml.render(verdict) == junit_xml.render(replace(judged(record), findings=()))
