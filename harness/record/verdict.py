"""verdict.json: the public answer of a rehearsal, as frozen types. Its fields are the contract; they may only grow."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from harness.amounts import amount
from harness.record.schema import PluginVersion, Struct, WorkerSummary

VERDICT_SCHEMA: Final = "gatecrash.verdict/1"
UNAUDITED: Final = (
    "Nothing was audited: the users of a locustfile use no adapter, so nobody knows what they held, bought or paid."
)


class Decision(StrEnum):
    """The decision of a rehearsal."""

    READY = "READY"
    NOT_READY = "NOT READY"
    NO_VERDICT = "NO VERDICT"


class Status(StrEnum):
    """What a checker found. Only `held` counts as passing. `unknown`: the record does not decide it.

    `not_observable`: the platform does not show it. `not_exercised`: nothing in the run tested it.
    """

    HELD = "held"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    NOT_OBSERVABLE = "not_observable"
    NOT_EXERCISED = "not_exercised"


class Validity(StrEnum):
    """Whether the load generator itself was sound."""

    VALID = "VALID"
    DEGRADED = "DEGRADED"
    INVALID = "INVALID"


class LoadResult(Struct, frozen=True):
    """The load that was asked for, and the load that was delivered. `samples_summed`: of the samples, those that are
    summed up by the second.
    """

    users_asked: int
    users_armed: int
    users_released: int
    window_asked_s: float
    window_delivered_s: float | None
    requests_sent: int
    samples_recorded: int
    samples_summed: int = 0


class Skew(Struct, frozen=True):
    """Release skew in ms: actual first send − T0. `first`: the earliest of all."""

    p50: float | None
    p99: float | None
    max: float | None
    first: float | None = None


class Overstatement(Struct, frozen=True):
    """The time in ms that the generator itself added to response times, over the responses where it was measured."""

    p50: float
    p99: float
    samples: int


class GeneratorResult(Struct, frozen=True):
    """Whether the load generator was sound, and why not.

    `overstatement_ms`: by step; a step without a measured answer is left out. `stall_s_max`: the longest time for which
    a worker stood still.
    """

    validity: Validity
    reasons: tuple[str, ...]
    workers: int
    release_skew_ms: Skew
    clock_uncertainty_ms: float
    loop_lag_ms_p99: float | None
    cpu_percent_max: float | None
    samples_lost: int
    by_worker: tuple[WorkerSummary, ...] = ()
    overstatement_ms: dict[str, Overstatement] = msgspec.field(default_factory=dict)
    stall_s_max: float | None = None


class SliResult(Struct, frozen=True):
    """One indicator with its objective. `met` and `score` are null when there is no objective or no sample."""

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
    note: str = ""  # why it could not be measured, or how it was
    required: bool = False  # whether reaching its worst means NOT READY, and having no samples NO VERDICT


class HistoryStep(Struct, frozen=True):
    """One step of a violation's smallest history, in words."""

    t_s: float | None
    actor: str
    text: str


class Violation(Struct, frozen=True):
    """The smallest history that shows a broken invariant, and the faults that were in force."""

    summary: str
    history: tuple[HistoryStep, ...]
    faults: tuple[str, ...] = ()


class InvariantResult(Struct, frozen=True):
    """What one checker found. `violations` holds the first few; `violations_total` counts all.

    `chances`: how often the run put the invariant to the test; `chance`: what one chance is, in words.
    """

    name: str
    status: Status
    operations_checked: int
    unknowns: int
    violations: tuple[Violation, ...] = ()
    violations_total: int = 0
    note: str = ""  # why unknown or not observable; what was checked
    chances: int = 0
    chance: str = ""


