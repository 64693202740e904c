"""Faults: what was asked, what the canary saw, and what was expected of the platform against what was observed."""

from __future__ import annotations

from typing import Final

from harness.record.reader import Record
from harness.record.schema import FaultRun, Struct
from harness.record.verdict import ExpectationResult, FaultResult, RecoveryGap, RunbookResult, Verdict
from reports import text
from reports.view import words
from reports.view.charts.timeline import spans
from reports.view.words import State

_PAD_RATIO: Final = 0.12
_UNITS: Final = ("ms", "s", "ratio", "bytes")
_LEAST_PAD_S: Final = 0.5


class Moment(Struct, frozen=True):
    """A named moment of the fault and where it lies on the strip, in percent of its length."""

    name: str
    at: str
    note: str
    percent: float | None


class CanaryStretch(Struct, frozen=True):
    """A stretch in which the canary saw one state, on the strip."""

    state: str
    good: bool
    left_percent: float
    width_percent: float


class ExpectationRow(Struct, frozen=True):
    """One expectation against what was observed."""

    name: str
    expected: str
    observed: str
    state: State


class GapRow(Struct, frozen=True):
    """The longest stretch after the heal in which somebody wanted a step and nobody got it."""

    title: str
    length: str
    began: str
    waiting: str
    bound: str
    state: State


class FaultView(Struct, frozen=True):
    """One experiment, whole."""

    name: str
    component: str
    kind: str
    hypothesis: str
    runbook: str
    error: str
    proven: State
    moments: tuple[Moment, ...]
    probes: tuple[CanaryStretch, ...]
    strip_label: str
    canary: tuple[tuple[str, str], ...]
    expectations: tuple[ExpectationRow, ...]
    tally: str
    gaps: tuple[GapRow, ...]
    undecidable: tuple[tuple[str, str], ...]
    by_hand: tuple[Moment, ...]
    said: str


def faults(record: Record, verdict: Verdict) -> tuple[FaultView, ...]:
    """In the order of the verdict; the record's own entry, where there is one, gives the moments and the probes."""
    unused = list(record.faults.faults)
    views = []
    for result in verdict.faults:
        run = next((fault for fault in unused if fault.experiment == result.experiment), None)
        if run is not None:
            unused.remove(run)
        views.append(_view(result, run))
    return tuple(views)


def _view(result: FaultResult, run: FaultRun | None) -> FaultView:
    moments, probes = ((), ()) if run is None else _strip(run)
    return FaultView(
        name=result.experiment,
        component=result.component,
        kind=result.kind,
        hypothesis=result.hypothesis,
        runbook=result.runbook,
        error=result.error,
        proven=words.state("proven" if result.proven else "not_proven"),
        moments=moments or _moments_of(result),
        probes=probes,
        strip_label=_strip_label(probes),
        canary=tuple(_measured(name, value) for name, value in sorted(result.canary.items())),
        expectations=tuple(_expectation(expectation) for expectation in result.expectations),
        tally=_tally(result.expectations),
        gaps=tuple(_gap(gap) for gap in result.gaps),
        undecidable=tuple((words.invariant(name), why) for name, why in result.makes_undecidable.items()),
        by_hand=_by_hand(result.runbook_times),
        said="" if result.runbook_times is None else result.runbook_times.said,
    )


def _by_hand(times: RunbookResult | None) -> tuple[Moment, ...]:
    """Of a drill in which a person followed the runbook: when, and how long after the alert."""
    if times is None:
        return ()

    def moment(name: str, t_s: float | None) -> Moment:
        after = "" if t_s is None or times.alert_s is None else f"{text.seconds(t_s - times.alert_s)} after the alert"
        return Moment(name=name, at=text.at(t_s), note=after, percent=None)

    return (
        Moment(name="alert", at=text.at(times.alert_s), note="", percent=None),
        moment("acknowledged", times.acknowledged_s),
        moment("mitigated", times.mitigated_s),
        moment("recovered", times.recovered_s),
    )


def _strip(run: FaultRun) -> tuple[tuple[Moment, ...], tuple[CanaryStretch, ...]]:
    known = [t for t in (run.t_requested_s, run.t_effective_s, run.t_heal_requested_s, run.t_healed_s) if t is not None]
    if not known:
        return (), ()
    pad_s = max(_LEAST_PAD_S, (max(known) - min(known)) * _PAD_RATIO)
    start_s, end_s = min(known) - pad_s, max(known) + pad_s

    def percent(t_s: float) -> float:
        return round(100 * (min(max(t_s, start_s), end_s) - start_s) / (end_s - start_s), 2)

    def moment(name: str, t_s: float | None, since: float | None = None) -> Moment:
        delay = f"{text.seconds(t_s - since)} later" if t_s is not None and since is not None else ""
        return Moment(name=name, at=text.at(t_s), note=delay, percent=None if t_s is None else percent(t_s))

    moments = (
        moment("requested", run.t_requested_s),
        moment("effective", run.t_effective_s, run.t_requested_s),
        moment("heal requested", run.t_heal_requested_s),
        moment("healed", run.t_healed_s, run.t_heal_requested_s),
    )
    seen = spans((sample.t_s, sample.state) for sample in run.samples if start_s <= sample.t_s <= end_s)
    probes = tuple(
        CanaryStretch(
            state=span.state,
            good=span.state == "ok",
            left_percent=percent(span.start_s),
            width_percent=round(max(percent(span.end_s) - percent(span.start_s), 0.5), 2),
        )
        for span in seen
    )
    return moments, probes


def _moments_of(result: FaultResult) -> tuple[Moment, ...]:
    return (
        Moment(name="began", at=text.at(result.t_start_s), note="", percent=None),
        Moment(name="ended", at=text.at(result.t_end_s), note="", percent=None),
    )


def _strip_label(probes: tuple[CanaryStretch, ...]) -> str:
    states = dict.fromkeys(probe.state for probe in probes)
    return f"The canary saw, in this order: {', '.join(states)}." if states else ""


def _measured(name: str, value: float | str) -> tuple[str, str]:
    """A figure of the canary; a unit in its name goes to its value."""
    if isinstance(value, str):
        return text.humanise(name), value
    for part in name.split("_")[1:]:
        if part in _UNITS:
            return text.humanise(name.replace(f"_{part}", "", 1)), text.quantity(value, part)
    return text.humanise(name), text.number(value)


def _expectation(result: ExpectationResult) -> ExpectationRow:
    return ExpectationRow(
        name=text.sentence(result.name),
        expected=result.expected,
        observed=result.observed,
        state=words.state(result.status),
    )


def _gap(gap: RecoveryGap) -> GapRow:
    length, bound = text.quantities("s", gap.length_s, gap.bound_s)
    return GapRow(
        title=gap.title,
        length=length,
        began=text.at(gap.t_from_s),
        waiting=text.count(gap.waiting),
        bound=bound,
        state=words.state("gap_long" if gap.length_s > gap.bound_s else "gap_short"),
    )


def _tally(expectations: tuple[ExpectationResult, ...]) -> str:
    met = sum(expectation.status == "met" for expectation in expectations)
    return f"{met} of {len(expectations)} expectations met" if expectations else "no expectation was judged"
