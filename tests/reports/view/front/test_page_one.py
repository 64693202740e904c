"""Page one answers the questions of the meeting, and says where it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from harness.record.reader import Record
from harness.record.schema import SelfTestSummary, TraceSummary
from harness.record.verdict import (
    Cause,
    CausePart,
    Coverage,
    Examination,
    Figure,
    Hop,
    Status,
    StepHops,
    Verdict,
)
from harness.runs.past import Past, PastRun
from harness.runs.staircase import ANSWER_SCHEMA, Answer
from reports import html_page, markdown, view
from reports.view.front import runbooks
from reports.view.front.headline import Fact
from reports.view.journeys import waterfalls
from tests.reports import verdicts
from tests.reports.pages import Page

BUSINESS = Examination(
    "business",
    "Business",
    "?",
    (
        Figure("on_sale", "On sale", 2000.0, "tickets", samples=2000),
        Figure("sold", "Sold", 1500.0, "tickets", samples=2000),
        Figure("revenue_cents", "Revenue", 123_456_789.0, "USD cents", samples=700),
        Figure("sold_all_s", "Sold all at", None, "s", samples=0, note="not within the run"),
        Figure("empty_handed", "Fans who got nothing", 25.0, "fans", samples=900),
    ),
)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def facts(found: tuple[Fact, ...]) -> dict[str, str]:
    return {fact.label: plain(f"{fact.value} | {fact.note}") for fact in found}


def page(record: Record, verdict: Verdict, past: Past | None = None) -> view.Page:
    return view.build(record, verdict, past=past)


def test_the_sale_is_told_as_business(record: Record) -> None:
    one = page(record, replace(verdicts.ready(record), examinations=(BUSINESS,))).page_one
    assert facts(one.business) == {
        "Tickets sold": "1,500 | of 2,000 on sale, 75 %",
        "Revenue": "1,234,567.89 USD | in 700 orders",
        "Sold out": "not sold out | not within the run",
        "Fans without a ticket": "25 | of 900 fans who wanted one",
    }


def test_it_says_what_the_verdict_rests_on(record: Record) -> None:
    verdict = replace(
        verdicts.ready(record),
        coverage=(Coverage("redis-down", "redis", "refuse", "proven"), Coverage("redis-hang", "redis", "hang")),
    )
    tested = SelfTestSummary(
        version="0.1.0",
        began="2026-11-20T10:00:00Z",
        took_s=60.0,
        bugs_known=14,
        bugs_planted=14,
        bugs_caught=14,
        missed=(),
        clean_runs=3,
        false_alarms=0,
        passed=True,
    )
    told = facts(page(replaced(record, selftest=tested), verdict).page_one.trust)
    assert told["Load generator"].startswith("✓ VALID")
    assert told["Self-test of the audit"] == "14 of 14 bugs caught | 0 false alarms; 3 days before the run"
    part = replace(tested, bugs_planted=1, bugs_caught=1)
    told_of_part = facts(page(replaced(record, selftest=part), verdict).page_one.trust)
    assert told_of_part["Self-test of the audit"] == (
        "1 of 1 bugs caught | 0 false alarms; 13 more were not planted; 3 days before the run"
    )
    assert told["Faults rehearsed"] == "1 of 2 | experiments that this platform could be put to"
    assert facts(page(record, verdict).page_one.trust)["Self-test of the audit"].startswith("not run")


def replaced(record: Record, **changes: object) -> Record:
    @dataclass(frozen=True)
    class Changed(Record):
        pass

    return Changed(record.paths, replace(record.run, **changes), record.faults, record._tables, record._absent)


def test_a_finding_is_told_with_its_cause_and_links_to_chart_and_runbook(record: Record) -> None:
    verdict = verdicts.ready(record)
    finding = replace(verdict.findings[0], id="objective/x", runbook="docs/runbooks.md#hold-response")
    cause = Cause(of="objective/x", sentence="all 83 met redis-down.")
    verdict = replace(verdict, findings=(finding,), causes=(cause,))
    shown = html_page.render(page(record, verdict))
    parsed = Page(shown)
    assert parsed.problems == []
    assert "All 83 met redis-down." in parsed.words.split("Causes What someone")[0]
    assert {"#finding-1", "#timeline", "#runbook-hold-response"} <= set(parsed.targets)
    assert {"finding-1", "timeline", "runbook-hold-response"} <= set(parsed.ids)
    assert "Why: All 83 met redis-down." in markdown.render(page(record, verdict))


def test_what_is_not_held_is_opened_and_the_rest_is_one_line(record: Record) -> None:
    one = page(record, verdicts.not_ready(record)).page_one
    assert [(row.title, row.state.word) for row in one.open_invariants] == [
        ("No seat is sold twice", "violated"),
        ("First come, first admitted", "unknown"),
        ("No seat change is missed", "not observable"),
    ]
    assert one.open_invariants[0].why == "Seat 101-A-7 has two owners"
    turned = verdicts.not_ready(record)
    turned = replace(turned, invariants=turned.invariants[::-1])
    assert [row.state.word for row in page(record, turned).page_one.open_invariants] == [
        "violated",
        "unknown",
        "not observable",
    ]


def test_a_planted_bug_has_a_banner(record: Record) -> None:
    planted = replaced(record, command=("gatecrash", "rehearse", "--plant-bug", "lost_ack"))
    assert "lost_ack" in page(planted, verdicts.ready(record)).page_one.banner
    assert page(record, verdicts.ready(record)).page_one.banner == ""


def test_what_it_can_take_is_said_as_far_as_it_was_measured(record: Record) -> None:
    told = facts(page(record, verdicts.ready(record)).page_one.capacity)
    assert told["Admitted"].startswith("27.4/s | the scenario asks for")
    assert told["Safe admission rate"].startswith("not measured | one run shows one rate")
    answer = Answer(
        schema=ANSWER_SCHEMA, scenario="capacity", stack="embedded", versions={}, t0="2026-11-23T10:00:00Z",
        changes=(), steps=(verdicts.step(48.0, carried=True), verdicts.step(57.0, carried=False)), said=(),
    )  # fmt: skip
    measured = page(record, verdicts.ready(record), Past(capacity=answer)).page_one.capacity
    assert facts(measured)["Safe admission rate"] == (
        "48/s | 57/s was not carried; measured on 2026-11-23 with the scenario capacity"
    )
    assert told["More users than these"].startswith("not extrapolated")


def test_the_change_since_the_last_comparable_run_is_told(record: Record) -> None:
    verdict = verdicts.ready(record)
    slow = replace(verdict.slis[3], value=400.0, score=100.0, met=True)
    base = replace(verdict, slis=(*verdict.slis[:3], slow, *verdict.slis[4:]), score=95.0, grade="A")
    past = Past(comparable=(PastRun(root=record.paths.root, run=record.run, verdict=base),), why_none="")
    change = page(record, verdict, past).page_one.change
    assert "was READY, grade A (95); this run is READY, grade B (86.4)" in change.lede
    assert [(row.state.word, plain(row.text)) for row in change.rows] == [
        ("worse", "Hold response time, p99: 400 ms → 1,912 ms")
    ]
    assert change.spark_label == "Scores of the last 2 comparable runs: 95, 86.4."
    assert "nothing to compare with" in page(record, verdict).page_one.change.lede.lower()


def test_an_invariant_that_was_not_held_and_is_violated_now_is_worse(record: Record) -> None:
    verdict = verdicts.ready(record)
    first, *rest = verdict.invariants

    def words_of(was: Status, now: Status) -> list[str]:
        before, after = (replace(verdict, invariants=(replace(first, status=one), *rest)) for one in (was, now))
        past = Past(comparable=(PastRun(root=record.paths.root, run=record.run, verdict=before),), why_none="")
        return [row.state.word for row in page(record, after, past).page_one.change.rows]

    assert words_of(Status.UNKNOWN, Status.VIOLATED) == ["worse"]
    assert words_of(Status.VIOLATED, Status.UNKNOWN) == ["changed"]
    assert words_of(Status.VIOLATED, Status.HELD) == ["better"]


def test_hops_are_shown_in_one_colour_each(record: Record) -> None:
    hops = (
        StepHops("pay", 8, 70.0, 120.0, (Hop("payments", 50.0, 0.8), Hop("booking", 12.5, 0.2))),
        StepHops("hold", 9, 5.0, 9.0, (Hop("booking", 5.0, 1.0),)),
    )
    rows = page(record, replace(verdicts.ready(record), hops=hops)).hops
    assert [[bar.name for bar in row.bars] for row in rows] == [["payments", "booking"], ["booking"]]
    assert rows[0].bars[1].colour == rows[1].bars[0].colour
    assert plain(rows[0].label) == "payments 50 ms (80 %), booking 12.5 ms (20 %)"


def test_requests_are_shown_hop_by_hop_and_linked_from_their_cause(record: Record) -> None:
    verdict = replace(verdicts.not_ready(record), waterfalls=verdicts.WATERFALLS)
    shown = page(record, verdict)
    assert [one.title.partition(": ")[2] for one in shown.waterfalls] == [
        "among the slowest",
        "failed with 503",
        "met redis-down",
    ]
    first = shown.waterfalls[0]
    assert plain(first.says) == (
        "Sent by fan-000007 at T+2.500 s, ended ok after 200 ms: "
        "150 ms in booking → redis, 50 ms in client and network."
    )
    assert [(bar.left_percent, bar.width_percent) for bar in first.bars] == [(0.0, 100.0), (10.0, 75.0)]
    assert plain(first.more) == "3 shorter spans not shown."
    of_fault = Cause(of="x", sentence="", phase="redis-down")
    of_step = Cause(of="x", sentence="", parts=(CausePart("step", "hold", 9, 0.9), CausePart("step", "pay", 1, 0.1)))
    assert waterfalls.linked(verdict, of_fault) == shown.waterfalls[2].anchor
    assert waterfalls.linked(verdict, of_step) == shown.waterfalls[1].anchor
    assert waterfalls.linked(verdict, Cause(of="x", sentence="")) == ""
    html = html_page.render(shown)
    assert all(f'id="{one.anchor}"' in html for one in shown.waterfalls)
    assert "gatecrash fan" in html


def test_what_was_kept_of_the_traces_is_told() -> None:
    assert waterfalls.summary(None) == ""
    told = waterfalls.summary(TraceSummary(traced=2000, kept=90, spans_kept=4000, spans_left_out=90_000, spans_lost=7))
    assert "2,000 journeys carried a traceparent, 90 are kept" in plain(told)
    assert "7 spans found no room" in told


def test_charts_have_their_figures_as_tables_and_say_what_is_seen(record: Record) -> None:
    shown = page(record, verdicts.ready(record))
    assert shown.timeline_table is not None
    assert shown.timeline is not None
    assert sum(int(row[1].replace(",", "")) for row in shown.timeline_table.rows) == shown.timeline.outcomes["ok"].sum()
    assert len(shown.timeline_table.rows) <= 91
    html = html_page.render(shown)
    assert "Most requests in one second:" in html


def test_runbooks_are_embedded_without_markup(record: Record) -> None:
    [book] = runbooks.embedded(["docs/runbooks.md#no-double-sell", "docs/runbooks.md#no-such-thing", "elsewhere"])
    assert book.anchor == runbooks.anchor_of("docs/runbooks.md#no-double-sell") == "runbook-no-double-sell"
    first = [piece.text for piece in book.lines[0]]
    assert first[0] == "Means"
    assert not any("**" in piece.text or "](" in piece.text for line in book.lines for piece in line)
    assert runbooks.anchor_of("docs/runbooks.md#no-such-thing") == ""


def test_it_says_whether_what_was_foretold_came_true(record: Record) -> None:
    verdict = replace(verdicts.ready(record), examinations=(BUSINESS,))
    last = PastRun(root=record.paths.root, run=replace(record.run, run_id="a"), verdict=verdict)
    past = Past(comparable=(last,))
    held = facts(page(record, verdict, past).page_one.capacity)["Last predictions"]
    assert held.startswith("held | Sold 1,500 tickets, foretold 1,200 tickets to 1,875 tickets by run a")
    sold = replace(BUSINESS.figures[1], value=900.0)
    worse = replace(verdict, examinations=(replace(BUSINESS, figures=(sold, *BUSINESS.figures[2:])),))
    missed = facts(page(record, worse, past).page_one.capacity)["Last predictions"]
    assert "Sold 900 tickets, foretold 1,200 tickets to 1,875 tickets by run a" in missed
    assert not missed.startswith("held")
    assert facts(page(record, verdict).page_one.capacity)["Last predictions"].startswith("none to check | ")


def test_it_says_when_an_error_budget_was_gone(record: Record) -> None:
    def budgets(*gone: float | None) -> Verdict:
        figures = [Figure(f"gone_s/slo-{at}", "", value, "s", samples=9) for at, value in enumerate(gone)]
        figures += [Figure(f"used/slo-{at}", "", 0.25 * (at + 1), "ratio", samples=9) for at in range(len(gone))]
        exam = Examination("budgets", "Error budgets", "?", tuple(figures))
        return replace(verdicts.ready(record), examinations=(BUSINESS, exam))

    gone = facts(page(record, budgets(230.0, 190.0, None)).page_one.business)
    assert gone["Error budget gone at"] == "T+190.0 s | of slo-1; 2 are gone"
    used = facts(page(record, budgets(None, None)).page_one.business)
    assert used["Error budget used"] == "50 % | of slo-1, the most of 2 SLOs"
