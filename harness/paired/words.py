"""Tells a comparison in a few lines, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from harness.amounts import points
from harness.paired.phases import DURING
from harness.record.verdict import Paired, PairedRow


def in_words(paired: Paired) -> Iterator[str]:
    """The control's result, then what each fault made worse while it was in force, or why that is not known."""
    if paired.control_verdict is not None:
        score = paired.control_score
        grade = "" if score is None else f", grade {paired.control_grade} ({points(score)}/100)"
        yield f"control, without the faults: {paired.control_verdict}{grade}"
    if paired.left_out:
        yield f"what the faults did cannot be told: {paired.left_out}"
        return
    for fault in dict.fromkeys(phase.fault for phase in paired.phases):
        worse = ", ".join(row.title for row in paired.indicators if _worse(row, fault))
        yield f"  {fault}: {f'worse than the control: {worse}' if worse else 'no indicator worse than the control'}"
    if paired.sales is not None:
        yield f"  sales: {paired.sales.lost:,} lost, {paired.sales.late:,} late"
    for caution in paired.cautions:
        yield f"  caution: {caution}"


def _worse(row: PairedRow, fault: str) -> bool:
    return any(part.fault == fault and part.phase == DURING and part.delta.effect == "worse" for part in row.phases)
