"""Writes index.html beside runs: what each decided, and how scores, indicators and invariants went over like runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from harness.record.schema import Struct
from harness.record.verdict import Status
from harness.runs.change import change, indicator_change
from harness.runs.overview import RunRow, rows
from harness.runs.past import PastRun
from harness.runs.trends import IndicatorTrend, Series, series
from reports import text
from reports.spark import spark
from reports.templating import rendered
from reports.view import words
from reports.view.front.changes import ChangeRow, change_rows, in_brief
from reports.view.words import State

_SHOWN: Final = 30
"""A trend shows so many of the newest runs."""
_TONES: Final = {"READY": "good", "NOT READY": "bad", "NO VERDICT": "warn"}


class IndexRow(Struct, frozen=True):
    """One run in the list of all. `link`: to its report; "" where it has none."""

    row: RunRow
    link: str
    tone: str
    score: str
    not_held: str


class TrendRow(Struct, frozen=True):
    """One indicator over the runs of a series. `effect`: how the newest run differs from the one before; null: it does
    not by enough to matter, or one of them has no value.
    """

    title: str
    objective: str
    first: str
    newest: str
    lowest: str
    highest: str
    spark: str
    effect: State | None


class StatusRow(Struct, frozen=True):
    """One invariant over the runs of a series, the oldest first."""

    title: str
    states: tuple[State, ...]


class SeriesView(Struct, frozen=True):
    """Runs that can be compared with one another. `apart`: why with no earlier ones; "" when there are none.

    `others`: indicators without an objective. `columns`: the ids of the runs of the trends.
    """

    anchor: str
    title: str
    lede: str
    apart: str
    spark: str
    spark_label: str
    changes: tuple[ChangeRow, ...]
    columns: tuple[str, ...]
    indicators: tuple[TrendRow, ...]
    others: tuple[TrendRow, ...]
    invariants: tuple[StatusRow, ...]


class Index(Struct, frozen=True):
    """The page, whole: the newest run and the newest series first."""

    rows: tuple[IndexRow, ...]
    series: tuple[SeriesView, ...]


def index(found: Sequence[PastRun]) -> Index:
    """The page for these runs, given in the order of release."""
    listed = zip(found, rows(found), strict=True)
    groups = enumerate(reversed(series(found)), start=1)
    return Index(
        rows=tuple(_row(run, row) for run, row in reversed(list(listed))),
        series=tuple(_series(group, number) for number, group in groups),
    )


def render(found: Sequence[PastRun]) -> str:
    """The page as HTML, to be written into the folder of the runs."""
    return rendered("runs.html.j2", index=index(found))


def _row(run: PastRun, row: RunRow) -> IndexRow:
    return IndexRow(
        row=row,
        link=f"{run.root.name}/report.html" if (run.root / "report.html").is_file() else "",
        tone=_TONES.get(row.verdict, "warn"),
        score=text.points(row.score),
        not_held=", ".join(map(words.invariant, row.not_held)) or text.ABSENT,
    )


def _series(group: Series, number: int) -> SeriesView:
    shown = Series(group.runs[-_SHOWN:])
    known = [score for score in shown.scores if score is not None]
    trends = shown.indicators()
    return SeriesView(
        anchor=f"series-{number}",
        title=group.scenario,
        lede=_lede(group),
        apart=group.apart,
        spark=spark(shown.scores, top=100.0),
        spark_label=f"Scores, the oldest first: {', '.join(map(text.points, known))}.",
        changes=tuple(_changes(group)),
        columns=tuple(run.root.name for run in shown.runs),
        indicators=tuple(_trend(one) for one in trends if one.newest.objective is not None),
        others=tuple(_trend(one) for one in trends if one.newest.objective is None),
        invariants=tuple(
            StatusRow(words.invariant(one.name), tuple(map(_status, one.statuses))) for one in shown.invariants()
        ),
    )


def _lede(group: Series) -> str:
    count = text.counted(len(group.runs), "run")
    left_out = f", the last {_SHOWN} are shown" if len(group.runs) > _SHOWN else ""
    return f"{count} that can be compared{left_out}. The newest was {in_brief(group.runs[-1].verdict)}."


def _changes(group: Series) -> Iterator[ChangeRow]:
    if len(group.runs) > 1:
        yield from change_rows(change(group.runs[-2].verdict, group.runs[-1].verdict))


def _trend(one: IndicatorTrend) -> TrendRow:
    unit, limit = one.newest.unit, one.newest.objective
    known = [value for value in one.values if value is not None]
    first, newest, lowest, highest = (
        text.quantity(value, unit, [limit]) for value in (known[0], one.values[-1], min(known), max(known))
    )
    return TrendRow(
        title=one.newest.title or text.sentence(one.newest.name),
        objective=text.quantity(limit, unit),
        first=first,
        newest=newest,
        lowest=lowest,
        highest=highest,
        spark=spark(one.values),
        effect=_effect(one),
    )


def _effect(one: IndicatorTrend) -> State | None:
    if one.before is None or one.values[-1] is None:
        return None
    found = indicator_change(one.before, one.newest)
    return None if found is None else words.state("effect_worse" if found.worse else "effect_better")


def _status(status: Status | None) -> State:
    return State(word="not checked", tone="quiet", glyph="·") if status is None else words.state(status.value)
