"""Indicators against their objectives, weakest first, and the time that each step took by both clocks."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from harness.record.schema import STEPS, Struct
from harness.record.verdict import GeneratorResult, Overstatement, SliResult
from harness.sli import percentile
from reports import text
from reports.view import words
from reports.view.frames import Frames
from reports.view.words import State

_PAGES_MOST: Final = 12  # of a step


class IndicatorRow(Struct, frozen=True):
    """One indicator. `score_percent` is the length of its bar; None: it was not scored."""

    name: str
    title: str
    value: str
    objective: str
    worst: str
    state: State
    score: str
    score_percent: float | None
    samples: str
    note: str


class TimingRow(Struct, frozen=True):
    """One step: how often, how it ended, and p50, p95 and p99 in ms of service time and of response time.

    `added`: p50 and p99 in ms of what the load generator itself added to the response time; "–" where unmeasured.
    """

    title: str
    sent: str
    failed: str
    unknown: str
    service: tuple[str, str, str]
    response: tuple[str, str, str]
    added: tuple[str, str]


def indicators(slis: tuple[SliResult, ...]) -> tuple[IndicatorRow, ...]:
    """Scored ones first, weakest on top; then those without samples, then those without objective."""
    return tuple(_row(sli) for sli in sorted(slis, key=_order))


def timings(frames: Frames, generator: GeneratorResult | None) -> tuple[TimingRow, ...]:
    """Each step that was sent, in the order of the journey. What the end of the run cut off is left out."""
    sent = frames.requests[frames.requests["error"] != "stopped"]
    groups = {str(name): rows for name, rows in sent.groupby("step")}
    known = [name for name in STEPS if name in groups]
    added = generator.overstatement_ms if generator is not None else {}
    rows: list[TimingRow] = []
    for name in [*known, *sorted(set(groups) - set(known))]:
        rows.append(_timing(words.step(name), groups[name], added.get(name)))
        rows += _by_page(groups[name])
    return tuple(rows)


def _by_page(rows: pd.DataFrame) -> list[TimingRow]:
    """The pages of a step that asks several, the most asked first."""
    pages = rows.loc[rows["page"] != "", "page"].value_counts()
    if len(pages) < 2:
        return []
    return [_timing(f"· {page}", rows[rows["page"] == page], None) for page in pages.index[:_PAGES_MOST]]


def state_of(sli: SliResult) -> str:
    """met | missed | no_samples | no_objective; an objective without samples is never met."""
    if sli.objective is None:
        return "no_objective"
    if sli.met is None:
        return "no_samples"
    return "met" if sli.met else "missed"


def _order(sli: SliResult) -> tuple[int, float, str]:
    if sli.objective is None:
        return (2, 0.0, sli.name)
    return (1, 0.0, sli.name) if sli.score is None else (0, sli.score, sli.name)


def _row(sli: SliResult) -> IndicatorRow:
    sign = "≤" if sli.better == "lower" else "≥"
    value, objective, worst = text.quantities(sli.unit, sli.value, sli.objective, sli.worst)
    return IndicatorRow(
        name=sli.name,
        title=sli.title or text.sentence(sli.name),
        value=value,
        objective=text.ABSENT if sli.objective is None else f"{sign}\u00a0{objective}",
        worst=worst,
        state=words.state(state_of(sli)),
        score=text.points(sli.score),
        score_percent=None if sli.score is None else round(sli.score, 1),
        samples=text.count(sli.samples),
        note=text.capitalised(sli.note),
    )


def _timing(title: str, rows: pd.DataFrame, added: Overstatement | None) -> TimingRow:
    return TimingRow(
        title=title,
        sent=text.count(len(rows)),
        failed=text.count(int((rows["outcome"] == "fail").sum())),
        unknown=text.count(int((rows["outcome"] == "unknown").sum())),
        service=_percentiles(rows["service_ms"]),
        response=_percentiles(rows["response_ms"]),
        added=(text.ABSENT, text.ABSENT) if added is None else (text.number(added.p50), text.number(added.p99)),
    )


def _percentiles(values_ms: pd.Series) -> tuple[str, str, str]:
    known = values_ms.dropna().to_numpy(dtype=np.float64)
    p50, p95, p99 = (text.number(percentile(known, quantile)) for quantile in (0.5, 0.95, 0.99))
    return p50, p95, p99
