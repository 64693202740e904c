"""What the swarm delivered, from what it was asked, what its workers said and what is in the record. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from harness.record.schema import CrashSummary, CutSummary, LoadSummary, WorkerSummary
from harness.scenario import Load
from harness.swarm.users.crashes import merged


class WorkerFacts(msgspec.Struct, kw_only=True):
    """All that the master knows of one worker."""

    number: int
    host: str
    armed: int = 0
    clock_offset_s: float = 0.0
    clock_uncertainty_s: float = 0.0
    requests_sent: int = 0
    samples_recorded: int = 0
    first_sends_s: tuple[float, ...] = ()
    followers: int = 0
    lost: bool = False
    exhausted: int = 0
    summed: int = 0
    crashes: tuple[CrashSummary, ...] = ()
    cut: tuple[CutSummary, ...] = ()


def worker_summary(facts: WorkerFacts) -> WorkerSummary:
    """One worker's line of the summary."""
    first, p50, p99, last = _skew_ms(facts.first_sends_s)
    return WorkerSummary(
        worker=facts.number,
        host=facts.host,
        armed=facts.armed,
        released=len(facts.first_sends_s) + facts.followers,
        skew_ms_min=first,
        skew_ms_p50=p50,
        skew_ms_p99=p99,
        skew_ms_max=last,
        clock_offset_ms=facts.clock_offset_s * 1000,
        clock_uncertainty_ms=facts.clock_uncertainty_s * 1000,
        requests_sent=facts.requests_sent,
        samples_recorded=facts.samples_recorded,
        lost=facts.lost,
    )


def load_summary(load: Load, workers: Sequence[WorkerFacts]) -> LoadSummary:
    """The whole swarm's delivery."""
    sends_s = [send_s for facts in workers for send_s in facts.first_sends_s]
    first, p50, p99, last = _skew_ms(sends_s)
    return LoadSummary(
        users_asked=load.users,
        users_armed=sum(facts.armed for facts in workers),
        users_released=len(sends_s) + sum(facts.followers for facts in workers),
        window_asked_s=load.release_window_s,
        window_delivered_s=max(sends_s) - min(sends_s) if sends_s else None,
        skew_ms_min=first,
        skew_ms_p50=p50,
        skew_ms_p99=p99,
        skew_ms_max=last,
        requests_sent=sum(facts.requests_sent for facts in workers),
        samples_recorded=sum(facts.samples_recorded for facts in workers),
        exhausted=sum(facts.exhausted for facts in workers),
        summed=sum(facts.summed for facts in workers),
        unfinished=sum(one.count for facts in workers for one in facts.cut),
        crashes=merged(facts.crashes for facts in workers),
        cut=_cut_of_all(workers),
        workers=tuple(worker_summary(facts) for facts in workers),
    )


def _cut_of_all(workers: Sequence[WorkerFacts]) -> tuple[CutSummary, ...]:
    """By kind and step, most first."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in (one for facts in workers for one in facts.cut):
        counts[one.kind, one.step] += one.count
    return tuple(CutSummary(kind, step, count) for (kind, step), count in counts.most_common())


def _skew_ms(sends_s: Sequence[float]) -> tuple[float | None, float | None, float | None, float | None]:
    """Earliest, p50, p99, latest, in ms after T0."""
    if not sends_s:
        return None, None, None, None
    skews_ms = np.array(sends_s) * 1000
    p50, p99 = np.percentile(skews_ms, [50, 99])
    return float(skews_ms.min()), float(p50), float(p99), float(skews_ms.max())
