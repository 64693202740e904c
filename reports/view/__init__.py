"""The view model: all that a page says, as finished strings and numbers. Pure: record and verdict in, page out."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.judging.notes import grouped
from harness.record.reader import Record
from harness.record.schema import Struct
from harness.record.verdict import Verdict
from reports import text
from reports.view import (
    examinations,
    faults,
    frames,
    headline,
    indicators,
    invariants,
    journey,
    limits,
    method,
    paired,
    timeline,
    untested,
    words,
)
from reports.view.examinations import ExaminationView
from reports.view.faults import FaultView
from reports.view.headline import FindingView, Headline
from reports.view.indicators import IndicatorRow, TimingRow
from reports.view.invariants import InvariantView
from reports.view.journey import FunnelRow
from reports.view.limits import LimitsSection
from reports.view.method import Method
from reports.view.paired import PairedView
from reports.view.timeline import Release, Timeline
from reports.view.untested import Gap

_IN_THEIR_WORDS: Final = ("headline", "findings", "funnel", "indicators", "timings", "invariants", "untested")
"""What is told in the words that a platform of the user's own has for seats and holds."""


class Page(Struct, frozen=True):
    """One readiness report."""

    title: str
    headline: Headline
    findings: tuple[FindingView, ...]
    timeline: Timeline | None
    release: Release | None
    funnel: tuple[FunnelRow, ...]
    indicators: tuple[IndicatorRow, ...]
    timings: tuple[TimingRow, ...]
    paired: PairedView | None
    invariants: tuple[InvariantView, ...]
    selftest: str
    examinations: tuple[ExaminationView, ...]
    faults: tuple[FaultView, ...]
    limits: LimitsSection
    untested: tuple[Gap, ...]
    anomalies: tuple[tuple[str, str, str], ...]
    method: Method


def build(record: Record, verdict: Verdict, control: Record | None = None) -> Page:
    """The page for a record and the verdict on it; `control`: what a paired run was compared with."""
    tables = frames.read(record)
    page = Page(
        title=f"{verdict.verdict.value} · {verdict.scenario}",
        headline=headline.headline(record.run, verdict),
        findings=headline.findings(verdict),
        timeline=timeline.timeline(record, tables),
        release=timeline.release(record, tables),
        funnel=journey.funnel(record, tables),
        indicators=indicators.indicators(verdict.slis),
        timings=indicators.timings(tables, verdict.generator),
        paired=paired.paired(record, verdict, control),
        invariants=invariants.invariants(verdict.invariants),
        selftest=invariants.selftest(record.run.selftest),
        examinations=examinations.examinations(verdict.examinations),
        faults=faults.faults(record, verdict),
        limits=limits.limits(record, tables),
        untested=untested.untested(record, verdict),
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
