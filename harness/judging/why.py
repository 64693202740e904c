"""Explains a verdict: its reasons, the caps on its grade, and what was excused. All report formats use it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from harness.record.verdict import Decision, SliResult, Status, Verdict

REASONS_MAX: Final = 12
_DECIDED: Final = (Status.HELD, Status.VIOLATED)


class Why(msgspec.Struct, frozen=True):
    """One reason: what it explains ("NO VERDICT", "held at B", "excused"), the text, and what to do about it."""

    of: str
    text: str
    action: str


def why(verdict: Verdict) -> tuple[Why, ...]:
    """The reasons against READY, then the caps on the grade, then the excused invariants; long lists are cut.

    The cap at F for a violated invariant is left out: the reasons already name the invariant.
    """
    lines = [Why(verdict.verdict.value, one.text, one.action) for one in verdict.reasons]
    held = [Why(f"held at {verdict.grade}", one.text, one.action) for one in verdict.held_at if verdict.grade != "F"]
    known = {one.text for one in verdict.held_at}
    excused = [one for one in excuses(verdict) if one.text not in known]
    return (*_cut(lines), *_cut(held), *_cut(excused))


def excuses(verdict: Verdict) -> Iterator[Why]:
    """The invariants that are undecided and that a fault was allowed to make undecidable."""
    undecided = {result.name for result in verdict.invariants if result.status not in _DECIDED}
    for fault in verdict.faults:
        for name, reason in fault.makes_undecidable.items():
            if name in undecided:
                text = f"{fault.experiment} makes {name} undecidable: {reason}"
                yield Why("excused", text, "run the scenario without it too")


def decides(verdict: Verdict, sli: SliResult) -> bool:
    """Whether a missed objective is itself a reason for NOT READY; otherwise it costs points only."""
    return verdict.verdict is Decision.NOT_READY and sli.required and sli.score == 0.0


def _cut(lines: list[Why]) -> list[Why]:
    if len(lines) <= REASONS_MAX:
        return lines
    more = Why(lines[0].of, f"and {len(lines) - REASONS_MAX + 1:,} more reasons", "see the findings")
    return [*lines[: REASONS_MAX - 1], more]
