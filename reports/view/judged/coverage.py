"""What was broken and what was not, component by component: the matrix of components and faults."""

from __future__ import annotations

from harness.record.schema import Struct
from harness.record.verdict import Coverage
from reports.view import words
from reports.view.words import State


class Cell(Struct, frozen=True):
    """One experiment of a component."""

    experiment: str
    kind: str
    state: State
    note: str


class CoverageRow(Struct, frozen=True):
    """All experiments of one component."""

    component: str
    cells: tuple[Cell, ...]
    tally: str


def matrix(coverage: tuple[Coverage, ...]) -> tuple[CoverageRow, ...]:
    """A row for each component, in the order of their names."""
    by_component: dict[str, list[Coverage]] = {}
    for one in coverage:
        by_component.setdefault(one.component, []).append(one)
    return tuple(_row(component, members) for component, members in sorted(by_component.items()))


def _row(component: str, members: list[Coverage]) -> CoverageRow:
    proven = sum(one.status == "proven" for one in members)
    cells = tuple(
        Cell(experiment=one.experiment, kind=one.kind, state=words.state(one.status), note=one.note) for one in members
    )
    return CoverageRow(component=component, cells=cells, tally=f"{proven} of {len(members)}")
