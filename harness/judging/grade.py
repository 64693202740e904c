"""Makes score, letter and verdict from indicators, invariants and faults. Pure: the same record, the same verdict.

**Score.** Each objective scores 100 at its target or better, 0 at its worst or beyond, a straight line between; the
score of the run is their mean. An objective without samples is left out of the mean and is never met.

**Letter.** A ≥ 90, B ≥ 80, C ≥ 70, D ≥ 60, else F. A cap holds the letter down; the score stays what it is:

    an invariant is violated                                                            F
    an expectation of an experiment is missed                                           C
    a required invariant or an expectation was not put to the test                      B
    an experiment makes an invariant undecidable, and its file says why                 B
    nothing was audited, and the scenario says that nothing need be (`audit: none`)     B
    a platform of the user's own shows no export of its orders                          B
    many ends were not seen: journeys cut, purchases in flight, fans in line at the end B
    the load generator is DEGRADED                                                      B

**Verdict**, the first that applies:

    NO VERDICT   the record is not whole, or requests and samples do not add up: the evidence itself is in doubt
    NOT READY    an invariant is violated (exit 4): a fact, whatever else is wrong with the run
    NO VERDICT   the instrument is in doubt: an INVALID generator, operations that are missing or were never recorded,
                 crashed journeys, or a fault that was not as asked
    NOT READY    the sale did not take place: people waited and nobody got in, or could hold, or could buy
    NOT READY    a required objective is at its worst or beyond; an expectation is missed
    NO VERDICT   something required was not seen: an invariant, an objective, an expectation, the platform at rest,
                 the ends of most journeys, the answers to most purchases
    NOT READY    the grade is below the minimum
    READY        none of these

An objective between target and worst is `met: false`: it costs points and is a finding, but the minimum grade decides.
Required invariants are those that the scenario names, else all that the platform can show. Of the users of a locustfile
no invariant can be seen: unless the scenario says `audit: none`, the audit itself is what was required and not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from harness import amounts
from harness.errors import InputError
from harness.judging.ends import Ends, ends_of
from harness.judging.findings import Judgement, find
from harness.judging.overstatement import by_step, doubts, without_it
from harness.judging.validity import health, judge_generator
from harness.record.reader import Record
from harness.record.schema import OWN_SOURCE, Anomaly, CrashSummary, LoadSummary
from harness.record.verdict import (
    UNAUDITED,
    VERDICT_SCHEMA,
    Decision,
    Examination,
    FaultResult,
    GeneratorResult,
    InvariantResult,
    LoadResult,
    Reason,
    SliResult,
    Status,
    Validity,
    Verdict,
)
from harness.registry.capabilities import Capability
from harness.registry.indicators import INDICATORS
from harness.registry.invariants import INVARIANTS
from harness.scenario import Objective, Scenario
from harness.sli import IndicatorValue
from harness.sli.measured import Observations
from harness.sli.sale import did_not_take_place, not_shown

_LETTERS: Final = (("A", 90.0), ("B", 80.0), ("C", 70.0), ("D", 60.0), ("F", 0.0))
_ORDER: Final = "ABCDF"
_LEFT_AT_REST: Final = "no_leaked_stock"
_WRITE_ADAPTER: Final = "write an adapter, see docs/own-platform.md"
_CRASHED_RATIO_MAX: Final = 0.001  # of the journeys; when more crash, the crowd was not the one asked for


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """The decision with its reasons; `reason` is the sentence that people read."""

    decision: Decision
    reason: str
    reasons: tuple[Reason, ...] = ()
    held_at: tuple[Reason, ...] = ()
    score: float | None = None
    letter: str | None = None


class Cap(msgspec.Struct, frozen=True):
    """The best letter that a run can still get, and why."""

    letter: str
    reason: Reason


def grade(
    record: Record,
    indicators: Sequence[IndicatorValue],
    invariants: Sequence[InvariantResult],
    faults: Sequence[FaultResult],
    examinations: Sequence[Examination] = (),
    *,
    seen: Observations | None = None,
) -> Verdict:
    """Judge a run from its record and what was found in it. Raises `InputError` if its scenario cannot be read.

    `seen`: the record's tables, where the caller has already read them.
    """
    run = record.run
    scenario = scenario_of(record)
    slis = tuple(judge_objective(value, scenario.objectives_judged.get(value.name)) for value in indicators)
    generator = _generator(record, scenario, indicators, slis)
    looked_at = seen or Observations(record)
    judgement = Judgement(
        run=run,
        scenario=scenario,
        generator=generator,
        slis=slis,
        invariants=tuple(invariants),
        faults=tuple(faults),
        requests_in_record=record.table("requests").num_rows,
        examinations=tuple(examinations),
        sale=did_not_take_place(looked_at) if run.complete else "",
        not_shown=not_shown(looked_at) if run.complete else "",
        missing_operations=looked_at.everything.missing_operations if run.complete else 0,
        ends=ends_of(run.load, looked_at) if run.load and run.complete else Ends(),
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
        reasons=ruling.reasons,
        held_at=ruling.held_at,
        unaudited=UNAUDITED if judgement.has_no_adapter else "",
    )


def _generator(
    record: Record, scenario: Scenario, indicators: Sequence[IndicatorValue], slis: Sequence[SliResult]
) -> GeneratorResult | None:
    """Whether the load generator was sound; null when it released no user."""
    load = record.run.load
    if load is None:
        return None
    found = health(record.table("generator"), scenario.duration_s, load.workers, record.table("metrics"))
    with_objective = [value for value in indicators if value.name in scenario.objectives_judged]
    without = [
        judge_objective(value, scenario.objectives_judged[value.name])
        for value in without_it(record, with_objective, found.loop_lag_ms_p99)
    ]
    doubtful = doubts(slis, without, scenario.objectives_judged, dict(_LETTERS)[scenario.minimum_grade])
    return judge_generator(load, found, scenario.generator, by_step(record.table("requests")), doubtful)


def scenario_of(record: Record) -> Scenario:
    """The scenario as the record keeps it. Raises `InputError` when the record has no valid scenario, or one that
    requires what this version cannot judge."""
    file = str(record.paths.run)
    try:
        scenario = msgspec.convert(record.run.scenario, Scenario, str_keys=True)
    except msgspec.ValidationError as error:
        raise InputError(f"is no scenario: {error}", file=file, key="scenario") from error
    for key, names, known in (
        ("objectives", scenario.objectives, INDICATORS.keys()),
        ("invariants", scenario.invariants, INVARIANTS.keys()),
    ):
        if foreign := sorted(set(names) - known):
            raise InputError(
                f"names {foreign[0]!r}, which this version of gatecrash does not know",
                file=file, key=f"scenario.{key}", hint="judge it with the version that rehearsed it, or rehearse again",
            )  # fmt: skip
    return scenario


def judge_objective(value: IndicatorValue, objective: Objective | None) -> SliResult:
    """Compare one indicator with its objective."""
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
        note=value.note,
        required=objective.required if objective else False,
    )


def points(value: float, target: float, worst: float) -> float:
    """100 at target or better, 0 at worst or beyond, linear between; `worst` says which direction is bad."""
    return 100.0 * min(1.0, max(0.0, (worst - value) / (worst - target)))


def letter_of(score: float) -> str:
    """The letter of a score from 0 to 100."""
    return next(letter for letter, least in _LETTERS if score >= least)


def decide(judged: Judgement) -> Ruling:
    """The verdict with its reasons, by the order in this module's docstring."""
    caps = tuple(_caps(judged))
    score = _score(judged)
    letter = _letter(score, caps)
    steps: tuple[tuple[Decision, Callable[[Judgement], Iterator[Reason]]], ...] = (
        (Decision.NO_VERDICT, _evidence_in_doubt),
        (Decision.NOT_READY, _violated),
        (Decision.NO_VERDICT, _instrument_in_doubt),
        (Decision.NOT_READY, _no_sale),
        (Decision.NOT_READY, _missed),
        (Decision.NO_VERDICT, _unseen),
    )
    for decision, look in steps:
        if reasons := tuple(look(judged)):
            graded = decision is not Decision.NO_VERDICT
            return _ruling(decision, reasons, caps, score if graded else None, letter if graded else None)
    if score is None or letter is None:
        nothing = Reason("No objective could be measured, so there is nothing to grade by.", "set objectives")
        return _ruling(Decision.NO_VERDICT, (nothing,), caps, None, None)
    minimum = judged.scenario.minimum_grade
    if _ORDER.index(letter) > _ORDER.index(minimum):
        low = Reason(f"{_graded(score, letter, caps)}, below the minimum of {minimum}.", "see the findings")
        return _ruling(Decision.NOT_READY, (low,), caps, score, letter)
    reason = f"{_graded(score, letter, caps)}: {_praise(judged)}."
    held_at = tuple(cap.reason for cap in _deciding(caps, score, letter))
    return Ruling(decision=Decision.READY, reason=reason, held_at=held_at, score=score, letter=letter)


