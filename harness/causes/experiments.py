"""What happened around missed expectations and around steps that stood still: requests, errors, metrics, breakers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow.compute as pc

from harness.amounts import amount, number
from harness.causes.waits import tally
from harness.judging.findings import expectation_id, gap_id, invariant_id, numbered
from harness.record.schema import FaultRun, Outcome
from harness.record.verdict import Cause, CausePart, FaultResult, InvariantResult, RecoveryGap
from harness.sli import scraped
from harness.sli.measured import Observations, percentile
from harness.sli.recovery_gap import ADMISSION

_MOST: Final = 3
_BREAKER: Final = "target_breaker_state"
_AFTER_S: Final = 5.0


class _Planned(msgspec.Struct, frozen=True):
    """The fields of an expectation's definition by which the record is asked what happened."""

    name: str
    step: str = ""
    needs_step: str = ""
    metric: str = ""
    stream: str = ""
    within_s: float = _AFTER_S


class _Experiment(msgspec.Struct, frozen=True):
    expectations: tuple[_Planned, ...] = ()


def expectation_causes(seen: Observations, results: Iterable[FaultResult]) -> Iterator[Cause]:
    """What the record shows around each expectation that was not met."""
    runs = list(seen.record.faults.faults)
    for name, result in numbered(results):
        run = next((one for one in runs if one.experiment == result.experiment), None)
        if run is None or run.t_effective_s is None:
            continue
        runs.remove(run)
        planned = {one.name: one for one in msgspec.convert(run.definition, _Experiment).expectations}
        for expectation in result.expectations:
            if expectation.status != "met" and expectation.name in planned:
                one = expectation_id(name, expectation.name)
                yield _expectation(seen, run, one, planned[expectation.name])


def _expectation(seen: Observations, run: FaultRun, finding: str, planned: _Planned) -> Cause:
    from_s, to_s = _window(run, planned)
    said = [f"in force from T+{from_s:.1f} s, looked at until T+{to_s:.1f} s"]
    parts: tuple[CausePart, ...] = ()
    step = planned.step or planned.needs_step
    if step:
        sent = _sent(seen, step)
        within = sent[sent["t_start_s"].between(from_s, to_s)]
        said.append(_requests(sent, within, step, from_s, to_s))
        parts = _parts(within)
    if planned.metric:
        said.append(_course(seen, planned.metric, from_s, to_s))
    return Cause(
        of=finding,
        sentence="; ".join(said) + ".",
        phase=run.experiment,
        t_from_s=from_s,
        t_to_s=to_s,
        parts=parts,
    )


def gap_causes(seen: Observations, results: Iterable[FaultResult]) -> Iterator[Cause]:
    """What the record shows in each stretch after a heal in which nobody got a step."""
    for name, result in numbered(results):
        for gap in result.gaps:
            if gap.length_s > gap.bound_s:
                yield _gap(seen, result, gap, gap_id(name, gap.step))


def _gap(seen: Observations, result: FaultResult, gap: RecoveryGap, finding: str) -> Cause:
    healed_s = gap.t_from_s if result.t_end_s is None else result.t_end_s
    said = [f"it began {amount(max(0.0, gap.t_from_s - healed_s), 's')} after the heal at T+{healed_s:.1f} s"]
    parts: tuple[CausePart, ...] = ()
    if gap.step == ADMISSION:
        said += _in_line(seen, gap)
    else:
        sent = _sent(seen, gap.step)
        within = sent[sent["t_start_s"].between(gap.t_from_s, gap.t_to_s, inclusive="left")]
        said.append(_requests(sent, within, gap.step, gap.t_from_s, gap.t_to_s))
        parts = _parts(within)
    said += _breakers(seen, gap.t_from_s, gap.t_to_s)
    return Cause(
        of=finding,
        sentence="; ".join(said) + ".",
        phase=f"after {result.experiment}",
        t_from_s=gap.t_from_s,
        t_to_s=gap.t_to_s,
        parts=parts,
    )


def _in_line(seen: Observations, gap: RecoveryGap) -> Iterator[str]:
    """What those in line were told while nobody was admitted."""
    at_s = seen.positions["t_s"]
    meanwhile = pc.and_(pc.greater_equal(at_s, gap.t_from_s), pc.less(at_s, gap.t_to_s))
    told = seen.positions.filter(meanwhile)
    paused = told.filter(pc.equal(told["event"], "paused"))
    if paused.num_rows:
        last_s = pc.max(paused["t_s"]).as_py()
        yield f"the line was told {paused.num_rows:,} times that it is paused, last at T+{last_s:.1f} s"
    positions = pc.sum(pc.equal(told["event"], "position")).as_py() or 0
    yield f"fans were told their positions {positions:,} times meanwhile, and nobody was called"