class Figure(Struct, frozen=True):
    """A measured figure without an objective. `low` and `high`: its 95 % interval, where it is an estimate.

    `detectable`: the smallest true effect that so many samples would show four times in five. `value` is null when it
    is not known. `whole`: how much there is of what a share is of, as connections or cores; null for other figures.
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
    whole: float | None = None


class Examination(Struct, frozen=True):
    """A table of figures that answers one question."""

    name: str
    title: str
    question: str
    figures: tuple[Figure, ...]
    note: str = ""


class ExpectationResult(Struct, frozen=True):
    """An expectation of an experiment, and what was observed.

    status: met | missed | unknown | not_exercised. `chances`: how many observations could have shown it missed.
    """

    name: str
    status: str
    observed: str
    expected: str
    chances: int = 0


class RecoveryGap(Struct, frozen=True):
    """The longest stretch after a heal in which users always wanted a step and no user got it.

    `waiting`: how many users wanted it. `bound_s`: a longer stretch is a finding.
    """

    step: str
    title: str
    t_from_s: float
    t_to_s: float
    waiting: int
    bound_s: float

    @property
    def length_s(self) -> float:
        """The length of the stretch."""
        return self.t_to_s - self.t_from_s


class RunbookResult(Struct, frozen=True):
    """How long a person took to follow the runbook. Times in s after T0; null: it did not happen.

    `alert_s`: the fault was seen in force, and the person was told. `recovered_s`: from then on fans' operations ended
    well as often as before the fault. `said`: what the person did. `within_s`: how long the drill waited.
    """

    alert_s: float | None
    acknowledged_s: float | None
    mitigated_s: float | None
    recovered_s: float | None
    said: str
    within_s: float

    @property
    def sentence(self) -> str:
        """The times after the alert."""
        if self.alert_s is None:
            return "the fault was never seen in force, so nobody was alerted"
        steps = (
            ("acknowledged", self.acknowledged_s),
            ("mitigated", self.mitigated_s),
            ("recovered", self.recovered_s),
        )
        told = [
            f"never {name}" if t_s is None else f"{name} after {amount(t_s - self.alert_s, 's')}" for name, t_s in steps
        ]
        waited = f" (the drill waited for {self.within_s:g} s)" if self.mitigated_s is None else ""
        return f"alert at T+{self.alert_s:.1f} s, {', '.join(told)}{waited}"


class FaultResult(Struct, frozen=True):
    """One experiment, judged. Durations in s: asked, effective by the canary, and from the heal command to healed.

    `makes_undecidable`: invariants that this fault keeps from being decided → why, as its experiment file says.
    `tolerance_s`: by how much the effective time of a proven fault may differ from the time asked.
    `runbook_times`: of a drill in which a person followed the runbook.
    """

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
    makes_undecidable: dict[str, str] = msgspec.field(default_factory=dict)
    gaps: tuple[RecoveryGap, ...] = ()
    tolerance_s: float | None = None
    runbook_times: RunbookResult | None = None


class Finding(Struct, frozen=True):
    """A problem that a person should act on. severity: critical | major | minor | info.

    `id`: the same in every run of the same scenario, whatever the figures are.
    """

    severity: str
    title: str
    evidence: str
    runbook: str
    id: str = ""


class CausePart(Struct, frozen=True):
    """One group of what missed. by: phase | error | step (counts), time_ms.

    `share`: of what missed. `of_all`: the share of all samples that lay in this group; null where it has no meaning.
    """

    by: str
    name: str
    count: int
    share: float
    of_all: float | None = None


class Cause(Struct, frozen=True):
    """What the record says about why something missed. `of`: the id of the finding.

    `explained`: the share of what missed that lay in `phase`; null when no phase stands out. `within`, `outside`: the
    indicator over the samples that met a fault or the seconds after its heal, and over all others. `t_from_s`,
    `t_to_s`: when what missed began.
    """

    of: str
    sentence: str
    phase: str = ""
    explained: float | None = None
    t_from_s: float | None = None
    t_to_s: float | None = None
    within: float | None = None
    outside: float | None = None
    parts: tuple[CausePart, ...] = ()


class Hop(Struct, frozen=True):
    """The time that one part spent itself, on average over the traced requests of a step."""

    name: str
    mean_ms: float
    share: float


class StepHops(Struct, frozen=True):
    """Where the time of one step went, over its traced requests."""

    step: str
    traces: int
    p50_ms: float
    max_ms: float
    hops: tuple[Hop, ...]


class WaterfallBar(Struct, frozen=True):
    """One span of a request, within it. `from_ms`: after the request was sent. `depth`: 0 is the request itself."""

    hop: str
    name: str
    depth: int
    from_ms: float
    took_ms: float
    failed: bool = False


class Waterfall(Struct, frozen=True):
    """One request span by span. why: slowest (of its step) | failed | fault | journey. `of`: the error, or the fault.

    `ended`: ok, a status, or an error. `left_out`: spans that are not shown, the shortest. `hops`: where its time went.
    """

    trace_id: str
    actor: str
    step: str
    why: str
    of: str
    t_s: float
    took_ms: float
    ended: str
    bars: tuple[WaterfallBar, ...]
    left_out: int = 0
    hops: tuple[Hop, ...] = ()


class Coverage(Struct, frozen=True):
    """One experiment that this platform could be put to. status: proven | not_proven | not_planned."""

    experiment: str
    component: str
    kind: str
    status: str = "not_planned"
    note: str = ""


class StoryLine(Struct, frozen=True):
    """One step of a fan. `took_s`: from when the fan meant it to its end; null while nobody knows.

    `faults`: in force meanwhile.
    """

    t_s: float
    took_s: float | None
    what: str
    ended: str
    faults: tuple[str, ...] = ()


class Story(Struct, frozen=True):
    """All steps of one fan. `sum_up`: how it ended. `why`: why this fan's story is told; "" when it was asked for."""

    actor: str
    sum_up: str
    lines: tuple[StoryLine, ...]
    why: str = ""


