"""The runs of a folder as rows: each with what changed since the last run that it can be compared with."""

from __future__ import annotations

from collections.abc import Sequence

from harness.amounts import points
from harness.record.schema import Struct
from harness.record.verdict import Status, Verdict
from harness.runs.change import change
from harness.runs.comparable import why_not
from harness.runs.past import PastRun


class RunRow(Struct, frozen=True):
    """One run. `since`: what changed, in words, or why nothing is said."""

    run_id: str
    released: str
    scenario: str
    verdict: str
    grade: str
    score: float | None
    not_held: tuple[str, ...]
    findings: int
    compared_with: str
    regression: bool | None
    since: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        score = "–" if self.score is None else points(self.score)
        broken = ", ".join(self.not_held) or "–"
        return (
            self.run_id, self.scenario, self.verdict, self.grade or "–", score, broken, f"{self.findings}", self.since
        )  # fmt: skip


def rows(found: Sequence[PastRun]) -> tuple[RunRow, ...]:
    """These runs, in the order of release."""
    return tuple(_row(run, found[:at]) for at, run in enumerate(found))


def _row(one: PastRun, earlier: Sequence[PastRun]) -> RunRow:
    verdict = one.verdict
    last = next((other for other in reversed(earlier) if not why_not(other.run, one.run)), None)
    found = None if last is None else change(last.verdict, verdict)
    return RunRow(
        run_id=one.root.name,
        released=one.began,
        scenario=verdict.scenario,
        verdict=verdict.verdict.value,
        grade=verdict.grade or "",
        score=verdict.score,
        not_held=tuple(result.name for result in verdict.invariants if result.status is Status.VIOLATED),
        findings=len(verdict.findings),
        compared_with="" if last is None else last.root.name,
        regression=None if found is None else found.is_regression,
        since=_why_none(earlier, one) if last is None else _in_words(last.verdict, verdict),
    )


def _in_words(base: Verdict, run: Verdict) -> str:
    found = change(base, run)
    worse = [one.title for one in found.indicators if one.worse] + [one.name for one in found.invariants if one.worse]
    better = [one.title for one in found.indicators if not one.worse]
    parts = [f"worse: {', '.join(worse)}"] if worse else []
    parts += [f"better: {', '.join(better)}"] if better else []
    parts += [f"{len(found.new)} new findings"] if found.new else []
    parts += [f"{len(found.gone)} gone"] if found.gone else []
    return "; ".join(parts) or "nothing that matters"


def _why_none(earlier: Sequence[PastRun], one: PastRun) -> str:
    same = [other for other in earlier if other.run.scenario_name == one.run.scenario_name]
    if not same:
        return "the first of its scenario"
    return f"not comparable with {same[-1].root.name}: {why_not(same[-1].run, one.run)}"
