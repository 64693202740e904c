"""Lists the findings: problems that an operator should act on, the worst first, with numbers and runbook. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from harness.amounts import amounts, number, points
from harness.judging.counter_example import moment, told
from harness.judging.ends import Ends
from harness.judging.notes import few, grouped
from harness.record.schema import RunDocument
from harness.record.verdict import (
    UNAUDITED,
    Examination,
    ExpectationResult,
    FaultResult,
    Finding,
    GeneratorResult,
    InvariantResult,
    SliResult,
    Status,
    Validity,
)
from harness.registry.indicators import INDICATORS
from harness.registry.invariants import INVARIANTS
from harness.scenario import Scenario

SEVERITIES: Final = ("critical", "major", "minor", "info")
_DOCUMENT: Final = "docs/runbooks.md"
_GENERATOR: Final = "load-generator"
_FAULT: Final = "fault-not-proven"
_PROCESS: Final = "process-died"
_RECORD: Final = "anomalies"
_UNTESTED: Final = "not-tested"
_SALE: Final = "no-sale"
_FOR_NOTHING: Final = "let-in-for-nothing"
_UNAUDITED: Final = "not-audited"
_CRASH: Final = "journeys-crashed"
_CUT: Final = "journeys-cut"
_CUT_RATIO_MAX: Final = 0.01
_SELFTEST: Final = "self-test"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """All results that the verdict and the findings are made from."""

    run: RunDocument
    scenario: Scenario
    generator: GeneratorResult | None
    slis: tuple[SliResult, ...]
    invariants: tuple[InvariantResult, ...]
    faults: tuple[FaultResult, ...]
    requests_in_record: int
    examinations: tuple[Examination, ...] = ()
    sale: str = ""  # why no sale took place; "" when it did
    missing_operations: int = 0  # numbers of operations that are not in the record
    ends: Ends = Ends()
    not_shown: str = ""  # operations of fans that are not in the record although their requests were answered

    @property
    def has_no_adapter(self) -> bool:
        """Whether the users were those of a locustfile, so that there was nothing to audit."""
        return bool(self.scenario.journeys.locustfile)

    def expectations(self, status: str) -> list[tuple[str, FaultResult, ExpectationResult]]:
        """The experiments' expectations of this status, with the name that tells apart runs of one experiment: met,
        missed, unknown or not_exercised.
        """
        return [
            (name, fault, e) for name, fault in numbered(self.faults) for e in fault.expectations if e.status == status
        ]

    def unmeasured(self) -> list[SliResult]:
        """The required objectives whose indicator has no samples."""
        objectives = self.scenario.objectives_judged
        return [
            sli for sli in self.slis if sli.name in objectives and sli.value is None and objectives[sli.name].required
        ]

    def undecided(self) -> list[InvariantResult]:
        """The required invariants that the run could not decide, without those that a fault excuses."""
        excused = {name for name, _, _ in self.excused()}
        return [result for result in self.invariants if self.is_undecided(result) and result.name not in excused]

    def not_exercised(self) -> list[InvariantResult]:
        """The required invariants that nothing in the run tested."""
        return [one for one in self.invariants if one.status is Status.NOT_EXERCISED and self.is_required(one)]

    def excused(self) -> list[tuple[str, str, str]]:
        """(invariant, experiment, why) for each required invariant that is undecided and that a fault excuses.

        Only the effects of a fault are excused: the fault must have been in force, and the checker must have had
        operations to look at. An export that could not be read and a checker that crashed are not effects of a fault.
        """
        undecided = {
            result.name
            for result in self.invariants
            if self.is_undecided(result) and result.status is Status.UNKNOWN and result.operations_checked
        }
        return [
            (name, fault.experiment, why)
            for fault in self.faults
            for name, why in fault.makes_undecidable.items()
            if name in undecided and fault.effective_s is not None
        ]

    def is_required(self, result: InvariantResult) -> bool:
        """Whether the scenario names the invariant; when it names none, whether the platform can show it."""
        required = self.scenario.invariants
        return result.name in required if required else result.status is not Status.NOT_OBSERVABLE

    def is_undecided(self, result: InvariantResult) -> bool:
        """Whether an invariant is required and the run could not tell."""
        return result.status in (Status.UNKNOWN, Status.NOT_OBSERVABLE) and self.is_required(result)

    def faults_skipped(self) -> list[str]:
        """Experiments that the scenario planned and faults.json does not contain."""
        carried_out = {fault.experiment for fault in self.faults}
        return [plan.experiment for plan in self.scenario.faults if plan.experiment not in carried_out]


def find(judged: Judgement) -> tuple[Finding, ...]:
    """All findings, the worst first; within a severity in the order: invariants, faults, objectives, the rest."""
    findings = [
        *_invariants(judged),
        *_sale(judged),
        *_unaudited(judged),
        *_crashes(judged),
        *_cut(judged),
        *_faults(judged),
        *_gaps(judged),
        *_objectives(judged),
        *_let_in_for_nothing(judged),
        *_generator(judged),
        *_anomalies(judged),
        *_selftest(judged),
        *_untested(judged),
    ]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def anchors() -> tuple[str, ...]:
    """Every section of the runbooks that a finding may point to, apart from those that experiments name themselves."""
    own = (_GENERATOR, _FAULT, _PROCESS, _RECORD, _UNTESTED, _SELFTEST, _SALE, _FOR_NOTHING, _CRASH, _CUT, _UNAUDITED)
    return (*(_dashed(name) for name in INVARIANTS), *dict.fromkeys(spec.runbook for spec in INDICATORS.values()), *own)


def runbook_of(indicator: str) -> str:
    """The runbook of an indicator."""
    spec = INDICATORS[indicator]
    return spec.to_do or _runbook(spec.runbook)


def invariant_id(name: str) -> str:
    """The id of the finding on an invariant."""
    return f"invariant/{name}"


def objective_id(indicator: str) -> str:
    """The id of the finding on an objective."""
    return f"objective/{indicator}"


def numbered(faults: Iterable[FaultResult]) -> Iterator[tuple[str, FaultResult]]:
    """Each fault with its name in ids: that of its experiment, with a number where that was carried out before."""
    times: Counter[str] = Counter()
    for fault in faults:
        times[fault.experiment] += 1
        again = times[fault.experiment]
        yield fault.experiment if again == 1 else f"{fault.experiment}#{again}", fault


def expectation_id(experiment: str, expectation: str) -> str:
    """The id of the finding on an experiment's expectation."""
    return f"expectation/{experiment}/{expectation}"


