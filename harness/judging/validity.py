"""Judges the load generator: VALID, DEGRADED or INVALID.

An overloaded generator measures itself instead of the platform.

Pure: the run document, the generator's own health table and the scenario's limits in, a `GeneratorResult` out. Beyond
the first figure of a limit the generator is DEGRADED, beyond the second INVALID; each reason is told in words.

Seconds that are missing from a worker's health samples count as time in which nothing was measured. When the table of
requests says how much a loop's lag added to each response time, the lag alone is no reason for doubt: then a figure is
in doubt only when the verdict would be different without the lag (`harness.judging.overstatement`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.amounts import amounts
from harness.judging.overstatement import Doubt
from harness.record.schema import SCRAPE_LATE, LoadSummary, WorkerSummary
from harness.record.standstills import ROW_S, STANDSTILL_MIN_S, Lateness, lateness
from harness.record.verdict import GeneratorResult, Overstatement, Skew, Validity
from harness.scenario import GeneratorLimits
from harness.sli.measured import percentile

_SUSTAINED_S: Final = 3
_RANK: Final = (Validity.VALID, Validity.DEGRADED, Validity.INVALID)


class Health(msgspec.Struct, frozen=True):
    """The health figures of the generator between T0 and the end of the run; null without rows.

    `loop_lag_ms_p99`: p99 over worker-seconds of each second's own p99. `cpu_percent_max`: the busiest worker's highest
    mean over three seconds, because one busy second at the release must not decide. `stall_s_max`: the longest time for
    which a worker's loop stood still. `missing_ratio`: the largest share of the run that is missing from one worker's
    health samples. `scrape_late_s_max`: how late the slowest round of the scraper was for reasons of its own.
    """

    loop_lag_ms_p99: float | None
    cpu_percent_max: float | None
    fds_ratio_max: float | None
    ports_ratio_max: float | None = None
    stall_s_max: float | None = None
    missing_ratio: float | None = None
    scrape_late_s_max: float | None = None


def health(
    generator: pa.Table, duration_s: float, workers: Sequence[WorkerSummary] = (), metrics: pa.Table | None = None
) -> Health:
    """Read the figures from the tables. The workers of one host take their ports from the same range."""
    t_s = generator["t_s"]
    rows = generator.filter(pc.and_(pc.greater_equal(t_s, 0.0), pc.less_equal(t_s, duration_s)))
    if rows.num_rows == 0:
        return Health(None, None, None)
    frame: pd.DataFrame = rows.sort_by("t_s").to_pandas()
    by_worker = frame.groupby("worker")["cpu_percent"]
    sustained = by_worker.rolling(min(_SUSTAINED_S, int(by_worker.size().min()))).mean()
    expected = {worker.worker for worker in workers}
    stalls_s = [_stalls_s(rows, duration_s) for rows in lateness(generator).values()]
    silent = expected - set(generator["worker"].to_pylist())
    stalls_s += [[duration_s]] * len(silent)
    return Health(
        loop_lag_ms_p99=percentile(frame["loop_lag_ms_p99"].to_numpy(), 0.99),
        cpu_percent_max=float(sustained.max()),
        fds_ratio_max=float((frame["fds"] / frame["fds_limit"].clip(lower=1)).max()),
        ports_ratio_max=_ports_ratio(frame, {worker.worker: worker.host for worker in workers}),
        stall_s_max=max((max(of_worker, default=0.0) for of_worker in stalls_s), default=None),
        missing_ratio=max((sum(of_worker) / duration_s for of_worker in stalls_s), default=None),
        scrape_late_s_max=None if metrics is None else _scrape_late_s(metrics, duration_s),
    )


def _stalls_s(rows: Sequence[Lateness], duration_s: float) -> list[float]:
    """How long the loop of one worker stood still, for each such time between T0 and the end of the run.

    The last row before the end may be a second old.
    """
    stalls = [min(row.late_s, row.t_s, duration_s - row.before_s) for row in rows]
    stalls.append(duration_s - rows[-1].t_s - ROW_S)
    return [stall_s for stall_s in stalls if stall_s >= STANDSTILL_MIN_S]


def _scrape_late_s(metrics: pa.Table, duration_s: float) -> float | None:
    """How late the scraper's worst round was; when the scraper ended early, how long before the end of the run."""
    rounds = metrics.filter(pc.equal(metrics["name"], SCRAPE_LATE))
    during = rounds.filter(pc.and_(pc.greater_equal(rounds["t_s"], 0.0), pc.less_equal(rounds["t_s"], duration_s)))
    if not during.num_rows:
        return None
    return float(max(pc.max(during["value"]).as_py(), duration_s - pc.max(rounds["t_s"]).as_py()))


