"""Compares every indicator, every step and the retries of two runs: over the whole run and by phase. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import STEPS
from harness.record.verdict import PairedDelta, PairedPhase, PairedRow, PhaseDelta
from harness.sli import INDICATORS, IndicatorSpec
from harness.sli.measured import Observations
from harness.sli.measures.funnel import not_ok_samples
from harness.sli.measures.latency import in_window, response_samples
from harness.sli.resampling import Contrast, contrast
from harness.sli.samples import Samples, users_of

STREAMS: Final = ("positions", "feed")
"""Steps whose request lasts as long as the stream; what a fan waits for is the first event."""
ALL_STEPS: Final = "all"
_ONE_FIGURE: Final = "one figure for each run: no interval"
Better = Literal["lower", "higher"]


class Halves(msgspec.Struct, frozen=True):
    """The observations of both runs; `matched`: fans of one name are the same person in both."""

    control: Observations
    treatment: Observations
    matched: bool


class Measure(msgspec.Struct, frozen=True):
    """One row before it is compared: its name and its samples."""

    name: str
    title: str
    unit: str
    better: Better
    samples: Callable[[Observations], Samples]
    step: str = ""


def indicator_rows(halves: Halves, phases: Sequence[PairedPhase]) -> tuple[PairedRow, ...]:
    """Every indicator that has a value in either run, in the order of the registry."""
    run = halves.treatment.record.run
    rows = [_indicator(spec, halves, phases) for spec in INDICATORS.values() if run.has_plugin(spec.plugin)]
    return tuple(row for row in rows if row.whole.control is not None or row.whole.treatment is not None)


def step_rows(halves: Halves, phases: Sequence[PairedPhase]) -> tuple[PairedRow, ...]:
    """For each step that was sent: its response time p95, and the share of its requests that were not ok."""
    found = []
    for step in _sent(halves):
        title = step.replace("_", " ").capitalize()
        found.append(Measure(f"{step}_p95", f"{title}: response p95", "ms", "lower", _response(step), step))
        found.append(Measure(f"{step}_not_ok", f"{title}: not ok", "ratio", "lower", _not_ok(step), step))
    return tuple(row_of(measure, halves, phases) for measure in found)


def retry_rows(halves: Halves, phases: Sequence[PairedPhase]) -> tuple[PairedRow, ...]:
    """Retry amplification: attempts per intended operation, over all steps and of each step with retries.

    Attempts count in the phase in which the operation was first intended.
    """
    steps = [
        step for step in _sent(halves) if _tried_again(halves.control, step) or _tried_again(halves.treatment, step)
    ]
    found = [Measure("attempts", "Attempts per operation", "attempts", "lower", _attempts(""), ALL_STEPS)]
    for step in steps:
        title = f"{step.replace('_', ' ').capitalize()}: attempts per operation"
        found.append(Measure(f"{step}_attempts", title, "attempts", "lower", _attempts(step), step))
    return tuple(row_of(measure, halves, phases) for measure in found)


def row_of(measure: Measure, halves: Halves, phases: Sequence[PairedPhase]) -> PairedRow:
    """One row compared, over the whole run and in each phase in which either run has a sample."""
    control, treatment = measure.samples(halves.control), measure.samples(halves.treatment)
    whole = delta_of(contrast(control, treatment, paired=halves.matched), measure.better)
    known: dict[tuple[float, float], PairedDelta] = {}  # the phase after one fault is the phase before the next
    by_phase = []
    for phase in phases:
        span = phase.t_from_s, phase.t_to_s
        one, two = control.between(*span), treatment.between(*span)
        if len(one) or len(two):
            if span not in known:
                known[span] = delta_of(contrast(one, two, paired=halves.matched), measure.better)
            by_phase.append(PhaseDelta(fault=phase.fault, phase=phase.phase, delta=known[span]))
    return PairedRow(
        name=measure.name,
        title=measure.title,
        unit=measure.unit,
        better=measure.better,
        step=measure.step,
        whole=whole,
        phases=tuple(by_phase),
    )


def delta_of(found: Contrast, better: Better) -> PairedDelta:
    """A contrast with its effect: worse or better when the whole interval is on one side of zero, else none."""
    return PairedDelta(
        control=found.control,
        treatment=found.treatment,
        delta=found.delta,
        low=found.low,
        high=found.high,
        effect=_effect(found, better),
        samples_control=found.samples_control,
        samples_treatment=found.samples_treatment,
        note=found.note,
    )


def _effect(found: Contrast, better: Better) -> str:
    if found.low is None or found.high is None:
        return "unknown"
    if found.low <= 0 <= found.high:
        return "none"
    return "worse" if (found.low > 0) == (better == "lower") else "better"


def _indicator(spec: IndicatorSpec, halves: Halves, phases: Sequence[PairedPhase]) -> PairedRow:
    if spec.samples is not None:
        measure = Measure(spec.name, spec.title, spec.unit, spec.better, spec.samples)
        return row_of(measure, halves, phases)
    one, two = spec.measure(halves.control), spec.measure(halves.treatment)
    delta = None if one.value is None or two.value is None else two.value - one.value
    whole = PairedDelta(
        control=one.value,
        treatment=two.value,
        delta=delta,
        low=None,
        high=None,
        effect="unknown",
        samples_control=one.samples,
        samples_treatment=two.samples,
        note=_ONE_FIGURE,
    )
    return PairedRow(name=spec.name, title=spec.title, unit=spec.unit, better=spec.better, whole=whole)


def _sent(halves: Halves) -> list[str]:
    sent = {
        step for half in (halves.control, halves.treatment) for step in pc.unique(half.requests["step"]).to_pylist()
    }
    return [step for step in STEPS if step in sent and step != "settle"]


def _response(step: str) -> Callable[[Observations], Samples]:
    ends = "t_first_byte_s" if step in STREAMS else "t_end_s"
    return lambda seen: response_samples(in_window(seen.requests, step), 0.95, ends)


def _not_ok(step: str) -> Callable[[Observations], Samples]:
    return lambda seen: not_ok_samples(in_window(seen.requests, step))


def _attempts(step: str) -> Callable[[Observations], Samples]:
    return lambda seen: _attempts_of(in_window(seen.requests, step))


def _attempts_of(requests: pa.Table) -> Samples:
    first = (requests["attempt"].to_numpy() <= 1).astype(np.float64)
    intended_s = requests["t_intended_s"].to_numpy()
    return Samples(users_of(requests), intended_s, np.ones(len(first)), base=first)


def _tried_again(seen: Observations, step: str) -> bool:
    return bool(pc.any(pc.greater(in_window(seen.requests, step)["attempt"], 1)).as_py())
