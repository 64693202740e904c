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
from reports.view import frames, method, paired, plugins, words
from reports.view.charts import chart_data, timeline
from reports.view.charts.chart_data import ChartTable
from reports.view.charts.timeline import Release, Timeline
from reports.view.front import checklist, headline, page_one, runbooks
from reports.view.front.headline import FindingView, Headline
from reports.view.front.page_one import PageOne
from reports.view.front.runbooks import Runbook
from reports.view.journeys import hops, journey, stories, waterfalls
from reports.view.journeys.hops import HopRow
from reports.view.journeys.journey import FunnelRow
from reports.view.journeys.stories import StoryView
from reports.view.journeys.waterfalls import WaterfallView
from reports.view.judged import coverage, examinations, faults, indicators, invariants, limits, untested
from reports.view.judged.coverage import CoverageRow
from reports.view.judged.examinations import ExaminationView
from reports.view.judged.faults import FaultView
from reports.view.judged.indicators import IndicatorRow, TimingRow
from reports.view.judged.invariants import InvariantView
from reports.view.judged.limits import LimitsSection
from reports.view.judged.untested import Gap
from reports.view.method import Method
from reports.view.paired import PairedView
from reports.view.plugins import PluginSection

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
