"""What changed from one verdict to the next. A change of an indicator counts only if it matters. Pure.

Runs differ by chance. A change matters when the objective is met in one run and missed in the other, or its score moved
by the smallest effect that matters, or, without an objective, its value did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.amounts import amount, number
from harness.record.schema import Struct
from harness.record.verdict import Finding, SliResult, Status, Verdict

_POINTS: Final = 5.0
_SHARE: Final = 0.2


class SmallestEffect(Struct, frozen=True):
    """The smallest effect that matters: of a score in `points`, of a value as a share of the larger one."""

    points: float = _POINTS
    share: float = _SHARE

    @property
    def in_words(self) -> str:
        """For people."""
        return (
            f"A score counts as changed from {number(self.points)} points on, a value without an objective from "
            f"{amount(self.share, 'ratio')} of the larger one on; an objective met in one run only always counts."
        )

    def is_reached(self, was: float, now: float) -> bool:
        """Whether a value changed by so much."""
        return abs(was - now) > self.share * max(abs(was), abs(now))


USUAL: Final = SmallestEffect()


class IndicatorChange(Struct, frozen=True):
    """One indicator that changed by enough to matter. `worse`: whether it is worse now."""

    name: str
    title: str
    unit: str
    base: float
    run: float
    worse: bool


class InvariantChange(Struct, frozen=True):
    """One invariant with another status than before."""

    name: str
    base: Status
    run: Status

    @property
    def worse(self) -> bool:
        """Whether it was held before, or is violated now."""
        return self.base is Status.HELD or self.run is Status.VIOLATED

    @property
    def effect(self) -> str:
        """worse | better | changed: only what is held now is better."""
        return "worse" if self.worse else "better" if self.run is Status.HELD else "changed"


class Change(Struct, frozen=True):
    """From `base` to the run: findings that are new or gone, indicators and invariants that changed."""

    new: tuple[Finding, ...]
    gone: tuple[Finding, ...]
    indicators: tuple[IndicatorChange, ...]
    invariants: tuple[InvariantChange, ...]
    is_regression: bool


def change(base: Verdict, run: Verdict, smallest: SmallestEffect = USUAL) -> Change:
    """What changed, the worse first. A regression: verdict, grade, an invariant or an objective is worse."""
    before, now = {one.id: one for one in base.findings}, {one.id: one for one in run.findings}
    indicators = tuple(sorted(_indicators(base, run, smallest), key=lambda one: not one.worse))
    invariants = tuple(sorted(_invariants(base, run), key=lambda one: not one.worse))
    worse_word = base.verdict.value == "READY" and run.verdict.value != "READY"
    worse_grade = base.grade is not None and (run.grade is None or run.grade > base.grade)
    return Change(
        new=tuple(one for key, one in now.items() if key not in before),
        gone=tuple(one for key, one in before.items() if key not in now),
        indicators=indicators,
        invariants=invariants,
        is_regression=worse_word
        or worse_grade
        or any(one.worse for one in invariants)
        or any(one.worse for one in indicators if _has_objective(run, one.name)),
    )


def _indicators(base: Verdict, run: Verdict, smallest: SmallestEffect) -> Iterator[IndicatorChange]:
    before = {sli.name: sli for sli in base.slis}
    for now in run.slis:
        was = before.get(now.name)
        found = None if was is None else indicator_change(was, now, smallest)
        if found is not None:
            yield found


def indicator_change(was: SliResult, now: SliResult, smallest: SmallestEffect = USUAL) -> IndicatorChange | None:
    """How an indicator changed; null where it did not by enough to be told."""
    if was.value is None or now.value is None or not matters(was, now, smallest):
        return None
    worse = now.value > was.value if now.better == "lower" else now.value < was.value
    return IndicatorChange(name=now.name, title=now.title, unit=now.unit, base=was.value, run=now.value, worse=worse)


def matters(was: SliResult, now: SliResult, smallest: SmallestEffect = USUAL) -> bool:
    """Whether a change of an indicator is large enough to be told."""
    if was.value is None or now.value is None:
        return False
    if was.score is not None and now.score is not None:
        return was.met != now.met or abs(was.score - now.score) >= smallest.points
    return smallest.is_reached(was.value, now.value)


def _invariants(base: Verdict, run: Verdict) -> Iterator[InvariantChange]:
    before = {one.name: one.status for one in base.invariants}
    for one in run.invariants:
        was = before.get(one.name)
        if was is not None and was is not one.status:
            yield InvariantChange(name=one.name, base=was, run=one.status)


def _has_objective(run: Verdict, name: str) -> bool:
    return any(sli.name == name and sli.objective is not None for sli in run.slis)