def _ruling(
    decision: Decision, reasons: tuple[Reason, ...], caps: Sequence[Cap], score: float | None, letter: str | None
) -> Ruling:
    held_at = tuple(cap.reason for cap in _deciding(caps, score, letter))
    return Ruling(
        decision=decision, reason=reasons[0].text, reasons=reasons, held_at=held_at, score=score, letter=letter
    )


def _score(judged: Judgement) -> float | None:
    """The mean of the objectives' scores; null when none could be scored."""
    scores = [sli.score for sli in judged.slis if sli.score is not None]
    return sum(scores) / len(scores) if scores else None


def _letter(score: float | None, caps: Sequence[Cap]) -> str | None:
    """The letter under the caps; null when nothing could be scored, unless an invariant is violated."""
    capped = [cap.letter for cap in caps]
    if score is None:
        return "F" if "F" in capped else None
    return max((letter_of(score), *capped), key=_ORDER.index)


def _caps(judged: Judgement) -> Iterator[Cap]:
    for result in judged.invariants:
        if result.status is Status.VIOLATED:
            yield Cap("F", Reason(f"{_said(result)} was violated", "see the counter-example"))
    for _, fault, expectation in judged.expectations("missed"):
        yield Cap("C", Reason(f"{fault.experiment} was expected to: {expectation.name}, and did not", "see the fault"))
    for result in judged.not_exercised():
        text = f"{result.name} was not put to the test ({result.chance or 'nothing in the run could break it'}: none)"
        yield Cap("B", Reason(text, "let the scenario send somebody who does, see the runbook"))
    for _, fault, expectation in judged.expectations("not_exercised"):
        text = f"{fault.experiment}: {expectation.name!r} was not put to the test ({expectation.observed})"
        yield Cap("B", Reason(text, "let somebody do it while the fault is in force"))
    for name, experiment, why in judged.excused():
        yield Cap("B", Reason(f"{experiment} makes {name} undecidable: {why}", "run the scenario without it too"))
    if judged.has_no_adapter and judged.scenario.audit == "none":
        yield Cap("B", Reason(UNAUDITED.rstrip("."), _WRITE_ADAPTER))
    own = judged.scenario.platform is not None and not judged.has_no_adapter
    if own and Capability.ORDER_EXPORT not in judged.run.capabilities:
        text = "the platform shows no export of its orders: whether they are as fans were told was seen by nobody"
        yield Cap("B", Reason(text, "let the adapter declare ORDER_EXPORT and read the orders"))
    yield from (Cap("B", reason) for reason in judged.ends.caps())
    if own and any(one.name == _LEFT_AT_REST and one.status is Status.NOT_OBSERVABLE for one in judged.invariants):
        text = "the platform does not show what is left of its pools: tickets that vanish were seen by nobody"
        yield Cap("B", Reason(text, "let the adapter read it: stock(api), with what is free"))
    if judged.generator is not None and judged.generator.validity is Validity.DEGRADED:
        text = f"the load generator was DEGRADED: {'; '.join(judged.generator.reasons)}"
        yield Cap("B", Reason(text, "give it more cores or workers, or ask for fewer users"))


