"""Invariants: what was checked, what was found, and the smallest history that shows one broken."""

from __future__ import annotations

from harness.record.schema import SelfTestSummary, Struct
from harness.record.verdict import InvariantResult, Violation
from reports import text
from reports.view import words
from reports.view.words import State


class HistoryLine(Struct, frozen=True):
    """One line of a history."""

    at: str
    actor: str
    text: str


class ViolationView(Struct, frozen=True):
    """One violation, as a list that a person can follow."""

    summary: str
    history: tuple[HistoryLine, ...]
    faults: str


class InvariantView(Struct, frozen=True):
    """One invariant."""

    name: str
    title: str
    state: State
    chances: str
    checked: str
    unknowns: str
    sum_up: str
    check: str
    note: str
    violations: tuple[ViolationView, ...]
    more: str


def invariants(results: tuple[InvariantResult, ...]) -> tuple[InvariantView, ...]:
    """In the order of the verdict."""
    return tuple(_view(result) for result in results)


def selftest(last: SelfTestSummary | None) -> str:
    """Whether the checkers were shown to see, for this version: one sentence."""
    if last is None:
        return "No self-test has shown yet that this version's checkers see: gatecrash selftest does."
    return f"The last self-test of these checkers {'passed' if last.passed else 'FAILED'}: {last.sentence}."


def _view(result: InvariantResult) -> InvariantView:
    hidden = result.violations_total - len(result.violations)
    return InvariantView(
        name=result.name,
        title=words.invariant(result.name),
        state=words.state(result.status.value),
        chances=text.count(result.chances),
        checked=text.count(result.operations_checked),
        unknowns=text.count(result.unknowns),
        sum_up=_sum_up(result),
        check=words.check(result.name),
        note=result.note,
        violations=tuple(_violation(violation) for violation in result.violations),
        more=f"and {text.counted(hidden, 'more violation')} like these" if hidden > 0 else "",
    )


def _sum_up(result: InvariantResult) -> str:
    tested = f"Put to the test {text.counted(result.chances, 'time')}" if result.chances else "Not put to the test"
    tested += f" ({result.chance})" if result.chance else ""
    checked = f"{text.count(result.operations_checked)} checked, {text.count(result.unknowns)} unknown"
    checked = checked if result.operations_checked or result.unknowns else "nothing was checked"
    return f"{tested}; {checked}. {text.capitalised(result.note)}".strip()


def _violation(violation: Violation) -> ViolationView:
    lines = tuple(
        HistoryLine(at=text.exactly_at(step.t_s), actor=step.actor, text=step.text.removeprefix(f"{step.actor} "))
        for step in violation.history
    )
    faults = ", ".join(violation.faults)
    return ViolationView(summary=violation.summary, history=lines, faults=faults or "no fault")
