"""Examinations: figures without an objective, with their intervals and what they could have shown."""

from __future__ import annotations

from harness.record.schema import Struct
from harness.record.verdict import Examination, Figure
from reports import text


class FigureRow(Struct, frozen=True):
    """One figure. `interval` and `detectable` are "" where it is counted, not estimated."""

    title: str
    value: str
    interval: str
    detectable: str
    samples: str
    note: str


class ExaminationView(Struct, frozen=True):
    """One table. `estimated`: some figure has an interval."""

    name: str
    title: str
    question: str
    note: str
    estimated: bool
    rows: tuple[FigureRow, ...]


def examinations(results: tuple[Examination, ...]) -> tuple[ExaminationView, ...]:
    """In the order of the verdict, without the resources, whose courses are shown as headroom."""
    return tuple(
        ExaminationView(
            name=result.name,
            title=result.title,
            question=result.question,
            note=result.note,
            estimated=any(figure.low is not None for figure in result.figures),
            rows=tuple(_row(figure) for figure in result.figures),
        )
        for result in results
        if result.name != "saturation"
    )


def _row(figure: Figure) -> FigureRow:
    interval = f"{text.number(figure.low)} to {text.number(figure.high)}" if figure.low is not None else ""
    return FigureRow(
        title=figure.title,
        value=_value(figure),
        interval=interval,
        detectable=text.number(figure.detectable) if figure.detectable is not None else "",
        samples=text.count(figure.samples),
        note=figure.note,
    )


def _value(figure: Figure) -> str:
    if figure.value is None:
        return "not told"
    if figure.unit.endswith("cents"):
        return text.quantity(figure.value, figure.unit)
    return f"{text.number(figure.value)} {figure.unit}"
