"""Whether a platform behaved as its experiments expected: judged after the run, from the record alone.

An expectation is met, missed or unknown. Where the record has no sample there is nothing to judge: unknown, never met.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
import pyarrow as pa

from chaos import observations
from chaos.expected import (
    CounterIncreases,
    Expectation,
    MetricReaches,
    NoGap,
    Reconnects,
    Recovers,
    RequestShare,
    ResponseTime,
    StreamEvents,
)
from chaos.experiment import Experiment
from chaos.observations import Observation, Window
from harness.errors import InputError
from harness.record.schema import FaultRun, FaultsDocument
from harness.record.verdict import ExpectationResult, FaultResult

_SIGNS: Final = {"equals": "=", "at_least": "≥", "at_most": "≤"}


class Evidence(Protocol):
    """The parts of a record that expectations are judged by; `harness.record.reader.Record` has them."""

    @property
    def faults(self) -> FaultsDocument:
        """What was broken."""

    def table(self, name: str) -> pa.Table:
        """A table of the record; empty when it was not written."""


def judge(record: Evidence) -> tuple[FaultResult, ...]:
    """Every experiment of the run, with each of its expectations."""
    return tuple(_judge_fault(run, record) for run in record.faults.faults)


def expected(expectation: Expectation) -> str:
    """An expectation as people read it."""
    match expectation:
        case MetricReaches():
            since = "the fault" if expectation.of == "effective" else "the heal"
            goal = f"{_SIGNS[expectation.compare]} {expectation.value:g} within {expectation.within_s:g} s of {since}"
            where = ", everywhere" if expectation.across == "all" else ""
            return f"{_metric(expectation.metric, expectation.labels)} {goal}{where}"
        case CounterIncreases():
            return f"{_metric(expectation.metric, expectation.labels)} grows by at least {expectation.by_at_least:g}"
        case ResponseTime():
            return f"p{expectation.quantile * 100:g} of {expectation.step} ≤ {expectation.at_most_ms:,.0f} ms"
        case RequestShare():
            return f"{_share(expectation)} of {expectation.step} {_kinds(expectation)}"
        case StreamEvents():
            return f"at least {expectation.at_least:,} {expectation.event!r} on the {expectation.stream} stream"
        case Reconnects():
            share, within_s = expectation.share_at_least, expectation.within_s
            return f"{share:.0%} of those cut off the {expectation.stream} stream are back within {within_s:g} s"
        case NoGap():
            return "no gap in the feed's sequence numbers"
        case Recovers():
            less, slower = expectation.share_drop_at_most, expectation.slower_at_most
            as_before = f"ok at most {less:.0%} less often, at most {slower:g} times as slow"
            return f"{expectation.step} as before from {expectation.within_s:g} s after the heal: {as_before}"


def observe(expectation: Expectation, window: Window, record: Evidence) -> Observation:
    """What the record says about an expectation."""
    match expectation:
        case MetricReaches():
            return observations.metric_reaches(record.table("metrics"), expectation, window)
        case CounterIncreases():
            return observations.counter_increases(
                record.table("metrics"), record.table("requests"), expectation, window
            )
        case ResponseTime():
            return observations.response_time(record.table("requests"), expectation, window)
        case RequestShare():
            return observations.request_share(record.table("requests"), expectation, window)
        case StreamEvents():
            return observations.stream_events(record.table("events"), expectation, window)
        case Reconnects():
            return observations.reconnects(record.table("events"), expectation, window)
        case NoGap():
            return observations.no_gap(record.table("events"), expectation, window)
        case Recovers():
            return observations.recovers(record.table("requests"), expectation, window)


def _judge_fault(run: FaultRun, record: Evidence) -> FaultResult:
    try:
        experiment = msgspec.convert(run.definition, Experiment)
    except msgspec.ValidationError as error:
        message = f"the definition of {run.experiment} is no experiment: {error}"
        raise InputError(message, file="faults.json", hint="restore the file, or rehearse again") from error
    return FaultResult(
        experiment=run.experiment,
        component=run.component,
        kind=run.kind,
        requested_s=_from_to(run.t_requested_s, run.t_heal_requested_s) if run.asked_s is None else run.asked_s,
        effective_s=_from_to(run.t_effective_s, run.t_healed_s),
        healed_s=_from_to(run.t_heal_requested_s, run.t_healed_s),
        proven=run.proven,
        canary={"injector": run.injector, **run.measured},
        expectations=tuple(_judge_expectation(expectation, run, record) for expectation in experiment.expectations),
        t_start_s=run.t_requested_s,
        t_end_s=run.t_heal_requested_s if run.t_healed_s is None else run.t_healed_s,
        hypothesis=run.hypothesis,
        runbook=run.runbook,
        error=run.error,
        tolerance_s=run.tolerance_s,
    )


def _judge_expectation(expectation: Expectation, run: FaultRun, record: Evidence) -> ExpectationResult:
    if run.t_requested_s is None or run.t_effective_s is None or run.t_heal_requested_s is None:
        seen = Observation(None, "the fault was never seen in force")
    else:
        seen = observe(expectation, Window(run.t_requested_s, run.t_effective_s, run.t_heal_requested_s), record)
    status = "unknown" if seen.met is None else "met" if seen.met else "missed"
    return ExpectationResult(name=expectation.name, status=status, observed=seen.text, expected=expected(expectation))


def _metric(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def _share(expectation: RequestShare) -> str:
    if expectation.at_least == 0:
        return f"at most {expectation.at_most:.0%}"
    if expectation.at_most == 1:
        return f"at least {expectation.at_least:.0%}"
    return f"{expectation.at_least:.0%} to {expectation.at_most:.0%}"


def _kinds(expectation: RequestShare) -> str:
    kinds = [*map(str, expectation.status), *map(str, expectation.outcome), *expectation.error]
    return f"end {' or '.join(kinds)}" if kinds else "are sent"


def _from_to(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s
