"""verdict.json: the public answer of a rehearsal, as frozen types. Its fields are the contract; they may only grow."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from harness.record.schema import Struct, WorkerSummary

VERDICT_SCHEMA: Final = "gatecrash.verdict/1"


class Decision(StrEnum):
    """The one word that people wait for."""

    READY = "READY"
    NOT_READY = "NOT READY"
    NO_VERDICT = "NO VERDICT"


class Status(StrEnum):
    """What a checker found. Only `held` counts as passing."""

    HELD = "held"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    NOT_OBSERVABLE = "not_observable"


class Validity(StrEnum):
    """Whether the load generator itself was sound."""

    VALID = "VALID"
    DEGRADED = "DEGRADED"
    INVALID = "INVALID"


class LoadResult(Struct, frozen=True):
    """Asked of the platform, and delivered."""

    users_asked: int
    users_armed: int
    users_released: int
    window_asked_s: float
    window_delivered_s: float | None
    requests_sent: int
    samples_recorded: int


class Skew(Struct, frozen=True):
    """Release skew in ms: actual first send − T0. `first`: the earliest of all."""

    p50: float | None
    p99: float | None
    max: float | None
    first: float | None = None


class GeneratorResult(Struct, frozen=True):
    """Whether the instrument was sound, and why not."""

    validity: Validity
    reasons: tuple[str, ...]
    workers: int
    release_skew_ms: Skew
    clock_uncertainty_ms: float
    loop_lag_ms_p99: float | None
    cpu_percent_max: float | None
    samples_lost: int
    by_worker: tuple[WorkerSummary, ...] = ()


class SliResult(Struct, frozen=True):
    """One indicator against its objective. `met` and `score` are null when there is no objective or no sample."""

    name: str
    value: float | None
    unit: str
    objective: float | None
    met: bool | None
    score: float | None
    samples: int
    worst: float | None = None
    better: str = "lower"  # lower | higher
    title: str = ""


class HistoryStep(Struct, frozen=True):
    """One line of a violation's smallest history, in a form that a person can follow."""

    t_s: float | None
    actor: str
    text: str


class Violation(Struct, frozen=True):
    """The smallest history that shows an invariant broken, and the faults that were in force."""

    summary: str
    history: tuple[HistoryStep, ...]
    faults: tuple[str, ...] = ()


class InvariantResult(Struct, frozen=True):
    """What one checker found. `violations` holds the first few; `violations_total` counts all."""

    name: str
    status: Status
    operations_checked: int
    unknowns: int
    violations: tuple[Violation, ...] = ()
    violations_total: int = 0
    note: str = ""  # why unknown or not observable; what was checked


class Figure(Struct, frozen=True):
    """One measured figure without an objective. `low` and `high`: its 95 % interval, where it is an estimate.

    `detectable`: the smallest true effect that so many samples would show four times in five. `value` null: not told.
    """

    name: str
    title: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    detectable: float | None = None
    samples: int = 0
    note: str = ""


class Examination(Struct, frozen=True):
    """A table of figures that answers one question."""

    name: str
    title: str
    question: str
    figures: tuple[Figure, ...]
    note: str = ""


class ExpectationResult(Struct, frozen=True):
    """What an experiment expected of the platform, and what was observed. status: met | missed | unknown."""

    name: str
    status: str
    observed: str
    expected: str


class FaultResult(Struct, frozen=True):
    """One experiment, judged. Durations in s: asked, effective by the canary, and from the heal command to healed."""

    experiment: str
    component: str
    kind: str
    requested_s: float | None
    effective_s: float | None
    healed_s: float | None
    proven: bool
    canary: dict[str, float | str]
    expectations: tuple[ExpectationResult, ...]
    t_start_s: float | None = None
    t_end_s: float | None = None
    hypothesis: str = ""
    runbook: str = ""
    error: str = ""


class Finding(Struct, frozen=True):
    """Something a person should act on. severity: critical | major | minor | info."""

    severity: str
    title: str
    evidence: str
    runbook: str


class Verdict(Struct, frozen=True):
    """verdict.json, whole."""

    schema: str
    run_id: str
    scenario: str
    seed: int
    t0: str | None
    verdict: Decision
    grade: str | None
    score: float | None
    reason: str
    load: LoadResult | None
    generator: GeneratorResult | None
    slis: tuple[SliResult, ...]
    invariants: tuple[InvariantResult, ...]
    faults: tuple[FaultResult, ...]
    findings: tuple[Finding, ...]
    versions: dict[str, str]
    command: tuple[str, ...]
    record: dict[str, str]
    examinations: tuple[Examination, ...] = ()
