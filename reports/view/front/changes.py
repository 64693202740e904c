"""What changed from one run to another, as rows: on page one, in the index of runs, in a comparison."""

from __future__ import annotations

from collections.abc import Iterator

from harness.judging.findings import objective_id
from harness.record.schema import Struct
from harness.record.verdict import Verdict
from harness.runs.change import Change
from reports import text
from reports.view import words
from reports.view.words import State


class ChangeRow(Struct, frozen=True):
    """One change."""

    state: State
    text: str


def in_brief(verdict: Verdict) -> str:
    """`READY, grade B (86.4)`."""
    graded = "" if verdict.grade is None else f", grade {verdict.grade} ({text.points(verdict.score)})"
    return f"{verdict.verdict.value}{graded}"


def change_rows(found: Change) -> Iterator[ChangeRow]:
    """What changed by enough to matter: invariants, indicators, then findings that say more than these."""
    worse, better = words.state("effect_worse"), words.state("effect_better")
    for invariant in found.invariants:
        now = words.state(invariant.run.value).word
        yield ChangeRow(
            state=words.state(f"effect_{invariant.effect}"), text=f"{words.invariant(invariant.name)}: {now} now"
        )
    for one in found.indicators:
        was, now = text.quantities(one.unit, one.base, one.run)
        yield ChangeRow(state=worse if one.worse else better, text=f"{one.title}: {was} → {now}")
    told = {objective_id(one.name) for one in found.indicators}
    for finding in found.new:
        if finding.id not in told:
            yield ChangeRow(state=words.state("finding_new"), text=finding.title)
    for finding in found.gone:
        if finding.id not in told:
            yield ChangeRow(state=words.state("finding_gone"), text=finding.title)
