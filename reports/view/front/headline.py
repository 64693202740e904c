"""The first screen: the verdict and its reasons, the load asked and delivered, the health of the load generator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.judging.why import why
from harness.record.schema import RunDocument, Struct
from harness.record.verdict import (
    Decision,
    Finding,
    GeneratorResult,
    InvariantResult,
    LoadResult,
    Overstatement,
    SliResult,
    Verdict,
)
from harness.runs.lessons import Lessons, standing
from reports import text
from reports.view import words
from reports.view.front import runbooks
from reports.view.journeys import waterfalls
from reports.view.words import State

_TONES: Final = {Decision.READY: "good", Decision.NOT_READY: "bad", Decision.NO_VERDICT: "warn"}
_REASONS_MAX: Final = 6
_GIST_LENGTH: Final = 160  # characters: two lines
_MEANINGS: Final = {
    Decision.READY: "By what this rehearsal saw, the sale can open.",
    Decision.NOT_READY: "The sale should not open like this. Act on the findings, then rehearse again.",
    Decision.NO_VERDICT: "This rehearsal proves nothing either way. Mend what is named here, then rehearse again.",
}
_WHY: Final = {
    Decision.NOT_READY.value: "Not ready because",
    Decision.NO_VERDICT.value: "No verdict because",
    "excused": "Excused by the experiment's own file",
}
SEVERITIES: Final = ("critical", "major", "minor", "info")


class Fact(Struct, frozen=True):
    """One figure with its label and, in small print, what it is measured against."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


class Chip(Struct, frozen=True):
    """One invariant in the row on the first screen."""

    name: str
    title: str
    state: State
    checked: str


class FindingView(Struct, frozen=True):
    """One finding, ready to print. `gist`: as much of the evidence as the first screen has room for.

    `anchor`: the id of the runbook in the page; "" when it is not in it. `request`: that of a request which shows the
    cause, span by span. `standing`: since when it is open, and
    who owns it.
    """

    state: State
    title: str
    evidence: str
    runbook: str
    cause: str = ""
    request: str = ""
    anchor: str = ""
    standing: str = ""

    @property
    def gist(self) -> str:
        """The evidence, or its first sentence where it is long."""
        whole = len(self.evidence) <= _GIST_LENGTH
        return self.evidence if whole else self.evidence.partition(". ")[0] + "."


class WhyGroup(Struct, frozen=True):
    """Reasons of one kind, each with what to do about it."""

    title: str
    lines: tuple[tuple[str, str], ...]


class Headline(Struct, frozen=True):
    """Everything above the fold. `reason`: "" where the list below says the same."""

    word: str
    tone: str
    meaning: str
    graded: bool
    grade: str
    score: str
    reason: str
    why: tuple[WhyGroup, ...]
    scenario: str
    description: str
    run_id: str
    when: str
    load: tuple[Fact, ...]
    instrument: State | None
    instrument_facts: tuple[Fact, ...]
    instrument_reasons: tuple[str, ...]
    chips: tuple[Chip, ...]
    tally: str
    weakest: FindingView | None


def headline(run: RunDocument, verdict: Verdict) -> Headline:
    """The first screen of a verdict."""
    return Headline(
        word=verdict.verdict.value,
        tone=_TONES[verdict.verdict],
        meaning=_meaning(verdict),
        graded=verdict.grade is not None,
        grade=verdict.grade or text.ABSENT,
        score=text.points(verdict.score),
        reason="" if any(line.text == verdict.reason for line in why(verdict)) else verdict.reason,
        why=_why(verdict),
        scenario=verdict.scenario,
        description=str(run.scenario.get("description", "")),
        run_id=verdict.run_id,
        when=_when(verdict.t0),
        load=_load(verdict.load),
        instrument=None if verdict.generator is None else words.state(verdict.generator.validity.value),
        instrument_facts=_instrument(verdict.generator),
        instrument_reasons=() if verdict.generator is None else _few(verdict.generator.reasons),
        chips=tuple(_chip(result) for result in verdict.invariants),
        tally=_tally(verdict.invariants),
        weakest=_weakest_of(verdict),
    )


def _why(verdict: Verdict) -> tuple[WhyGroup, ...]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for line in why(verdict):
        groups.setdefault(line.of, []).append((line.text, line.action))
    return tuple(
        WhyGroup(title=_WHY.get(of, f"{text.capitalised(of)} because"), lines=tuple(lines))
        for of, lines in groups.items()
    )


def _meaning(verdict: Verdict) -> str:
    weak = verdict.verdict is Decision.READY and verdict.findings
    told = _MEANINGS[verdict.verdict] + (" The findings say where it is weak." if weak else "")
    return f"{told} {verdict.unaudited}".rstrip()


def findings(verdict: Verdict, lessons: Lessons) -> tuple[FindingView, ...]:
    """Findings, gravest first; equals keep their order. `lessons`: what is known of them from other runs."""
    known = lessons.of(verdict.scenario)
    day = text.day(verdict.t0)
    return tuple(
        _finding(verdict, finding, standing(known.get(finding.id), verdict.run_id, day))
        for finding in _ranked(verdict.findings)
    )


