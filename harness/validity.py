"""Whether the load generator itself was sound: an instrument that was overloaded has measured itself.

Pure: the run document, the generator's own health table and the scenario's limits in, a `GeneratorResult` out. Beyond
the first figure of a limit it is DEGRADED, beyond the second INVALID; every reason is said in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.amounts import amounts
from harness.record.schema import LoadSummary, WorkerSummary
from harness.record.verdict import GeneratorResult, Skew, Validity
from harness.scenario import GeneratorLimits
from harness.sli.measured import percentile

_SUSTAINED_S: Final = 3
_RANK: Final = (Validity.VALID, Validity.DEGRADED, Validity.INVALID)


class Health(msgspec.Struct, frozen=True):
    """The generator's own figures between T0 and the end of the run; null without rows.

    `loop_lag_ms_p99`: p99 over worker-seconds of each second's own p99. `cpu_percent_max`: the busiest worker's highest
    mean over three seconds, so that one busy second at the release does not decide.
    """

    loop_lag_ms_p99: float | None
    cpu_percent_max: float | None
    fds_ratio_max: float | None
    ports_ratio_max: float | None = None


def health(generator: pa.Table, duration_s: float, workers: Sequence[WorkerSummary] = ()) -> Health:
    """Read the figures from the table. The workers of one host take their ports from the same range."""
    t_s = generator["t_s"]
    rows = generator.filter(pc.and_(pc.greater_equal(t_s, 0.0), pc.less_equal(t_s, duration_s)))
    if rows.num_rows == 0:
        return Health(None, None, None)
    frame: pd.DataFrame = rows.sort_by("t_s").to_pandas()
    by_worker = frame.groupby("worker")["cpu_percent"]
    sustained = by_worker.rolling(min(_SUSTAINED_S, int(by_worker.size().min()))).mean()
    return Health(
        loop_lag_ms_p99=percentile(frame["loop_lag_ms_p99"].to_numpy(), 0.99),
        cpu_percent_max=float(sustained.max()),
        fds_ratio_max=float((frame["fds"] / frame["fds_limit"].clip(lower=1)).max()),
        ports_ratio_max=_ports_ratio(frame, {worker.worker: worker.host for worker in workers}),
    )


def _ports_ratio(frame: pd.DataFrame, hosts: dict[int, str]) -> float | None:
    counted = frame.dropna(subset=["ports", "ports_limit"])
    if counted.empty:
        return None
    shares = counted["ports"] / counted["ports_limit"].clip(lower=1)
    return float(shares.groupby([counted["worker"].map(hosts).fillna(""), counted["t_s"] // 1]).sum().max())


def judge_generator(load: LoadSummary, measured: Health, limits: GeneratorLimits) -> GeneratorResult:
    """Hold the figures against the limits. Without health figures the generator is INVALID: nobody watched it."""
    checks = [_judge(*check) for check in _figures(load, measured, limits)]
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
    )


def _figures(
    load: LoadSummary, measured: Health, limits: GeneratorLimits
) -> tuple[tuple[str, str, float | None, tuple[float, float]], ...]:
    """(what, unit, measured, limits) of everything that has limits."""
    unreleased = (load.users_asked - load.users_released) / load.users_asked if load.users_asked else None
    exhausted = load.exhausted / load.samples_recorded if load.samples_recorded else None
    uncertainty_ms = max((worker.clock_uncertainty_ms for worker in load.workers), default=None)
    lost = (load.requests_sent - load.samples_recorded) / load.requests_sent if load.requests_sent else None
    return (
        ("event-loop lag p99", "ms", measured.loop_lag_ms_p99, limits.loop_lag_ms_p99),
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