class Reason(Struct, frozen=True):
    """One reason for NO VERDICT or NOT READY, or for a grade held down, and what to do about it."""

    text: str
    action: str


class PairedPhase(Struct, frozen=True):
    """A stretch of both runs around one fault of the treatment. phase: before | during | after."""

    fault: str
    phase: str
    t_from_s: float
    t_to_s: float


class PairedDelta(Struct, frozen=True):
    """One statistic in both runs.

    `delta`: treatment − control, `low` and `high` its 95 % interval; null when they are not known.

    effect: worse | better (the whole interval says so) | none (it holds zero) | unknown (there is no interval, see
    `note`).
    """

    control: float | None
    treatment: float | None
    delta: float | None
    low: float | None
    high: float | None
    effect: str
    samples_control: int
    samples_treatment: int
    note: str = ""


class PhaseDelta(Struct, frozen=True):
    """The same statistic in one phase of one fault."""

    fault: str
    phase: str
    delta: PairedDelta


class PairedRow(Struct, frozen=True):
    """One indicator, step or ratio of retries. `step`: "" for an indicator, `all` for all steps together."""

    name: str
    title: str
    unit: str
    better: str
    whole: PairedDelta
    phases: tuple[PhaseDelta, ...] = ()
    step: str = ""


class PairedRecovery(Struct, frozen=True):
    """From the heal until an indicator that the fault made worse was back within its control's interval, in s.

    status: recovered | not_recovered (in the `watched_s` until the next fault or the end) | unknown (too few samples).
    """

    fault: str
    indicator: str
    title: str
    status: str
    recovery_s: float | None
    watched_s: float


class PairedSales(Struct, frozen=True):
    """Fans who bought. `lost`: how many fewer bought in the end.

    `late`: how many more were behind at the worst instant.

    `only_control`, `only_treatment`: fans who bought in that run and not in the other. Intervals are 95 %.
    """

    fans: int
    control: int
    treatment: int
    lost: int
    lost_low: float | None
    lost_high: float | None
    most_behind: int
    most_behind_low: float | None
    most_behind_high: float | None
    most_behind_t_s: float
    late: int
    only_control: int
    only_treatment: int


class PairedCause(Struct, frozen=True):
    """Why an objective was missed. cause: faults | spike (without them too) | none | control_only | unknown."""

    indicator: str
    cause: str


class Paired(Struct, frozen=True):
    """The comparison of a treatment with its control: the same seed and arrivals without the faults.

    `left_out`: why there are no deltas; "" when there are. `cautions`: why the deltas are less certain. `matched`: both
    runs have the same fans, and each fan was compared with itself. `control`: the control's directory, from the
    treatment's.
    """

    control: str
    order: str
    control_verdict: Decision | None
    control_grade: str | None
    control_score: float | None
    left_out: str = ""
    cautions: tuple[str, ...] = ()
    matched: bool = True
    phases: tuple[PairedPhase, ...] = ()
    indicators: tuple[PairedRow, ...] = ()
    steps: tuple[PairedRow, ...] = ()
    retries: tuple[PairedRow, ...] = ()
    recoveries: tuple[PairedRecovery, ...] = ()
    sales: PairedSales | None = None
    causes: tuple[PairedCause, ...] = ()


class Verdict(Struct, frozen=True):
    """verdict.json, whole.

    `score` comes from the objectives; `grade` may be lower: `held_at` says why. `reasons`: all reasons against READY;
    `reason` is the first. `judged_by`: version and digest of the sources of the gatecrash that judged; the same
    gatecrash gives the same bytes for the same record. `seal`: see `harness.record.seal`; "" where there was no key.
    `unaudited`: why nothing was audited; "" where an audit was made. `causes`: why objectives, expectations and
    recoveries were missed. `hops`: where the time of each traced step went; empty without spans. `waterfalls`: a few
    slow, failed and fault-struck requests span by span. `coverage`: the experiments that the platform could be put to,
    and which of them this run proved. `stories`: of unlucky fans.
    `plugins`: those that judged, which are those that the run was rehearsed with.
    """

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
    paired: Paired | None = None
    reasons: tuple[Reason, ...] = ()
    held_at: tuple[Reason, ...] = ()
    judged_by: str = ""
    seal: str = ""
    unaudited: str = ""
    causes: tuple[Cause, ...] = ()
    hops: tuple[StepHops, ...] = ()
    waterfalls: tuple[Waterfall, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    stories: tuple[Story, ...] = ()
    plugins: tuple[PluginVersion, ...] = ()

    def cause_of(self, finding_id: str) -> Cause | None:
        """The cause of the finding with this id; null when there is none."""
        return next((cause for cause in self.causes if finding_id and cause.of == finding_id), None)