def _deciding(caps: Sequence[Cap], score: float | None, letter: str | None) -> list[Cap]:
    """The caps that hold the letter below what the score would give."""
    if score is None or letter is None or letter_of(score) == letter:
        return []
    return [cap for cap in caps if cap.letter == letter]


def _graded(score: float, letter: str, caps: Sequence[Cap]) -> str:
    deciding = _deciding(caps, score, letter)
    if not deciding:
        return f"Grade {letter} ({amounts.points(score)} of 100)"
    more = f", and {len(deciding) - 1} more" if len(deciding) > 1 else ""
    return f"{amounts.points(score)} by its objectives, held at {letter} because {deciding[0].reason.text}{more}"


def _evidence_in_doubt(judged: Judgement) -> Iterator[Reason]:
    if not judged.run.complete:
        yield Reason(_incomplete(judged.run.anomalies), "mend what ended it, and rehearse again")
        return
    load = judged.run.load
    if load is None:
        yield Reason("The run released nobody.", "rehearse again")
        return
    again = "rehearse again; if it stays, see the swarm's log"
    if load.requests_sent != load.samples_recorded:
        text = f"{load.requests_sent:,} requests were sent but {load.samples_recorded:,} samples recorded."
        yield Reason(text, again)
    if load.samples_recorded != judged.requests_in_record:
        text = f"{load.samples_recorded:,} samples were recorded but {judged.requests_in_record:,} are in the record."
        yield Reason(text, again)


