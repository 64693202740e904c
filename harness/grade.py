"""Indicators, invariants and faults in; score, letter and the one word out. Pure: the same record, the same verdict.

**Score.** Each objective scores 100 at its target or better, 0 at its worst or beyond, a straight line between; the
score of the run is their mean. An objective without samples is unknown: it is left out of the mean and never met.

**Letter.** A ≥ 90, B ≥ 80, C ≥ 70, D ≥ 60, else F. A cap lowers the letter, and the score to the top of that letter:

    an invariant is violated                                                   F
    an expectation of an experiment is missed                                  C
    something required is unknown or not observable                            B
    the load generator is DEGRADED                                             B

**Verdict**, the first that applies:

    NO VERDICT   the record is not whole, or requests and samples do not add up: the evidence itself is in doubt
    NOT READY    an invariant is violated (exit 4): a fact, whatever else is wrong with the run
    NO VERDICT   the generator is INVALID; a fault was never proven, never healed or never carried out; nothing to score
    NOT READY    a required objective is at its worst or beyond; an expectation is missed; the grade is too low
    READY        none of these

An objective between target and worst is `met: false`: it costs points and is a finding, but the minimum grade decides.
Required invariants are those that the scenario names, else all that the platform can show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from harness.amounts import amount
from harness.audit import INVARIANTS
from harness.errors import ExitCode, InputError
from harness.findings import Judgement, find
from harness.record.reader import Record
from harness.record.schema import LoadSummary
from harness.record.verdict import (
    VERDICT_SCHEMA,
    Decision,
    Examination,
    FaultResult,
    InvariantResult,
    LoadResult,
    SliResult,
    Status,
    Validity,
    Verdict,
)
from harness.scenario import Objective, Scenario
from harness.sli import INDICATORS, IndicatorValue
from harness.validity import health, judge_generator

_LETTERS: Final = (("A", 90.0), ("B", 80.0), ("C", 70.0), ("D", 60.0), ("F", 0.0))
_ORDER: Final = "ABCDF"
_TOP: Final = {"A": 100.0, "B": 89.0, "C": 79.0, "D": 69.0, "F": 59.0}


class Ruling(msgspec.Struct, frozen=True):
    """The decision with its one sentence."""

    decision: Decision
    reason: str
    score: float | None = None
    letter: str | None = None


def grade(
    record: Record,
    indicators: Sequence[IndicatorValue],
    invariants: Sequence[InvariantResult],
    faults: Sequence[FaultResult],
    examinations: Sequence[Examination] = (),
) -> Verdict:
    """Judge a run from its record and what was found in it. Raises `InputError` if its scenario cannot be read."""
    run = record.run
    scenario = scenario_of(record)
    generator = None
    if run.load is not None:
        generator = judge_generator(
            run.load, health(record.table("generator"), scenario.duration_s, run.load.workers), scenario.generator
        )
    judgement = Judgement(
        run=run,
        scenario=scenario,
        generator=generator,
        slis=tuple(judge_objective(value, scenario.objectives.get(value.name)) for value in indicators),
        invariants=tuple(invariants),
        faults=tuple(faults),
        requests_in_record=record.table("requests").num_rows,
    )
    ruling = decide(judgement)
    return Verdict(
        schema=VERDICT_SCHEMA,
        run_id=run.run_id,
        scenario=run.scenario_name,
        seed=run.seed,
        t0=run.t0,
        verdict=ruling.decision,
        grade=ruling.letter,
        score=ruling.score,
        reason=ruling.reason,
        load=None if run.load is None else _load(run.load),
        generator=generator,
        slis=judgement.slis,
        invariants=judgement.invariants,
        faults=judgement.faults,
        findings=find(judgement),
        versions=run.versions,
        command=run.command,
        record=record.digest(),
        examinations=tuple(examinations),
    )


def exit_code(verdict: Verdict) -> ExitCode:
    """What the shell sees."""
    if verdict.verdict is Decision.NO_VERDICT:
        return ExitCode.NO_VERDICT
    if any(result.status is Status.VIOLATED for result in verdict.invariants):
        return ExitCode.INVARIANT_VIOLATED
    return ExitCode.READY if verdict.verdict is Decision.READY else ExitCode.NOT_READY


def scenario_of(record: Record) -> Scenario:
    """The scenario as the record keeps it. Raises `InputError` if it is none."""
    try:
        return msgspec.convert(record.run.scenario, Scenario, str_keys=True)
    except msgspec.ValidationError as error:
        raise InputError(f"is no scenario: {error}", file=str(record.paths.run), key="scenario") from error


def judge_objective(value: IndicatorValue, objective: Objective | None) -> SliResult:
    """Hold one indicator against its objective."""
    spec = INDICATORS[value.name]
    judged = objective is not None and value.value is not None
    return SliResult(
        name=value.name,
        value=value.value,
        unit=value.unit,
        objective=objective.target if objective else None,
        met=_met(value.value, objective, spec.better) if judged else None,
        score=_points(value.value, objective) if judged else None,
        samples=value.samples,
        worst=objective.worst if objective else None,
        better=spec.better,
        title=spec.title,
    )


def points(value: float, target: float, worst: float) -> float:
    """100 at target or better, 0 at worst or beyond, linear between; `worst` says which direction is bad."""
    return 100.0 * min(1.0, max(0.0, (worst - value) / (worst - target)))


def letter_of(score: float) -> str:
    """The letter of a score from 0 to 100."""
    return next(letter for letter, least in _LETTERS if score >= least)


def decide(judged: Judgement) -> Ruling:
    """The verdict with its reason, by the order in this module's docstring."""
    doubt = _evidence_in_doubt(judged)
    if doubt:
        return Ruling(Decision.NO_VERDICT, doubt)
    score, letter = _graded(judged)
    violated = _violated(judged)
    if violated:
        return Ruling(Decision.NOT_READY, violated, score, letter)
    doubt = _run_in_doubt(judged, score)
    if doubt:
        return Ruling(Decision.NO_VERDICT, doubt)
    missed = _missed(judged, score, letter)
    if missed:
        return Ruling(Decision.NOT_READY, missed, score, letter)
    return Ruling(Decision.READY, _praise(judged, score, letter), score, letter)


