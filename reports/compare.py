"""Compares two records, as rows for the terminal: by indicator, then by phase of each fault."""

from __future__ import annotations

from collections.abc import Iterator

from harness.record.schema import Struct
from harness.record.verdict import Paired, PairedDelta, PairedRow
from reports.view.paired import cell, quantity


class CompareRow(Struct, frozen=True):
    """One difference, ready to print. `when`: the whole run, or a phase of a fault."""

    when: str
    title: str
    base: str
    run: str
    difference: str
    interval: str
    effect: str


def rows(found: Paired) -> Iterator[CompareRow]:
    """A row for every indicator over the whole run, then for what was worse or better in a phase of a fault."""
    for row in found.indicators:
        yield _row("whole run", row, row.whole)
    for phase in found.phases:
        for row in (*found.indicators, *found.retries):
            for part in row.phases:
                same = (part.fault, part.phase) == (phase.fault, phase.phase)
                if same and part.delta.effect in ("worse", "better"):
                    yield _row(f"{phase.phase} {phase.fault}", row, part.delta)


def _row(when: str, row: PairedRow, delta: PairedDelta) -> CompareRow:
    shown = cell(delta, row.unit)
    return CompareRow(
        when=when,
        title=row.title,
        base=quantity(delta.control, row.unit),
        run=quantity(delta.treatment, row.unit),
        difference=shown.delta,
        interval=shown.interval,
        effect=shown.state.word if shown.state else "",
    )
