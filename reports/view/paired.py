"""The treatment beside its control: what the spike did, and what the faults did on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.record.reader import Record
from harness.record.schema import Struct
from harness.record.verdict import Paired, PairedDelta, PairedRow, SliResult, Verdict
from reports import text
from reports.view import words
from reports.view.charts import overlay
from reports.view.charts.overlay import Overlay
from reports.view.front.headline import Fact
from reports.view.words import State

_PHASES: Final = ("before", "during", "after")
_NARROWEST: Final = 0.01  # an interval narrower than that share of the difference is as clear as one of that width
_WHY_FIRST: Final = "The control went first, so that nothing a fault leaves behind could reach it."


class Cell(Struct, frozen=True):
    """A difference with its interval; all "" where neither run has a sample."""

    delta: str
    interval: str
    state: State | None


class ObjectiveRow(Struct, frozen=True):
    """One objective in both runs, and what it was missed by."""

    name: str
    title: str
    objective: str
    control: str
    treatment: str
    difference: Cell
    cause: State


class PhaseRow(Struct, frozen=True):
    """One indicator, step or ratio of retries around one fault. `recovery`: "" where it was not made worse."""

    title: str
    before: Cell
    during: Cell
    after: Cell
    recovery: str


class FaultPair(Struct, frozen=True):
    """One fault: `rows` are those that it made worse, during it or after it; `others` all the rest."""

    name: str
    sum_up: str
    overlay: Overlay | None
    rows: tuple[PhaseRow, ...]
    others: tuple[PhaseRow, ...]


class PairedView(Struct, frozen=True):
    """The section, whole. `left_out` says why there is nothing to compare; "" when there is."""

    left_out: str
    lede: str
    link: str
    facts: tuple[Fact, ...]
    cautions: tuple[str, ...]
    objectives: tuple[ObjectiveRow, ...]
    sales: Overlay | None
    faults: tuple[FaultPair, ...]
    compared: str


def paired(record: Record, verdict: Verdict, control: Record | None) -> PairedView | None:
    """The section of a paired run; None of one that was not."""
    found = verdict.paired
    if found is None:
        return None
    drawn = overlay.Drawing(control, record) if control is not None and not found.left_out else None
    return PairedView(
        left_out=found.left_out,
        lede=_lede(verdict),
        link=f"{found.control}/report.html",
        facts=_facts(found, verdict),
        cautions=found.cautions,
        objectives=() if found.left_out else _objectives(found, verdict.slis),
        sales=drawn.sales() if drawn else None,
        faults=tuple(_fault(found, name, drawn) for name in dict.fromkeys(phase.fault for phase in found.phases)),
        compared=_compared(found),
    )


def _lede(verdict: Verdict) -> str:
    same = "The same fans came at the same instants twice" if verdict.paired and verdict.paired.matched else "Two runs"
    return (
        f"{same}: once without the faults (the control), once with them. What the control shows too is the spike's "
        f"doing; only the difference is the faults'. {_WHY_FIRST} The grade is that of the run with the faults."
    )


def _facts(found: Paired, verdict: Verdict) -> tuple[Fact, ...]:
    facts = [
        _judged("Without the faults", found.control_verdict, found.control_grade, found.control_score),
        _judged("With the faults", verdict.verdict, verdict.grade, verdict.score),
    ]
    if found.sales is not None:
        sales = found.sales
        facts.append(Fact("Sales lost", text.count(sales.lost), _between(sales.lost_low, sales.lost_high, "fans")))
        worst = f"at most {text.count(sales.most_behind)} behind, {text.at(sales.most_behind_t_s)}"
        facts.append(Fact("Sales late", text.count(sales.late), worst))
    if found.retries:
        whole = found.retries[0].whole
        tries = f"control {text.number(whole.control)}"
        facts.append(Fact("Attempts per operation", text.number(whole.treatment), tries))
    if found.recoveries:
        facts.append(_slowest(found))
    return tuple(facts)


def _judged(label: str, decision: str | None, grade: str | None, score: float | None) -> Fact:
    note = "not graded" if score is None else f"grade {grade}, {text.points(score)} of 100"
    return Fact(label, text.ABSENT if decision is None else str(decision), note)


def _slowest(found: Paired) -> Fact:
    never = [recovery for recovery in found.recoveries if recovery.status == "not_recovered"]
    known = [recovery for recovery in found.recoveries if recovery.recovery_s is not None]
    if never:
        worst = max(never, key=lambda recovery: recovery.watched_s)
        note = f"{worst.title} after {worst.fault}"
        return Fact("Slowest recovery", f">\u00a0{text.seconds(worst.watched_s)}", note, "bad")
    if not known:
        return Fact("Slowest recovery", text.ABSENT, "too few samples after the heal")
    slow = max(known, key=lambda recovery: recovery.recovery_s or 0.0)
    return Fact("Slowest recovery", text.seconds(slow.recovery_s), f"{slow.title} after {slow.fault}")


def _objectives(found: Paired, slis: Sequence[SliResult]) -> tuple[ObjectiveRow, ...]:
    causes = {cause.indicator: cause.cause for cause in found.causes}
    rows = {row.name: row for row in found.indicators}
    return tuple(
        ObjectiveRow(
            name=sli.name,
            title=sli.title or text.sentence(sli.name),
            objective=f"{'≤' if sli.better == 'lower' else '≥'}\u00a0{quantity(sli.objective, sli.unit)}",
            control=quantity(rows[sli.name].whole.control, sli.unit),
            treatment=quantity(rows[sli.name].whole.treatment, sli.unit),
            difference=cell(rows[sli.name].whole, sli.unit),
            cause=words.state(f"cause_{causes.get(sli.name, 'unknown')}"),
        )
        for sli in slis
        if sli.objective is not None and sli.name in rows
    )


def _fault(found: Paired, name: str, drawn: overlay.Drawing | None) -> FaultPair:
    every = [row for row in (*found.indicators, *found.steps, *found.retries) if _parts(row, name)]
    worse = [row for row in every if "worse" in (_effect(row, name, "during"), _effect(row, name, "after"))]
    main = _main_row(found.indicators, name)
    return FaultPair(
        name=name,
        sum_up=_sum_up(found, name, main),
        overlay=drawn.around(main, [phase for phase in found.phases if phase.fault == name])
        if drawn and main
        else None,
        rows=tuple(_phase_row(row, name, found) for row in worse),
        others=tuple(_phase_row(row, name, found) for row in every if row not in worse),
    )


def _parts(row: PairedRow, fault: str) -> dict[str, PairedDelta]:
    return {part.phase: part.delta for part in row.phases if part.fault == fault}


def _main_row(rows: Sequence[PairedRow], fault: str) -> PairedRow | None:
    """The indicator that the fault made worse most clearly: by the difference against the width of its interval."""
    hurt = [(_clearness(row, fault, phase), row) for phase in ("during", "after") for row in rows]
    clear = [(clearness, row) for clearness, row in hurt if clearness > 0]
    if clear:
        return max(clear, key=lambda pair: pair[0])[1]
    return next((row for row in rows if row.name == "error_ratio"), None)


def _clearness(row: PairedRow, fault: str, phase: str) -> float:
    part = _parts(row, fault).get(phase)
    if part is None or part.effect != "worse" or part.delta is None or part.low is None or part.high is None:
        return 0.0
    return abs(part.delta) / max(part.high - part.low, _NARROWEST * abs(part.delta))


def _sum_up(found: Paired, fault: str, main: PairedRow | None) -> str:
    during = [row for row in found.indicators if _effect(row, fault, "during") == "worse"]
    after = [row for row in found.indicators if _effect(row, fault, "after") == "worse" and row not in during]
    said = []
    if main is not None and (main in during or main in after):
        phase = "during" if main in during else "after"
        part = _parts(main, fault)[phase]
        when = "While it was in force" if phase == "during" else "After its heal"
        told = f"{quantity(part.treatment, main.unit)} instead of {quantity(part.control, main.unit)}"
        said.append(f"{when}: {_small(main.title)} {told}.")
    else:
        said.append("No indicator was worse than in the control, as far as so many samples can tell.")
    others = [_small(row.title) for row in (*during, *after) if row is not main]
    if others:
        said.append(f"Also worse: {', '.join(others)}.")
    return " ".join(said)


def _small(title: str) -> str:
    return title[:1].lower() + title[1:]


def quantity(value: float | None, unit: str) -> str:
    """A value as the section writes it: times in the unit that reads best."""
    if unit == "ms":
        return text.milliseconds(value)
    return text.number(value) if unit == "attempts" else text.quantity(value, unit)


def _effect(row: PairedRow, fault: str, phase: str) -> str:
    part = _parts(row, fault).get(phase)
    return "" if part is None else part.effect


def _phase_row(row: PairedRow, fault: str, found: Paired) -> PhaseRow:
    parts = _parts(row, fault)
    before, during, after = (cell(parts.get(phase), row.unit) for phase in _PHASES)
    return PhaseRow(
        title=row.title, before=before, during=during, after=after, recovery=_recovery(found, fault, row.name)
    )


def _recovery(found: Paired, fault: str, indicator: str) -> str:
    for recovery in found.recoveries:
        if (recovery.fault, recovery.indicator) != (fault, indicator):
            continue
        if recovery.status == "recovered":
            return "at once" if recovery.recovery_s == 0 else text.seconds(recovery.recovery_s)
        if recovery.status == "not_recovered":
            return f"not within {text.seconds(recovery.watched_s)}"
        return "too few samples"
    return ""


def cell(part: PairedDelta | None, unit: str) -> Cell:
    """A difference as the section writes it."""
    if part is None:
        return Cell(delta="", interval="", state=None)
    if part.delta is None:
        return Cell(delta=text.ABSENT, interval=_one_sided(part, unit), state=None)
    told = part.low is not None and part.high is not None
    interval = f"{_signed(part.low, unit)} to {_signed(part.high, unit)}" if told else part.note
    return Cell(delta=_signed(part.delta, unit), interval=interval, state=words.state(f"effect_{part.effect}"))


def _one_sided(part: PairedDelta, unit: str) -> str:
    """What there is where only one run has a sample."""
    if part.control is not None:
        return f"only the control: {text.quantity(part.control, unit)}"
    if part.treatment is not None:
        return f"only with the fault: {text.quantity(part.treatment, unit)}"
    return "no sample"


def _signed(value: float | None, unit: str) -> str:
    if value is None:
        return text.ABSENT
    if value == 0:
        return "0"
    sign = "+" if value > 0 else "−"
    if unit == "ratio":
        return f"{sign}{text.number(round(abs(value) * 100, 2))}\u00a0points"
    return f"{sign}{quantity(abs(value), unit)}"


def _between(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None:
        return "no interval: too few fans"
    return f"95\u00a0%: {text.number(round(low))} to {text.number(round(high))} {unit}"


def _compared(found: Paired) -> str:
    rows = (*found.indicators, *found.steps, *found.retries)
    count = sum(1 for row in rows for part in row.phases if part.delta.effect != "unknown")
    return (
        f"Intervals are 95 %, from drawing whole fans again and, separately, whole half-seconds; the wider "
        f"one is given. Of {text.count(count)} comparisons about one in twenty differs by chance alone. How another "
        "pair of runs would differ is not in them."
    )