def violation_causes(invariants: Iterable[InvariantResult]) -> Iterator[Cause]:
    """When the first violations happened, and which fault was in force then."""
    for result in invariants:
        shown = result.violations
        if not shown:
            continue
        times_s = [step.t_s for violation in shown for step in violation.history if step.t_s is not None]
        under = [violation for violation in shown if violation.faults]
        names = sorted({name for violation in under for name in violation.faults})
        first = f"the first known step is at T+{min(times_s):.3f} s" if times_s else "all of it shows only at rest"
        what = f"{len(under):,} of the {len(shown):,} shown touch"
        blame = f"{what} a time when {', '.join(names)} was in force" if under else "no fault was in force at any"
        yield Cause(
            of=invariant_id(result.name),
            sentence=f"{first}; {blame}.",
            phase=names[0] if len(names) == 1 and len(under) == len(shown) else "",
            explained=len(under) / len(shown) if under else None,
            t_from_s=min(times_s, default=None),
            t_to_s=max(times_s, default=None),
        )


def _window(run: FaultRun, planned: _Planned) -> tuple[float, float]:
    from_s = run.t_effective_s or 0.0
    end_s = run.t_heal_requested_s if run.t_healed_s is None else run.t_healed_s
    return from_s, max(from_s, end_s or from_s) + (planned.within_s if not planned.step else 0.0)


def _sent(seen: Observations, step: str) -> pd.DataFrame:
    """The people's requests of a step that the end of the run did not cut."""
    own = pc.and_(pc.equal(seen.requests["step"], step), pc.not_equal(seen.requests["error"], "stopped"))
    columns = ["t_intended_s", "t_start_s", "t_end_s", "status", "outcome", "error"]
    frame: pd.DataFrame = seen.requests.filter(own).select(columns).to_pandas()
    return frame


def _requests(sent: pd.DataFrame, within: pd.DataFrame, step: str, from_s: float, to_s: float) -> str:
    """The requests of a step in a window: how many, how they ended, how long; the nearest where there was none."""
    name = step.replace("_", " ")
    if within.empty:
        before = sent.loc[sent["t_start_s"] < from_s, "t_start_s"].max()
        after = sent.loc[sent["t_start_s"] > to_s, "t_start_s"].min()
        near = [f"the last before at T+{before:.1f} s"] if np.isfinite(before) else []
        near += [f"the next at T+{after:.1f} s"] if np.isfinite(after) else []
        return f"no {name} was sent meanwhile" + (f": {', '.join(near)}" if near else ", nor at any other time")
    ended = tally(within)
    bad = int((within["outcome"] != Outcome.OK.value).sum())
    how = ", ".join(f"{count:,} × {error}" for error, count in list(ended.items())[:_MOST])
    slow_ms = percentile(1000 * (within["t_end_s"] - within["t_intended_s"]).to_numpy(), 0.99)
    told = f"{len(within):,} {name} meanwhile, {bad:,} not ok" + (f" ({how})" if how else "")
    return f"{told}, p99 {amount(slow_ms or 0.0, 'ms')}"


def _parts(within: pd.DataFrame) -> tuple[CausePart, ...]:
    ended = tally(within)
    whole = sum(ended.values())
    return tuple(
        CausePart(by="error", name=name, count=count, share=count / whole)
        for name, count in list(ended.items())[:_MOST]
    )


def _course(seen: Observations, metric: str, from_s: float, to_s: float) -> str:
    values = scraped.samples(seen.metrics, metric)
    within = values[values["t_s"].between(from_s, to_s)]["value"]
    if within.empty:
        return f"{metric} was not scraped meanwhile"
    return f"{metric} was {number(within.min())} to {number(within.max())} in {len(within):,} scrapes"


def _breakers(seen: Observations, from_s: float, to_s: float) -> Iterator[str]:
    """Until when each breaker that was open in the window was not closed."""
    states = scraped.samples(seen.metrics, _BREAKER)
    near = states[states["t_s"].between(from_s - 1.0, to_s) & (states["value"] > 0)]
    for labels, own in near.groupby("labels"):
        of = scraped.labels(str(labels)).get("dependency", str(labels))
        yield f"the breaker of {of} was last seen open at T+{own['t_s'].max():.1f} s"
