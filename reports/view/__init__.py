"""The view model: all that a page says, as finished strings and numbers. Pure: record and verdict in, page out."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.judging.notes import grouped
from harness.record.reader import Record
from harness.record.schema import Struct
from harness.record.verdict import Verdict
from harness.runs.past import Past
from reports import text
from reports.view import (
    chart_data,
    checklist,
    coverage,
    examinations,
    faults,
    frames,
    headline,
    hops,
    indicators,
    invariants,
    journey,
    limits,
    method,
    page_one,
    paired,
    plugins,
    runbooks,
    stories,
    timeline,
    untested,
    waterfalls,
    words,
)
from reports.view.chart_data import ChartTable
from reports.view.coverage import CoverageRow
from reports.view.examinations import ExaminationView
from reports.view.faults import FaultView
from reports.view.headline import FindingView, Headline
from reports.view.hops import HopRow
from reports.view.indicators import IndicatorRow, TimingRow
from reports.view.invariants import InvariantView
from reports.view.journey import FunnelRow
from reports.view.limits import LimitsSection
from reports.view.method import Method
from reports.view.page_one import PageOne
from reports.view.paired import PairedView
from reports.view.plugins import PluginSection
from reports.view.runbooks import Runbook
from reports.view.stories import StoryView
from reports.view.timeline import Release, Timeline
from reports.view.untested import Gap
from reports.view.waterfalls import WaterfallView

_IN_THEIR_WORDS: Final = (
    "headline",
    "page_one",
    "findings",
    "funnel",
    "stories",
    "indicators",
    "timings",
    "invariants",
    "untested",
    "checklist",
)
"""What is told in the words that a platform of the user's own has for seats and holds."""


class Page(Struct, frozen=True):
    """One readiness report."""

    title: str
    headline: Headline
    page_one: PageOne
    findings: tuple[FindingView, ...]
    runbooks: tuple[Runbook, ...]
    timeline: Timeline | None
    timeline_table: ChartTable | None
    release: Release | None
    release_table: ChartTable | None
    funnel: tuple[FunnelRow, ...]
    stories: tuple[StoryView, ...]
    indicators: tuple[IndicatorRow, ...]
    timings: tuple[TimingRow, ...]
    hops: tuple[HopRow, ...]
    waterfalls: tuple[WaterfallView, ...]
    traced: str
    paired: PairedView | None
    invariants: tuple[InvariantView, ...]
    selftest: str
    examinations: tuple[ExaminationView, ...]
    plugins: tuple[PluginSection, ...]
    faults: tuple[FaultView, ...]
    limits: LimitsSection
    coverage: tuple[CoverageRow, ...]
    untested: tuple[Gap, ...]
    checklist: tuple[str, ...]
    anomalies: tuple[tuple[str, str, str], ...]
    method: Method


def build(record: Record, verdict: Verdict, control: Record | None = None, past: Past | None = None) -> Page:
    """The page for a record and the verdict on it.

    `control`: what a paired run was compared with. `past`: the runs before it in the same folder.
    """
    tables = frames.read(record)
    known = past or Past()
    findings, headroom = headline.findings(verdict, known.lessons), limits.limits(record, tables)
    course, close_up = timeline.timeline(record, tables), timeline.release(record, tables)
    page = Page(
        title=f"{verdict.verdict.value} · {verdict.scenario}",
        headline=headline.headline(record.run, verdict),
        page_one=page_one.page_one(record.run, verdict, findings, headroom, known),
        findings=findings,
        runbooks=runbooks.embedded(
            [*(finding.runbook for finding in findings), *(fault.runbook for fault in verdict.faults)]
        ),
        timeline=course,
        timeline_table=None if course is None else chart_data.timeline_table(course),
        release=close_up,
        release_table=None if close_up is None else chart_data.release_table(close_up),
        funnel=journey.funnel(record, tables),
        stories=stories.stories(verdict.stories),
        indicators=indicators.indicators(verdict.slis),
        timings=indicators.timings(tables, verdict.generator),
        hops=hops.hop_rows(verdict),
        waterfalls=waterfalls.waterfalls(verdict),
        traced=waterfalls.summary(record.run.traces),
        paired=paired.paired(record, verdict, control),
        invariants=invariants.invariants(verdict.invariants),
        selftest=invariants.selftest(record.run.selftest),
        examinations=examinations.examinations(verdict.examinations),
        plugins=plugins.sections(record, verdict),
        faults=faults.faults(record, verdict),
        limits=headroom,
        coverage=coverage.matrix(verdict.coverage),
        untested=untested.untested(record, verdict),
        checklist=checklist.checklist(verdict),
        anomalies=tuple((text.at(n.t_first_s), n.source, n.sentence) for n in grouped(record.run.anomalies)),
        method=method.method(record, verdict),
    )
    names = _names(record)
    told = {field: words.renamed(getattr(page, field), names) for field in _IN_THEIR_WORDS}
    return msgspec.structs.replace(page, **told)


def _names(record: Record) -> dict[str, str]:
    """The platform's own words. Where it sells no seats, a seat is what it lacks, and keeps its name."""
    own = record.run.scenario.get("platform")
    names = own.get("names", {}) if isinstance(own, dict) else {}
    has_seats = "seats" in record.run.capabilities
    return {ours: theirs for ours, theirs in names.items() if ours != "seat" or has_seats}
