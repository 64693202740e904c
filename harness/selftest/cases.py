"""The cases of a self-test, what became of each, and the result as a whole. Pure.

A case is one rehearsal of the scenario `selftest`: with one planted bug and only the faults that the bug needs (see
`OCCASIONS`), or without a bug and with the faults of the scenario.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from harness.errors import ExitCode
from harness.record.schema import SelfTestSummary, Struct
from harness.record.verdict import Status, Verdict
from harness.selftest.chances import Exercise
from harness.stack.reference.planted_bugs import PlantedBug

SELFTEST_SCHEMA: Final = "gatecrash.selftest/1"
SCENARIO: Final = "selftest"
PROVIDERS: Final = (  # how the payment provider misbehaves in the clean runs, in turn: no fault of the platform
    "charge=slow,charge_ratio=0.1,charge_delay_s=4",
    "webhooks=duplicate",
    "charge=capture_then_timeout,charge_ratio=0.2,charge_delay_s=4",
    "webhooks=late,webhook_delay_s=2",
    "charge=capture_then_error,charge_ratio=0.2",
    "webhooks=out_of_order,webhook_delay_s=1",
    "webhooks=lost,webhook_ratio=0.5",
    "charge=error,charge_ratio=0.2",
)
LOSS_OF_REDIS: Final = "faults=[{experiment: redis-kill, start_s: 2, length_s: 1.5}]"
_ACCESSIBLE: Final = (
    "--no-chaos",
    "--set",
    "on_sale.accessible_pairs=1",
    "--set",
    "load.journey.accessible_ratio=0.1",
    "--set",
    "load.journey.accessible_misuse_ratio=0.3",
)
_AS_THEY_COME: Final = ("--no-chaos", "--set", "load.arrivals={shape: ramp, ramp_s: 4}")  # others after a reload
OCCASIONS: Final[
    Mapping[str, tuple[str, ...]]
] = {  # what a bug needs instead of a quiet run, to show whatever the seed
    "limit_per_session": ("--no-chaos", "--users", "50", "--bots", "45"),  # resellers who come to hold more than once
    "accessible_for_all": _ACCESSIBLE,
    "companion_alone": _ACCESSIBLE,
    "codes_believed": ("--no-chaos", "--set", "load.tactics={guess_code: 1}"),
    "second_place": (
        "--no-chaos",
        "--set",
        "on_sale.places_per_identity=1",
        "--set",
        "load.journey.second_device_ratio=0.2",
    ),
    "parked_dropped": ("--bots", "0"),  # the database goes away while fans pay
    "line_by_name": ("--set", LOSS_OF_REDIS),
    "line_forgotten": ("--set", LOSS_OF_REDIS, "--set", "duration_s=20"),  # who is forgotten must be seen to wait
    "tickets_restamped": ("--set", LOSS_OF_REDIS, "--set", "load.arrivals={shape: ramp, ramp_s: 10}"),
    "ticket_is_new": _AS_THEY_COME,
    "reload_is_new": _AS_THEY_COME,
    "stream_is_place": ("--no-chaos", "--set", "load.journey.dropped_stream_ratio=0.3"),
}


class Case(Struct, frozen=True):
    """One rehearsal. `bug` "": the clean system; else `breaks` is the invariant that must be found violated.

    `provider`: how the payment provider misbehaves, "" as the scenario says.
    """

    bug: str
    breaks: str
    seed: int
    provider: str = ""

    @property
    def name(self) -> str:
        """What to call it; also the name of its directory."""
        return self.bug or f"clean-{self.seed}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """What to give to `gatecrash` for it, without `--out`."""
        planted = ("--plant-bug", self.bug, *OCCASIONS.get(self.bug, ("--no-chaos",))) if self.bug else ()
        provider = ("--set", f"on_sale.payment_switches={self.provider}") if self.provider else ()
        return ("rehearse", SCENARIO, "--seed", str(self.seed), *planted, *provider)


class CaseOutcome(StrEnum):
    """What became of a case. Only `caught` and `clean` are good."""

    CAUGHT = "caught"
    MISSED = "missed"
    CLEAN = "clean"
    FALSE_ALARM = "false_alarm"
    NOT_JUDGED = "not_judged"


class CaseResult(Struct, frozen=True):
    """A case and what became of it. `violated`: every invariant that was. `run`: the run directory, "" if none."""

    case: Case
    outcome: CaseOutcome
    violated: tuple[str, ...]
    evidence: str
    run: str
    took_s: float


class SelfTest(Struct, frozen=True):
    """A whole self-test. `bugs_known`: how many bugs the reference system can plant; `began`: RFC 3339.

    `exercises`: of the first clean run that was judged, how often it put each invariant to the test.
    """

    schema: str
    version: str
    began: str
    took_s: float
    bugs_known: int
    results: tuple[CaseResult, ...]
    exercises: tuple[Exercise, ...] = ()

    def count(self, *outcomes: CaseOutcome) -> int:
        """How many cases ended so."""
        return sum(1 for result in self.results if result.outcome in outcomes)

    @property
    def exit_code(self) -> ExitCode:
        """READY: all caught, no alarm, every invariant put to the test. NO_VERDICT: a run was not judged.

        NOT_READY: a bug missed, a false alarm, or chances that are none.
        """
        if self.count(CaseOutcome.MISSED, CaseOutcome.FALSE_ALARM) or self.unsound:
            return ExitCode.NOT_READY
        return ExitCode.NO_VERDICT if self.count(CaseOutcome.NOT_JUDGED) or not self.results else ExitCode.READY

    @property
    def unsound(self) -> tuple[str, ...]:
        """The invariants that a clean run did not put to the test, or whose chances are none."""
        return tuple(one.invariant for one in self.exercises if not one.is_sound)

    def summary(self) -> SelfTestSummary:
        """What later reports state of it."""
        planted = [result for result in self.results if result.case.bug]
        return SelfTestSummary(
            version=self.version,
            began=self.began,
            took_s=self.took_s,
            bugs_known=self.bugs_known,
            bugs_planted=len(planted),
            bugs_caught=self.count(CaseOutcome.CAUGHT),
            missed=tuple(result.case.bug for result in planted if result.outcome is not CaseOutcome.CAUGHT),
            clean_runs=len(self.results) - len(planted),
            false_alarms=self.count(CaseOutcome.FALSE_ALARM),
            passed=self.exit_code is ExitCode.READY,
        )


def plan(bugs: Sequence[PlantedBug], *, seed: int, clean: int, sample: int | None = None) -> tuple[Case, ...]:
    """A case for each bug (or for `sample` of them, drawn at random), then `clean` runs, each with its own seed.

    Clean runs meet the misbehaviours of the payment provider in turn.
    """
    chosen = list(bugs) if sample is None else random.sample(list(bugs), min(sample, len(bugs)))
    planted = [Case(bug=bug.name, breaks=bug.breaks, seed=seed) for bug in chosen]
    providers = [PROVIDERS[n % len(PROVIDERS)] for n in range(clean)]
    return (*planted, *(Case(bug="", breaks="", seed=seed + n, provider=how) for n, how in enumerate(providers)))


def judge(case: Case, verdict: Verdict | None, problem: str, run: str, took_s: float) -> CaseResult:
    """What became of a case. `verdict` null: there is none, because of `problem`."""
    if verdict is None:
        return CaseResult(
            case=case, outcome=CaseOutcome.NOT_JUDGED, violated=(), evidence=problem, run=run, took_s=took_s
        )
    violated = tuple(result.name for result in verdict.invariants if result.status is Status.VIOLATED)
    outcome, evidence = (_planted if case.bug else _clean)(case, verdict)
    return CaseResult(case=case, outcome=outcome, violated=violated, evidence=evidence, run=run, took_s=took_s)


def _planted(case: Case, verdict: Verdict) -> tuple[CaseOutcome, str]:
    found = next((result for result in verdict.invariants if result.name == case.breaks), None)
    if found is None:
        return CaseOutcome.MISSED, f"the audit has no checker for {case.breaks}"
    if found.status is Status.VIOLATED:
        first = found.violations[0].summary if found.violations else f"{found.violations_total} found"
        return CaseOutcome.CAUGHT, f"{case.breaks}: {first}"
    if found.status is Status.HELD:
        return CaseOutcome.MISSED, f"{case.breaks} held over {found.operations_checked} checked"
    return CaseOutcome.MISSED, f"{case.breaks} is {found.status.replace('_', ' ')}: {found.note}"


def _clean(case: Case, verdict: Verdict) -> tuple[CaseOutcome, str]:
    """An alarm without a bug is a false one. What was not decided, or a fault that was not proven, shows nothing."""
    for result in verdict.invariants:
        if result.status is Status.VIOLATED:
            first = result.violations[0].summary if result.violations else f"{result.violations_total} found"
            return CaseOutcome.FALSE_ALARM, f"{result.name}: {first}"
    undecided = [f"{result.name}: {result.note}" for result in verdict.invariants if result.status is not Status.HELD]
    unproven = [f"{fault.experiment} was not proven" for fault in verdict.faults if not fault.proven]
    if undecided or unproven:
        return CaseOutcome.NOT_JUDGED, "; ".join([*undecided, *unproven])
    faults = ", ".join(fault.experiment for fault in verdict.faults) or "none"
    return CaseOutcome.CLEAN, f"{len(verdict.invariants)} invariants held; faults: {faults}; provider: {case.provider}"