def _ranked(found: tuple[Finding, ...]) -> list[Finding]:
    def rank(finding: Finding) -> int:
        return SEVERITIES.index(finding.severity) if finding.severity in SEVERITIES else len(SEVERITIES)

    return sorted(found, key=rank)


def _finding(verdict: Verdict, finding: Finding, stands: str) -> FindingView:
    cause = verdict.cause_of(finding.id)
    return FindingView(
        state=words.state(finding.severity),
        title=finding.title,
        evidence=finding.evidence,
        runbook=finding.runbook,
        anchor=runbooks.anchor_of(finding.runbook),
        standing=stands,
        cause="" if cause is None else text.capitalised(cause.sentence),
        request=waterfalls.linked(verdict, cause),
    )


def _few(reasons: tuple[str, ...]) -> tuple[str, ...]:
    hidden = len(reasons) - _REASONS_MAX
    return reasons if hidden <= 0 else (*reasons[:_REASONS_MAX], f"and {text.counted(hidden, 'more reason')}")


def _weakest_of(verdict: Verdict) -> FindingView | None:
    """The indicator with the fewest points; null where none has any."""
    scored = [sli for sli in verdict.slis if sli.score is not None]
    return _weakest(min(scored, key=lambda sli: sli.score or 0.0)) if scored else None


def _weakest(sli: SliResult) -> FindingView:
    value, objective = text.quantities(sli.unit, sli.value, sli.objective)
    evidence = f"{value} against an objective of {objective}"
    met = words.state("met" if sli.met else "missed")
    return FindingView(
        state=met,
        title=sli.title or text.sentence(sli.name),
        evidence=f"{evidence}; {text.points(sli.score)} of 100 points, from {text.counted(sli.samples, 'sample')}.",
        runbook="",
    )


def _load(load: LoadResult | None) -> tuple[Fact, ...]:
    if load is None:
        return ()
    whole = load.users_released == load.users_asked
    counted = load.requests_sent == load.samples_recorded
    sign = "=" if counted else "≠"
    summed = f", {text.count(load.samples_summed)} of them summed up" if load.samples_summed else ""
    return (
        Fact(
            label="Users released",
            value=text.count(load.users_released),
            note=f"of {text.count(load.users_asked)} asked, {text.count(load.users_armed)} armed",
            tone="" if whole else "warn",
        ),
        Fact(
            label="Release window",
            value=text.seconds(load.window_delivered_s),
            note=f"first to last send; {text.seconds(load.window_asked_s)} asked",
        ),
        Fact(
            label="Requests sent",
            value=text.count(load.requests_sent),
            note=f"{sign} {text.count(load.samples_recorded)} samples recorded{summed}",
            tone="" if counted else "bad",
        ),
    )


def _instrument(generator: GeneratorResult | None) -> tuple[Fact, ...]:
    if generator is None:
        return ()
    skew = generator.release_skew_ms
    return (
        Fact(
            label="Release skew, p99",
            value=text.milliseconds(skew.p99),
            note=f"p50 {text.milliseconds(skew.p50)}, max {text.milliseconds(skew.max)} after T0",
        ),
        Fact(
            label="Event-loop lag, p99",
            value=text.milliseconds(generator.loop_lag_ms_p99),
            note=f"CPU at most {text.quantity(generator.cpu_percent_max, '%')} of a core",
        ),
        Fact(
            label="Samples lost",
            value=text.count(generator.samples_lost),
            note=f"clocks agree within {text.milliseconds(generator.clock_uncertainty_ms)}",
            tone="bad" if generator.samples_lost else "",
        ),
        *_overstatement(generator.overstatement_ms),
    )


def _overstatement(by_step: dict[str, Overstatement]) -> Iterator[Fact]:
    """What the generator added to response times: its worst step, and all steps below."""
    during = {name: step for name, step in by_step.items() if name != "settle"}
    if not during:
        return
    name, worst = max(during.items(), key=lambda item: item[1].p99)
    yield Fact(
        label="Added to response times",
        value=f"≤ {text.milliseconds(worst.p99)}",
        note=f"p99, by the generator itself, in {words.step(name).lower()}; see the times by step",
    )


def _chip(result: InvariantResult) -> Chip:
    checked = text.counted(result.chances, "chance") if result.chances else "no chance to break"
    return Chip(
        name=result.name, title=words.invariant(result.name), state=words.state(result.status.value), checked=checked
    )


def _tally(invariants: tuple[InvariantResult, ...]) -> str:
    tallies = dict.fromkeys(("violated", "unknown", "not_observable", "not_exercised", "held"), 0)
    for result in invariants:
        tallies[result.status.value] += 1
    parts = [f"{n} {words.state(name).word}" for name, n in tallies.items() if n]
    return ", ".join(parts)


def _when(t0: str | None) -> str:
    if t0 is None:
        return "never released"
    return f"released {t0[:19].replace('T', ' ')} UTC" if t0.endswith("Z") else f"released {t0}"
