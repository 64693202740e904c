"""The working result of a checker: operations checked, chances, unknowns, and violations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from harness.audit.history import Evidence
from harness.audit.operations import Operation, Value
from harness.record.verdict import HistoryStep, InvariantResult, Status, Violation

VIOLATIONS_KEPT: Final = 10
_MERGE_ORDER: Final = (
    Status.VIOLATED,
    Status.UNKNOWN,
    Status.NOT_OBSERVABLE,
    Status.NOT_EXERCISED,
    Status.HELD,
)


def merge(statuses: Iterable[Status]) -> Status:
    """One status for several: a violation is a fact whatever else is unknown, and only all held is held.

    Of nothing it is unknown.
    """
    found = set(statuses)
    return next((status for status in _MERGE_ORDER if status in found), Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a history with the interval it stands for; no interval: the state at rest."""

    actor: str
    text: str
    interval_s: tuple[float, float] | None = None

    @property
    def step(self) -> HistoryStep:
        """The step as the verdict shows it, at the end of its interval."""
        return HistoryStep(t_s=self.interval_s[1] if self.interval_s else None, actor=self.actor, text=self.text)


def during(operation: Operation[Value], text: str) -> Moment:
    """A step that an operation of the history shows."""
    return Moment(operation.actor, text, (operation.t_invoke_s, operation.t_end_s))


def at_rest(who: str, text: str) -> Moment:
    """A step that was seen after settling; `who` showed it."""
    return Moment(who, text)


@dataclass(slots=True)
class Tally:
    """The working result of one checker. `checked` 0 means that it had nothing to look at, which is never a pass.

    `chances`: how often the run put the invariant to the test. An operation that could not have failed is no chance.
    """

    evidence: Evidence
    checked: int = 0
    unknowns: int = 0
    chances: int | None = None  # null: each thing that was checked is one
    note: str = ""
    undecided: bool = False  # something could not be told that the invariant depends on: never held
    hidden: str = ""  # why this run shows nothing of the invariant: never held
    violations_total: int = 0
    violations: list[Violation] = field(default_factory=list)

    def chance(self, count: int = 1) -> None:
        """Count chances, beside those that were counted before; then what was only looked at is none."""
        self.chances = (self.chances or 0) + count

    def violated(self, summary: str, *moments: Moment) -> None:
        """Count a violation and keep it if it is among the first."""
        self.violations_total += 1
        if len(self.violations) < VIOLATIONS_KEPT:
            self.violations.append(self._violation(summary, moments))

    def _violation(self, summary: str, moments: tuple[Moment, ...]) -> Violation:
        timed = sorted((m for m in moments if m.interval_s), key=lambda m: (m.interval_s or (0.0, 0.0))[::-1])
        resting = [m for m in moments if not m.interval_s]
        faults: dict[str, None] = {}
        for moment in timed:
            if moment.interval_s:
                faults |= dict.fromkeys(self.evidence.faults_between(*moment.interval_s))
        return Violation(summary=summary, history=tuple(m.step for m in [*timed, *resting]), faults=tuple(faults))

    def result(self, name: str) -> InvariantResult:
        """The public result."""
        return InvariantResult(
            name=name,
            status=self._status(),
            operations_checked=self.checked,
            unknowns=self.unknowns,
            violations=tuple(self.violations),
            violations_total=self.violations_total,
            note=self.hidden or self.note or ("" if self.checked else "the record has nothing to check it by"),
            chances=self._chances,
        )

    @property
    def _chances(self) -> int:
        return self.checked if self.chances is None else self.chances

    def _status(self) -> Status:
        found = [Status.HELD if self.checked and not self.undecided else Status.UNKNOWN]
        if found == [Status.HELD] and not self._chances:
            found = [Status.NOT_EXERCISED]
        if self.hidden:
            found = [Status.NOT_OBSERVABLE]
        if self.violations_total:
            found.append(Status.VIOLATED)
        return merge(found)