def gap_id(experiment: str, step: str) -> str:
    """The id of the finding on a step that stood still after a heal."""
    return f"recovery/{experiment}/{step}"


def _invariants(judged: Judgement) -> list[Finding]:
    found: list[Finding] = []
    for result in judged.invariants:
        spec = INVARIANTS[result.name]
        title, runbook = spec.title, spec.to_do or _runbook(_dashed(spec.name))
        one = invariant_id(result.name)
        if result.status is Status.VIOLATED:
            title = (
                f"Violated: {title.lower()} ({result.violations_total:,} found, {result.operations_checked:,} checked)"
            )
            found.append(Finding("critical", title, _history(result), runbook, one))
        elif judged.is_undecided(result):
            seen = "could not be observed" if result.status is Status.NOT_OBSERVABLE else "could not be decided"
            found.append(Finding("major", f"{title}: {seen}", result.note, runbook, one))
        elif result.status is Status.NOT_EXERCISED and judged.is_required(result):
            evidence = f"a chance is: {result.chance}; there were none" + (f"; {result.note}" if result.note else "")
            found.append(Finding("major", f"{title}: was not put to the test", evidence, runbook, one))
    return found


def _history(result: InvariantResult) -> str:
    if not result.violations:
        return f"{result.violations_total} violations"
    first = result.violations[0]
    steps = [f"{moment(step)}, {told(step)}" for step in first.history]
    faults = f" In force: {', '.join(first.faults)}." if first.faults else ""
    return f"{first.summary}. {'; '.join(steps)}.{faults}"