def _incomplete(anomalies: Sequence[Anomaly]) -> str:
    """What ended the run, when that is known; else what is missing."""
    ended = [one.text for one in anomalies if one.source == OWN_SOURCE]
    if ended:
        return f"The run {ended[-1]}."
    own = [one for one in anomalies if one.source != "run.json"]  # that note says no more than this reason
    why = f"{own[-1].source}: {own[-1].text}" if own else "the run never finished"
    return f"The record is incomplete: {why}."


def _violated(judged: Judgement) -> Iterator[Reason]:
    """A reason for each violated invariant; the first sentence names all of them."""
    violated = [result for result in judged.invariants if result.status is Status.VIOLATED]
    for at, result in enumerate(violated):
        first = result.violations[0].summary if result.violations else "see the report"
        titles = ", ".join(_said(other) for other in violated[1:]) if at == 0 else ""
        also = f"; also violated: {titles}" if titles else ""
        text = f"Violated: {_said(result)} ({result.violations_total:,} found; first: {first}){also}."
        yield Reason(text, "follow the counter-example, see the runbook")


def _instrument_in_doubt(judged: Judgement) -> Iterator[Reason]:
    generator = judged.generator
    if generator is None or generator.validity is Validity.INVALID:
        reasons = "; ".join(generator.reasons) if generator else "nothing is known of it"
        yield Reason(f"The load generator was not valid: {reasons}.", "give it more cores or workers, or fewer users")
    if judged.missing_operations:
        text = f"{judged.missing_operations:,} operations are missing from the record."
        yield Reason(text, "rehearse again; if it stays, see the swarm's log")
    if judged.not_shown:
        text = f"What fans did cannot be told: {judged.not_shown}."
        yield Reason(text, "let the adapter record each verb as an operation, see harness/platform.py")
    yield from _crashed(judged)
    for fault in judged.faults:
        if not fault.proven:
            text = f"The fault {fault.experiment} was never proven: {fault.error or 'its canary saw no effect'}."
            yield Reason(text, "see the fault's canary in the report")
        elif fault.healed_s is None:
            text = f"The fault {fault.experiment} was never seen healed: {fault.error or 'its canary saw no recovery'}."
            yield Reason(text, "gatecrash chaos status; gatecrash chaos heal")
    for skipped in judged.faults_skipped():
        yield Reason(f"The fault {skipped} was planned but never carried out.", "see faults.json")