def _ports_ratio(frame: pd.DataFrame, hosts: dict[int, str]) -> float | None:
    counted = frame.dropna(subset=["ports", "ports_limit"])
    if counted.empty:
        return None
    shares = counted["ports"] / counted["ports_limit"].clip(lower=1)
    return float(shares.groupby([counted["worker"].map(hosts).fillna(""), counted["t_s"] // 1]).sum().max())


def judge_generator(
    load: LoadSummary,
    measured: Health,
    limits: GeneratorLimits,
    overstated: Mapping[str, Overstatement] = MappingProxyType({}),
    doubts: Sequence[Doubt] = (),
) -> GeneratorResult:
    """Compare the figures with the limits. Without health figures the generator is INVALID, because it was not watched.

    `overstated`: the time that the generator added to response times, by step; `doubts`: the decisions that this puts
    in doubt.
    """
    checks = [_judge(*check) for check in _figures(load, measured, limits, lag_decides=not overstated)]
    checks += [(doubt.validity, doubt.reason) for doubt in doubts]
    checks += [(Validity.INVALID, f"worker {worker.worker} was lost") for worker in load.workers if worker.lost]
    if measured.loop_lag_ms_p99 is None:
        checks.append((Validity.INVALID, "its own health was not recorded"))
    return GeneratorResult(
        validity=max((validity for validity, _ in checks), key=_RANK.index, default=Validity.VALID),
        reasons=tuple(reason for validity, reason in checks if validity is not Validity.VALID),
        workers=len(load.workers),
        release_skew_ms=Skew(p50=load.skew_ms_p50, p99=load.skew_ms_p99, max=load.skew_ms_max, first=load.skew_ms_min),
        clock_uncertainty_ms=max((worker.clock_uncertainty_ms for worker in load.workers), default=0.0),
        loop_lag_ms_p99=measured.loop_lag_ms_p99,
        cpu_percent_max=measured.cpu_percent_max,
        samples_lost=load.requests_sent - load.samples_recorded,
        by_worker=load.workers,
        overstatement_ms=dict(overstated),
        stall_s_max=measured.stall_s_max,
    )


def _figures(
    load: LoadSummary, measured: Health, limits: GeneratorLimits, *, lag_decides: bool
) -> tuple[tuple[str, str, float | None, tuple[float, float]], ...]:
    """(what, unit, measured, limits) of all figures with limits.

    `lag_decides`: the time that lag added to response times was not measured, so the lag itself is compared with a
    limit.
    """
    lag_limits = limits.loop_lag_ms_p99 if lag_decides else (limits.loop_lag_ms_p99[1],) * 2
    unreleased = (load.users_asked - load.users_released) / load.users_asked if load.users_asked else None
    exhausted = load.exhausted / load.samples_recorded if load.samples_recorded else None
    uncertainty_ms = max((worker.clock_uncertainty_ms for worker in load.workers), default=None)
    lost = (load.requests_sent - load.samples_recorded) / load.requests_sent if load.requests_sent else None
    return (
        ("event-loop lag p99", "ms", measured.loop_lag_ms_p99, lag_limits),
        ("longest time in which a worker stood still", "s", measured.stall_s_max, limits.stall_s),
        ("share of the run in which a worker stood still", "ratio", measured.missing_ratio, limits.missing_ratio),
        ("lateness of the metrics scraper", "s", measured.scrape_late_s_max, limits.scrape_late_s),
        ("CPU over 3 s", "% of a core", measured.cpu_percent_max, limits.cpu_percent),
        ("release skew max", "ms", load.skew_ms_max, limits.release_skew_ms_max),
        ("share of users never released", "ratio", unreleased, limits.unreleased_ratio),
        ("share of samples lost", "ratio", lost, limits.lost_samples_ratio),
        ("share of samples without a port or file descriptor", "ratio", exhausted, limits.exhausted_ratio),
        ("clock uncertainty", "ms", uncertainty_ms, limits.clock_uncertainty_ms),
        ("share of file descriptors in use", "ratio", measured.fds_ratio_max, limits.fds_ratio),
        ("share of local ports in use", "ratio", measured.ports_ratio_max, limits.ports_ratio),
    )


def _judge(what: str, unit: str, value: float | None, limits: tuple[float, float]) -> tuple[Validity, str]:
    degraded, invalid = limits
    if value is None or value <= degraded:
        return Validity.VALID, ""
    validity, limit = (Validity.INVALID, invalid) if value > invalid else (Validity.DEGRADED, degraded)
    shown, above = amounts(unit, value, limit)
    return validity, f"{what} is {shown}, above {above}"