def _graded(judged: Judgement) -> tuple[float | None, str | None]:
    """Score and letter under the caps; null when no objective could be scored, F when an invariant is violated."""
    scores = [sli.score for sli in judged.slis if sli.score is not None]
    cap = _cap(judged)
    if not scores:
        return (None, "F") if cap == "F" else (None, None)
    score = min(sum(scores) / len(scores), _TOP[cap])
    return score, letter_of(score)


def _cap(judged: Judgement) -> str:
    caps = ["A"]
    if any(result.status is Status.VIOLATED for result in judged.invariants):
        caps.append("F")
    if judged.expectations("missed"):
        caps.append("C")
    degraded = judged.generator is not None and judged.generator.validity is Validity.DEGRADED
    if degraded or judged.unseen() or judged.expectations("unknown"):
        caps.append("B")
    return max(caps, key=_ORDER.index)


def _evidence_in_doubt(judged: Judgement) -> str:
    if not judged.run.complete:
        own = [one for one in judged.run.anomalies if one.source != "run.json"]  # that one says no more than this
        why = f"{own[-1].source}: {own[-1].text}" if own else "the run never finished"
        return f"The record is incomplete: {why}."
    load = judged.run.load
    if load is None:
        return "The run released nobody."
    if load.requests_sent != load.samples_recorded:
        return f"{load.requests_sent:,} requests were sent but {load.samples_recorded:,} samples recorded."
    if load.samples_recorded != judged.requests_in_record:
        return f"{load.samples_recorded:,} samples were recorded but {judged.requests_in_record:,} are in the record."
    return ""


def _violated(judged: Judgement) -> str:
    violated = [result for result in judged.invariants if result.status is Status.VIOLATED]
    if not violated:
        return ""
    worst, *others = violated
    first = worst.violations[0].summary if worst.violations else "see the report"
    title, *titles = (INVARIANTS[result.name].title.lower() for result in (worst, *others))
    also = f"; also violated: {', '.join(titles)}" if titles else ""
    return f"Violated: {title} ({worst.violations_total:,} found; first: {first}){also}."


def _run_in_doubt(judged: Judgement, score: float | None) -> str:
    generator = judged.generator
    if generator is None or generator.validity is Validity.INVALID:
        reasons = "; ".join(generator.reasons) if generator else "nothing is known of it"
        return f"The load generator was not valid: {reasons}."
    for fault in judged.faults:
        if not fault.proven:
            return f"The fault {fault.experiment} was never proven: {fault.error or 'its canary saw no effect'}."
        if fault.healed_s is None:
            return f"The fault {fault.experiment} was never seen healed: {fault.error or 'its canary saw no recovery'}."
    skipped = judged.faults_skipped()
    if skipped:
        return f"The fault {skipped[0]} was planned but never carried out."
    return "No objective could be measured, so there is nothing to grade by." if score is None else ""


def _missed(judged: Judgement, score: float | None, letter: str | None) -> str:
    for sli in judged.slis:
        objective = judged.scenario.objectives.get(sli.name)
        if objective and objective.required and sli.score == 0.0:
            value, worst = amount(sli.value or 0.0, sli.unit), amount(objective.worst, sli.unit)
            return f"{sli.title} is {value}, at or beyond the worst allowed of {worst}."
    missed = judged.expectations("missed")
    if missed:
        fault, expectation = missed[0]
        return f"{fault.experiment}: expected {expectation.expected}, observed {expectation.observed}."
    minimum = judged.scenario.minimum_grade
    if letter and score is not None and _ORDER.index(letter) > _ORDER.index(minimum):
        return f"Grade {letter} ({score:.0f} of 100) is below the minimum of {minimum}."
    return ""


def _praise(judged: Judgement, score: float | None, letter: str | None) -> str:
    held = sum(1 for result in judged.invariants if result.status is Status.HELD)
    against = [sli for sli in judged.slis if sli.objective is not None]
    met = sum(1 for sli in against if sli.met)
    faults = len(judged.faults)
    proven = f", {faults} fault{'s' * (faults > 1)} proven and healed" if faults else ", no fault injected"
    return (
        f"Grade {letter} ({score:.0f} of 100): {held} invariants held, {met} of {len(against)} objectives met{proven}."
    )


def _met(value: float | None, objective: Objective | None, better: str) -> bool | None:
    if value is None or objective is None:
        return None
    return value <= objective.target if better == "lower" else value >= objective.target


def _points(value: float | None, objective: Objective | None) -> float | None:
    return None if value is None or objective is None else points(value, objective.target, objective.worst)


def _load(load: LoadSummary) -> LoadResult:
    return LoadResult(
        users_asked=load.users_asked,
        users_armed=load.users_armed,
        users_released=load.users_released,
        window_asked_s=load.window_asked_s,
        window_delivered_s=load.window_delivered_s,
        requests_sent=load.requests_sent,
        samples_recorded=load.samples_recorded,
    )
