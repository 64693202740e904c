"""How scores, indicators and invariants went over runs that can be compared. Pure.

Whether runs can be compared is an equivalence, so each run belongs to exactly one series, however often the scenario,
the machine or a version changed in between.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.record.schema import Struct
from harness.record.verdict import SliResult, Status
from harness.runs.comparable import why_not
from harness.runs.past import PastRun


class IndicatorTrend(Struct, frozen=True):
    """One indicator over the runs of a series; null where a run did not measure it. `newest`: of the last such run.

    `before`: that of the last run but one; null where it did not measure it.
    """

    newest: SliResult
    before: SliResult | None
    values: tuple[float | None, ...]


class InvariantTrend(Struct, frozen=True):
    """One invariant over the runs of a series; null where a run does not know it."""

    name: str
    statuses: tuple[Status | None, ...]


class Series(Struct, frozen=True):
    """Runs that can be compared with one another, the oldest first.

    `apart`: why the first of them cannot be compared with the run of its scenario before; "" where there is none.
    """

    runs: tuple[PastRun, ...]
    apart: str = ""

    @property
    def scenario(self) -> str:
        """Of all its runs."""
        return self.runs[-1].verdict.scenario

    @property
    def scores(self) -> tuple[float | None, ...]:
        """Null where a run was not graded."""
        return tuple(run.verdict.score for run in self.runs)

    def indicators(self) -> tuple[IndicatorTrend, ...]:
        """Those that at least one run measured, in the order of the newest run that has them."""
        by_run = [{sli.name: sli for sli in run.verdict.slis} for run in self.runs]
        newest: dict[str, SliResult] = {}
        for slis in reversed(by_run):
            for name, sli in slis.items():
                if sli.value is not None:
                    newest.setdefault(name, sli)
        return tuple(
            IndicatorTrend(
                newest=sli,
                before=by_run[-2].get(name) if len(by_run) > 1 else None,
                values=tuple(slis[name].value if name in slis else None for slis in by_run),
            )
            for name, sli in newest.items()
        )

    def invariants(self) -> tuple[InvariantTrend, ...]:
        """In the order of the newest run that has them."""
        by_run = [{one.name: one.status for one in run.verdict.invariants} for run in self.runs]
        names = dict.fromkeys(name for statuses in reversed(by_run) for name in statuses)
        return tuple(InvariantTrend(name, tuple(statuses.get(name) for statuses in by_run)) for name in names)


def series(found: Sequence[PastRun]) -> tuple[Series, ...]:
    """The runs, given in the order of release, by what can be compared; the series of the newest run comes last."""
    groups: list[list[PastRun]] = []
    for run in found:
        group = next((group for group in groups if not why_not(group[-1].run, run.run)), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    place = {run.root: at for at, run in enumerate(found)}
    told = [Series(tuple(group), _apart(found[: place[group[0].root]], group[0])) for group in groups]
    return tuple(sorted(told, key=lambda one: place[one.runs[-1].root]))


def _apart(earlier: Sequence[PastRun], first: PastRun) -> str:
    same = [run for run in earlier if run.run.scenario_name == first.run.scenario_name]
    return f"not comparable with {same[-1].root.name}: {why_not(same[-1].run, first.run)}" if same else ""