def _unaudited(judged: Judgement) -> list[Finding]:
    if not judged.has_no_adapter:
        return []
    return [Finding("major", "Nothing was audited", UNAUDITED, _runbook(_UNAUDITED), _UNAUDITED)]


def _sale(judged: Judgement) -> list[Finding]:
    if not judged.sale:
        return []
    return [Finding("critical", "The sale did not take place", judged.sale, _runbook(_SALE), _SALE)]


def _crashes(judged: Judgement) -> list[Finding]:
    load = judged.run.load
    return [
        Finding(
            severity="major",
            title=f"{crash.count:,} journeys of a {crash.kind} crashed at {crash.where}",
            evidence=f"first: {crash.what}, in the step {crash.step}",
            runbook=_runbook(_CRASH),
            id=f"{_CRASH}/{crash.kind}/{crash.where}",
        )
        for crash in (load.crashes if load else ())
    ]


def _cut(judged: Judgement) -> list[Finding]:
    """Journeys that the end of the run cut short, so that their end is not known."""
    load = judged.run.load
    if load is None or load.unfinished <= _CUT_RATIO_MAX * load.users_released:
        return []
    were = "was" if load.unfinished == 1 else "were"
    title = f"{load.unfinished:,} of {load.users_released:,} journeys {were} cut by the end of the run"
    steps = ", ".join(f"{one.count:,} at {one.step} ({one.kind})" for one in load.cut)
    evidence = f"the run lasts {judged.scenario.duration_s:g} s" + (f"; where they were: {steps}" if steps else "")
    severity = "major" if [*judged.ends.reasons(), *judged.ends.caps()] else "minor"
    return [Finding(severity, title, evidence, _runbook(_CUT), _CUT)]


def _faults(judged: Judgement) -> list[Finding]:
    found: list[Finding] = []
    for name, fault in numbered(judged.faults):
        if not fault.proven or fault.healed_s is None:
            what = "never proven" if not fault.proven else "never seen healed"
            title = f"The fault {fault.experiment} was {what}"
            evidence = fault.error or f"canary: {_figures(fault.canary)}"
            found.append(Finding("major", title, evidence, _runbook(_FAULT), f"{_FAULT}/{name}"))
    for skipped in judged.faults_skipped():
        title = f"The fault {skipped} was planned but never carried out"
        found.append(Finding("major", title, "not in faults.json", _runbook(_FAULT), f"{_FAULT}/{skipped}"))
    for status, severity in (("missed", "major"), ("unknown", "major"), ("not_exercised", "minor")):
        for name, fault, expectation in judged.expectations(status):
            title = f"{fault.experiment}: expectation {status.replace('_', ' ')}: {expectation.name}"
            evidence = f"expected {expectation.expected}; observed {expectation.observed}"
            runbook = fault.runbook or _runbook(fault.experiment)
            found.append(Finding(severity, title, evidence, runbook, expectation_id(name, expectation.name)))
    return found


def _gaps(judged: Judgement) -> list[Finding]:
    """Stretches after a heal in which people waited in vain for longer than they do without a fault."""
    found = []
    for name, fault in numbered(judged.faults):
        for gap in fault.gaps:
            if gap.length_s <= gap.bound_s:
                continue
            length, bound = amounts("s", gap.length_s, gap.bound_s)
            title = f"{fault.experiment}: {gap.title.lower()} stood still for {length} after the heal"
            stretch = f"from T+{gap.t_from_s:.3f} s to T+{gap.t_to_s:.3f} s"
            evidence = f"{stretch} {gap.waiting:,} waited for it and nobody got it; {bound} would be no finding"
            runbook = fault.runbook or _runbook(fault.experiment)
            found.append(Finding("minor", title, evidence, runbook, gap_id(name, gap.step)))
    return found


