"""Data of the timeline and of the close-up of the release: counts and percentiles, binned here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.reader import Record
from harness.sli import percentile
from harness.sli.measured import Observations
from harness.sli.measures.verbs import FUNCTIONS, waited
from reports.view import words
from reports.view.frames import BUYERS, Floats, Frames, label
from reports.view.journeys.journey import first_times

KEY_VERBS: Final = ("join", "seat_map", "stock", "hold", "choose", "pay")
_BREAKER_STATES: Final = {0.0: "closed", 1.0: "half-open", 2.0: "open"}
_LEAD_S: Final = 1.0
_RELEASE_BIN_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Window:
    """A fault on the clock: from effective to healed where its canary saw that, else as it was asked."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Lane:
    """How long fans waited for one verb, by the second in which they meant to begin; NaN where nobody did."""

    title: str
    t_s: Floats
    p50_ms: Floats
    p99_ms: Floats


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one state."""

    start_s: float
    end_s: float
    state: str


@dataclass(frozen=True, slots=True)
class Breaker:
    """One circuit breaker's states over the run."""

    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole run on the release clock. `second_s` are bin edges; counts have one entry fewer."""

    start_s: float
    end_s: float
    second_s: Floats
    outcomes: dict[str, Floats]
    stages_t_s: Floats
    stages: dict[str, Floats]
    queue_t_s: Floats
    queue_depth: Floats
    lanes: tuple[Lane, ...]
    breakers: tuple[Breaker, ...]
    faults: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """The first moments: first sends of fans and first answers to them, per 10 ms. `edges_s` are bin edges."""

    edges_s: Floats
    sends: Floats
    answers: Floats
    window_s: float | None
    released: int
    first_s: float
    last_s: float


def timeline(record: Record, frames: Frames) -> Timeline | None:
    """The run as a whole; None when no request was recorded. Settling is left out."""
    sent = frames.requests[frames.requests["step"] != "settle"]
    if sent.empty:
        return None
    faults = windows(record)
    ends = [float(sent["t_start_s"].max()), *(fault.end_s for fault in faults)]
    start_s, end_s = -_LEAD_S, max(1.0, float(np.ceil(max(ends))))
    stages_t_s, stages = _stages(frames, end_s)
    queue_t_s, queue_depth = _queue_depth(frames.metrics, start_s, end_s)
    return Timeline(
        start_s=start_s,
        end_s=end_s,
        second_s=np.arange(start_s, end_s + 1),
        outcomes=_outcomes(sent, np.arange(start_s, end_s + 1)),
        stages_t_s=stages_t_s,
        stages=stages,
        queue_t_s=queue_t_s,
        queue_depth=queue_depth,
        lanes=_lanes(record, start_s, end_s),
        breakers=_breakers(frames.metrics, start_s, end_s),
        faults=faults,
    )


def release(record: Record, frames: Frames) -> Release | None:
    """The close-up of T0; None when no fan sent anything after it."""
    sent = frames.requests
    fans = sent[sent["kind"].isin(BUYERS) & (sent["t_start_s"] >= 0) & (sent["attempt"] == 1)]
    shots = fans.sort_values("t_start_s").drop_duplicates(["kind", "worker", "user"])
    if shots.empty:
        return None
    starts, answers = shots["t_start_s"].to_numpy(), shots["t_first_byte_s"].dropna().to_numpy()
    window_s = record.run.load.window_asked_s if record.run.load else None
    latest = max(float(np.percentile(answers, 99)) if answers.size else 0.0, float(starts.max()), window_s or 0.0)
    edges_s = np.arange(-0.1, min(max(latest * 1.1, 0.4), 5.0) + _RELEASE_BIN_S, _RELEASE_BIN_S)
    return Release(
        edges_s=edges_s,
        sends=_histogram(starts, edges_s),
        answers=_histogram(answers, edges_s),
        window_s=window_s,
        released=len(shots),
        first_s=float(starts.min()),
        last_s=float(starts.max()),
    )


def windows(record: Record) -> tuple[Window, ...]:
    """The faults that were asked for, on the clock, in the order of their start."""
    found = []
    for fault in record.faults.faults:
        start_s = fault.t_requested_s if fault.t_effective_s is None else fault.t_effective_s
        end_s = fault.t_heal_requested_s if fault.t_healed_s is None else fault.t_healed_s
        if start_s is not None:
            found.append(Window(fault.experiment, start_s, max(start_s, start_s if end_s is None else end_s)))
    return tuple(sorted(found, key=lambda window: (window.start_s, window.name)))


def _outcomes(sent: pd.DataFrame, edges_s: Floats) -> dict[str, Floats]:
    return {
        name: _histogram(sent.loc[sent["outcome"] == name, "t_start_s"].to_numpy(), edges_s)
        for name in ("ok", "fail", "unknown")
    }


def _histogram(values: Floats, edges_s: Floats) -> Floats:
    return np.histogram(values, edges_s)[0].astype(np.float64)


def _stages(frames: Frames, end_s: float) -> tuple[Floats, dict[str, Floats]]:
    """Buyers by the furthest step they had reached, cumulative counts subtracted from one another."""
    grid = np.arange(0.0, end_s + 0.25, 0.25)
    reached = [np.searchsorted(times, grid, side="right") for times in first_times(frames.operations).values()]
    joined, admitted, holding, ticketed = (np.minimum.accumulate(np.vstack(reached), axis=0)).astype(np.float64)
    if not joined.any():
        return grid[:0], {}
    return grid, {
        "ticket": ticketed,
        "holding": holding - ticketed,
        "choosing": admitted - holding,
        "waiting": joined - admitted,
    }


def _queue_depth(metrics: pd.DataFrame, start_s: float, end_s: float) -> tuple[Floats, Floats]:
    """The depth at each scrape: processes that do not own the queue report zero, so one source speaks, the deepest."""
    rows = metrics[(metrics["name"] == "target_queue_depth") & metrics["t_s"].between(start_s, end_s)]
    if rows.empty:
        return np.empty(0), np.empty(0)
    owner = rows.groupby("source")["value"].max().idxmax()
    own = rows[rows["source"] == owner].sort_values("t_s")
    return own["t_s"].to_numpy(), own["value"].to_numpy()


def _lanes(record: Record, start_s: float, end_s: float) -> tuple[Lane, ...]:
    operations, requests = Observations(record).operations, record.table("requests")
    seconds = np.arange(start_s, end_s)
    found = []
    for verb in KEY_VERBS:
        waits = waited(operations.filter(pc.equal(operations["function"], FUNCTIONS[verb].value)), requests)
        if waits.num_rows:
            found.append(_lane(words.step(verb), waits, seconds))
    return tuple(found)


def _lane(title: str, waits: pa.Table, seconds: Floats) -> Lane:
    intended_s = waits["t_intended_s"].to_numpy()
    slot = np.floor(intended_s.clip(seconds[0], seconds[-1]) - seconds[0]).astype(int)
    took_ms = 1000 * (waits["t_end_s"].to_numpy() - intended_s)
    members = [took_ms[slot == number] for number in range(len(seconds))]
    p50, p99 = (np.array([percentile(own, q) for own in members], dtype=np.float64) for q in (0.5, 0.99))
    return Lane(title, seconds + 0.5, p50, p99)


def _breakers(metrics: pd.DataFrame, start_s: float, end_s: float) -> tuple[Breaker, ...]:
    rows = metrics[(metrics["name"] == "target_breaker_state") & metrics["t_s"].between(start_s, end_s)]
    rows = rows.assign(dependency=label(rows["labels"], "dependency"))
    breakers = []
    for dependency, own in rows.groupby("dependency"):
        worst = own.groupby((own["t_s"] * 2).round() / 2)["value"].max()  # the sources of one scrape together
        pairs = zip(worst.index.tolist(), worst.tolist(), strict=True)
        breakers.append(Breaker(str(dependency), spans(((t, _BREAKER_STATES.get(v, "?")) for t, v in pairs))))
    return tuple(breakers)


def spans(samples: Iterable[tuple[float, str]]) -> tuple[Span, ...]:
    """Runs of equal states; each lasts until the sample that differs, the last until its own last sample."""
    found: list[Span] = []
    for t_s, state in samples:
        if found:
            last = found.pop()
            found.append(Span(last.start_s, t_s, last.state))
        if not found or found[-1].state != state:
            found.append(Span(t_s, t_s, state))
    return tuple(found)