def _crashed(judged: Judgement) -> Iterator[Reason]:
    load = judged.run.load
    crashes = load.crashes if load else ()
    released = load.users_released if load else 0
    for of, found, came in ((" ", crashes, released), *_crashes_by_kind(judged)):
        crashed = sum(crash.count for crash in found)
        if crashed > _CRASHED_RATIO_MAX * came:
            first = found[0]
            places = f" and {len(found) - 1} other places" if len(found) > 1 else ""
            text = f"{crashed:,} of {came:,}{of}journeys crashed: {first.what}, at {first.where}{places}."
            yield Reason(text, f"mend {first.where}: an adapter answers whatever the platform sends, it never raises")
            return


def _crashes_by_kind(judged: Judgement) -> Iterator[tuple[str, Sequence[CrashSummary], int]]:
    """(words, crashes, users who came) of each kind: many sound spectators do not make up for crashed fans."""
    load = judged.scenario.load
    came = {"fan": load.fans, "bot": load.bots, "lurker": load.lurkers, "spectator": load.spectators}
    crashes = judged.run.load.crashes if judged.run.load else ()
    for kind, users in came.items():
        if found := [crash for crash in crashes if crash.kind == kind]:
            yield f" {kind} ", found, users


def _no_sale(judged: Judgement) -> Iterator[Reason]:
    if judged.sale:
        yield Reason(f"The sale did not take place: {judged.sale}.", "see the funnel, and the platform's logs")


def _missed(judged: Judgement) -> Iterator[Reason]:
    for sli in judged.slis:
        objective = judged.scenario.objectives_judged.get(sli.name)
        if objective and objective.required and sli.score == 0.0:
            value, worst = amounts.amounts(sli.unit, sli.value or 0.0, objective.worst)
            where = "at" if sli.value == objective.worst else "beyond"
            text = f"{sli.title} is {value}, {where} the worst allowed of {worst}."
            yield Reason(text, "see the indicator's runbook")
    for _, fault, expectation in judged.expectations("missed"):
        text = f"{fault.experiment}: expected {expectation.expected}, observed {expectation.observed}."
        yield Reason(text, "see the fault's runbook")


def _unseen(judged: Judgement) -> Iterator[Reason]:
    """The reasons for NO VERDICT: what is required and was not seen."""
    if judged.has_no_adapter and judged.scenario.audit == "required":
        yield Reason(UNAUDITED, f"{_WRITE_ADAPTER}; or set audit: none, to be judged by what was seen")
    for result in judged.undecided():
        why = result.note or "the run could not tell"
        yield Reason(f"Could not be decided: {_said(result)} ({why}).", "make it visible, or rehearse again")
    for sli in judged.unmeasured():
        text = f"{sli.title} is required and could not be measured."
        yield Reason(text, "expose it, or set required: false on the objective")
    for _, fault, expectation in judged.expectations("unknown"):
        text = f"{fault.experiment}: whether {expectation.name!r} could not be told: {expectation.observed}."
        yield Reason(text, "make it visible, or take the expectation out of the experiment")
    yield from judged.ends.reasons()
    if not judged.run.at_rest and not judged.has_no_adapter:
        why = "; ".join(judged.run.unrest) or "nobody could tell whether it was at rest"
        yield Reason(
            f"The platform did not come to rest: {why}.", "raise settle_timeout_s, and see the platform's logs"
        )


def _said(result: InvariantResult) -> str:
    return INVARIANTS[result.name].title.lower()


def _praise(judged: Judgement) -> str:
    held = sum(1 for result in judged.invariants if result.status is Status.HELD)
    audited = "nothing audited" if judged.has_no_adapter else f"{held} invariants held"
    against = [sli for sli in judged.slis if sli.objective is not None]
    met = sum(1 for sli in against if sli.met)
    faults = len(judged.faults)
    proven = f"{faults} fault{'s' * (faults > 1)} proven and healed" if faults else "no fault injected"
    return f"{audited}, {met} of {len(against)} objectives met, {proven}"


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
        samples_summed=load.summed,
    )
