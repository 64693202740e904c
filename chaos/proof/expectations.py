"""Judges the expectations of experiments after the run, from the record alone.

An expectation is met, missed, unknown or not exercised. Unknown: the record lacks what the judgement needs, such as a
metric that was never scraped or a fault that was never in force. Not exercised: the record is complete, but nothing in
the run tested the expectation. Neither counts as met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from chaos.proof import observations, verbs
from chaos.proof.observations import SIGNS, WHO, Observation, Window, of_feed, of_stream, unknown
from chaos.proof.runbook import runbook_result
from chaos.specification.expected import (
    CounterIncreases,
    Expectation,
    MetricReaches,
    NoGap,
    Reconnects,
    Recovers,
    RequestShare,
    ResponseTime,
    StreamEvents,
    VerbsAnswered,
    VerbsRecover,
)
from chaos.specification.experiment import Experiment
from harness.amounts import in_full
from harness.errors import InputError
from harness.record.feed_walk import COLUMNS, FeedWalk, walk
from harness.record.histogram import MIDDLE_S, are_summed
from harness.record.schema import FaultRun, FaultsDocument
from harness.record.verdict import ExpectationResult, FaultResult
from harness.sli.measured import BOT, rows_where
from harness.sli.recovery_gap import Wanted, recovery_gaps, wanted_steps


class RunEvidence(Protocol):
    """The parts of a record by which expectations are judged; `harness.record.reader.Record` has them."""

    @property
    def faults(self) -> FaultsDocument:
        """The faults of the run."""

    def table(self, name: str) -> pa.Table:
        """A table of the record; empty when it was not written."""

    def stream_rows(self, stream: str, columns: Sequence[str], *, encoded: bool = False) -> pa.Table:
        """These columns of the events on the streams of that name; `encoded`: texts may come dictionary-encoded."""


def judge(record: RunEvidence, feed: Callable[[], FeedWalk] | None = None) -> tuple[FaultResult, ...]:
    """Judge every experiment of the run with its expectations.

    `feed`: gives the seat feed as each follower heard it, where the caller has read it.
    """
    heard = feed or cache(
        lambda: walk(record.stream_rows("feed", COLUMNS, encoded=True), record.table("feed_stretches"))
    )
    steps = wanted_steps(record) if any(run.t_effective_s is not None for run in record.faults.faults) else {}
    return tuple(_judge_fault(run, record, heard, steps) for run in record.faults.faults)


def expected(expectation: Expectation) -> str:
    """An expectation in words."""
    match expectation:
        case MetricReaches():
            since = "the fault" if expectation.of == "effective" else "the heal"
            within = in_full(expectation.within_s, "s")
            goal = f"{SIGNS[expectation.compare]} {in_full(expectation.value)} within {within} of {since}"
            where = ", everywhere" if expectation.across == "all" else ""
            return f"{_metric(expectation.metric, expectation.labels)} {goal}{where}"
        case CounterIncreases():
            counter = _metric(expectation.metric, expectation.labels)
            return f"{counter} grows by at least {in_full(expectation.by_at_least)}"
        case ResponseTime():
            return f"p{expectation.quantile * 100:g} of {expectation.step} ≤ {in_full(expectation.at_most_ms, 'ms')}"
        case RequestShare():
            return f"{_share(expectation)} of {expectation.step} {_kinds(expectation)}"
        case StreamEvents():
            return f"at least {expectation.at_least:,} {expectation.event!r} on the {expectation.stream} stream"
        case Reconnects():
            share, within = in_full(expectation.share_at_least, "ratio"), in_full(expectation.within_s, "s")
            stream = "a" if expectation.stream == "any" else f"the {expectation.stream}"
            return f"{share} of those cut off {stream} stream are back within {within}"
        case NoGap():
            return "no gap in the feed's sequence numbers"
        case Recovers():
            return f"{expectation.step} {_as_before(expectation, 'ok')}"
        case VerbsRecover():
            return f"{', '.join(expectation.verbs)} {_as_before(expectation, 'answered')}"
        case VerbsAnswered():
            share, within = in_full(expectation.unanswered_at_most, "ratio"), in_full(expectation.within_s, "s")
            return f"at most {share} without a proper answer before every fault and from {within} after its heal"


def observe(expectation: Expectation, window: Window, record: RunEvidence, feed: Callable[[], FeedWalk]) -> Observation:
    """Observe in the record whether an expectation was met. Bots do not count: it is no failure to turn a bot away."""
    match expectation:
        case MetricReaches():
            return observations.metric_reaches(record.table("metrics"), expectation, window)
        case CounterIncreases():
            metrics = record.table("metrics")
            return _decided(
                record, lambda requests: observations.counter_increases(metrics, requests, expectation, window)
            )
        case ResponseTime():
            return _decided(record, lambda requests: observations.response_time(requests, expectation, window))
        case RequestShare():
            return _decided(record, lambda requests: observations.request_share(requests, expectation, window))
        case StreamEvents():
            events, stretches = _events_of_people(record, expectation.stream), record.table("feed_stretches")
            return observations.stream_events(events, feed, stretches, expectation, window)
        case Reconnects():
            streams = ("positions", "feed") if expectation.stream == "any" else (expectation.stream,)
            parts = [
                of_feed(feed()) if stream == "feed" else of_stream(_events_of_people(record, stream))
                for stream in streams
            ]
            return observations.reconnects(parts, expectation, window)
        case NoGap():
            return observations.no_gap(feed(), record.table("feed_stretches"), expectation, window)
        case Recovers():
            return _decided(record, lambda requests: observations.recovers(requests, expectation, window))
        case VerbsRecover():
            faults = record.faults.faults
            names = _of_locustfile(record)
            if not names:
                return verbs.recover(record.table("operations"), faults, expectation, window)
            wanted = replace(expectation, verbs=names)
            return _decided(record, lambda requests: verbs.recover(verbs.of_requests(requests), faults, wanted, window))
        case VerbsAnswered():
            faults = record.faults.faults
            names = _of_locustfile(record)
            if not names:
                return verbs.answered(record.table("operations"), faults, expectation)
            return _decided(
                record, lambda requests: verbs.answered(verbs.of_requests(requests), faults, expectation, names)
            )


def _of_locustfile(record: RunEvidence) -> tuple[str, ...]:
    """What the users of a locustfile tried, by the names of their requests; others have operations instead."""
    return tuple(sorted(pc.unique(verbs.of_requests(record.table("requests"))["function"]).to_pylist()))


def _decided(record: RunEvidence, check: Callable[[pa.Table], Observation]) -> Observation:
    """What the requests of people show.

    Those that are summed up were sent at some time of their second. Where it depends on whether that was its beginning,
    its middle or its end, the requests with rows decide, which are those of users whom the seed drew.
    """
    requests = _but_bots(record.table("requests"))
    summed = are_summed(requests)
    if not pc.any(summed).as_py():
        return check(requests)
    found, *others = (check(_moved(requests, summed, by_s)) for by_s in (0.0, -MIDDLE_S, MIDDLE_S))
    if all(one.status == found.status for one in others):
        return found
    exact = check(requests.filter(pc.invert(summed)))
    if exact.status in ("met", "missed"):
        return replace(exact, text=f"{exact.text} that are not summed up")
    return unknown(f"it depends on when in their second {pc.sum(summed).as_py():,} summed requests were sent")


def _moved(requests: pa.Table, which: pa.ChunkedArray, by_s: float) -> pa.Table:
    """The requests, with all times of some of them moved."""
    for name in ("t_intended_s", "t_start_s", "t_first_byte_s", "t_end_s"):
        moved = pc.if_else(which, pc.add(requests[name], by_s), requests[name])
        requests = requests.set_column(requests.schema.get_field_index(name), requests.field(name), moved)
    return requests


def _events_of_people(record: RunEvidence, stream: str) -> pa.Table:
    return _but_bots(record.stream_rows(stream, (*WHO, "event", "t_s", "key"), encoded=True))


def _but_bots(rows: pa.Table) -> pa.Table:
    return rows_where(rows, pc.not_equal(rows["kind"], BOT))


def _judge_fault(
    run: FaultRun, record: RunEvidence, feed: Callable[[], FeedWalk], steps: Mapping[str, Wanted]
) -> FaultResult:
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
        expectations=tuple(
            _judge_expectation(expectation, run, record, feed) for expectation in experiment.expectations
        ),
        t_start_s=run.t_requested_s,
        t_end_s=run.t_heal_requested_s if run.t_healed_s is None else run.t_healed_s,
        hypothesis=run.hypothesis,
        runbook=run.runbook,
        error=run.error,
        gaps=recovery_gaps(record, run, steps),
        makes_undecidable=experiment.makes_undecidable,
        tolerance_s=run.tolerance_s,
        runbook_times=runbook_result(run, record.table("operations")),
    )


def _judge_expectation(
    expectation: Expectation, run: FaultRun, record: RunEvidence, feed: Callable[[], FeedWalk]
) -> ExpectationResult:
    if run.t_requested_s is None or run.t_effective_s is None or run.t_heal_requested_s is None:
        seen = unknown("the fault was never seen in force")
    else:
        seen = observe(expectation, Window(run.t_requested_s, run.t_effective_s, run.t_heal_requested_s), record, feed)
    return ExpectationResult(
        name=expectation.name,
        status=seen.status,
        observed=seen.text,
        expected=expected(expectation),
        chances=seen.chances,
    )


def _as_before(expectation: Recovers | VerbsRecover, good: str) -> str:
    less, within = in_full(expectation.share_drop_at_most, "ratio"), in_full(expectation.within_s, "s")
    told = f"as before from {within} after the heal: {good} at most {less} less often"
    slower = expectation.slower_at_most
    return told if slower is None else f"{told}, at most {in_full(slower)} times as slow"


def _metric(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def _share(expectation: RequestShare) -> str:
    least, most = in_full(expectation.at_least, "ratio"), in_full(expectation.at_most, "ratio")
    if expectation.at_least == 0:
        return f"at most {most}"
    if expectation.at_most == 1:
        return f"at least {least}"
    return f"{least} to {most}"


def _kinds(expectation: RequestShare) -> str:
    kinds = [*map(str, expectation.status), *map(str, expectation.outcome), *expectation.error]
    return f"end {' or '.join(kinds)}" if kinds else "are sent"


def _from_to(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s