def _objectives(judged: Judgement) -> list[Finding]:
    found: list[tuple[float, Finding]] = []
    for sli in judged.slis:
        objective = judged.scenario.objectives_judged.get(sli.name)
        if objective is None or sli.met:
            continue
        severity = "major" if objective.required else "minor"
        note = f"; {sli.note}" if sli.note else ""
        if sli.value is None or sli.score is None:
            target, worst = amounts(sli.unit, objective.target, objective.worst)
            title = f"{sli.title} could not be measured"
            evidence = f"no samples; target {target}, worst {worst}{note}"
        else:
            value, target, worst = amounts(sli.unit, sli.value, objective.target, objective.worst)
            title = f"{sli.title} missed its target"
            limits = f"target {target}, worst {worst}"
            evidence = f"{value} over {sli.samples:,} samples; {limits}: {points(sli.score)} of 100 points{note}"
        finding = Finding(severity, title, evidence, runbook_of(sli.name), objective_id(sli.name))
        found.append((sli.score or 0.0, finding))
    return [finding for _, finding in sorted(found, key=lambda pair: pair[0])]


def _let_in_for_nothing(judged: Judgement) -> list[Finding]:
    """Fans who were let in when nothing was left, by the examination of the business."""
    figures = {one.name: one for exam in judged.examinations if exam.name == "business" for one in exam.figures}
    gone, late = figures.get("gone_s"), figures.get("let_in_after")
    if gone is None or gone.value is None or late is None or not late.value:
        return []
    fans = f"{late.value:,.0f} fans were" if late.value > 1 else "One fan was"
    evidence = f"of {late.samples:,} who were let in; from T+{gone.value:.1f} s to the end of the run nothing was left"
    title = f"{fans} let in after the last ticket was gone"
    return [Finding("minor", title, evidence, _runbook(_FOR_NOTHING), _FOR_NOTHING)]


def _generator(judged: Judgement) -> list[Finding]:
    generator, runbook = judged.generator, _runbook(_GENERATOR)
    if generator is None or generator.validity is Validity.VALID:
        return []
    severity = "major" if generator.validity is Validity.INVALID else "minor"
    title = f"The load generator was {generator.validity}"
    return [Finding(severity, title, few(generator.reasons), runbook, _GENERATOR)]


def _anomalies(judged: Judgement) -> list[Finding]:
    found = []
    for note in grouped(judged.run.anomalies):
        first = "first " if note.count > 1 else ""
        when = "" if note.t_first_s is None else f" at {note.t_first_s:.1f} s"
        finding = Finding(
            severity="major" if note.is_death else "minor",
            title=f"{note.source}: {note.sentence}",
            evidence=f"{first}noted{when}",
            runbook=_runbook(_PROCESS if note.is_death else _RECORD),
            id=f"{_PROCESS if note.is_death else _RECORD}/{note.source}/{note.kind}",
        )
        found.append(finding)
    return found


def _selftest(judged: Judgement) -> list[Finding]:
    """A self-test that the audit failed. The section on method says when there was no self-test."""
    last = judged.run.selftest
    if last is None or last.passed:
        return []
    title = "The audit failed its self-test: what it says held may not have held"
    return [Finding("major", title, last.sentence, _runbook(_SELFTEST), _SELFTEST)]


def _untested(judged: Judgement) -> list[Finding]:
    """What this run did not test, listed so that a reader does not take silence for a pass."""
    if judged.has_no_adapter:
        return []  # another finding already says that nothing was audited
    runbook = _runbook(_UNTESTED)
    by_note: dict[str, list[str]] = {}
    for result in judged.invariants:
        if result.status is Status.NOT_OBSERVABLE and not judged.is_undecided(result):
            by_note.setdefault(result.note, []).append(result.name)
    found = [
        Finding(
            severity="info",
            title=f"Not tested: {'; '.join(INVARIANTS[name].title.lower() for name in names)}",
            evidence=note,
            runbook=runbook,
            id=f"{_UNTESTED}/{'+'.join(sorted(names))}",
        )
        for note, names in by_note.items()
    ]
    if not judged.scenario.faults:
        evidence = "the scenario plans no faults"
        found.append(Finding("info", "Not tested: any fault", evidence, runbook, f"{_UNTESTED}/faults"))
    return found


def _figures(canary: dict[str, float | str]) -> str:
    return (
        ", ".join(f"{name} {value if isinstance(value, str) else number(value)}" for name, value in canary.items())
        or "no samples"
    )


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _runbook(anchor: str) -> str:
    return f"{_DOCUMENT}#{anchor}"
