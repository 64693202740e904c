"""What came near its limit, from recorded figures only: the highest value, when, under which fault, and its limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.amounts import in_full
from harness.record.reader import Record
from harness.record.schema import Struct
from harness.sli import scraped
from harness.sli.utilisation import utilisations
from reports import text
from reports.view.charts.timeline import Window, windows
from reports.view.frames import Frames, label

NEAR_RATIO: Final = 0.8
_SPARK_POINTS: Final = 60
_GAUGES: Final = (  # metric, title, unit
    ("target_queue_depth", "Queue depth", "fans"),
    ("target_replica_lag_seconds", "Replica lag", "s"),
    ("target_orders_parked", "Orders parked", "orders"),
    ("target_sse_connections", "Position streams open", "streams"),
    ("target_websocket_connections", "Feed connections, per node", "sockets"),
)


class Signal(Struct, frozen=True):
    """One signal at its highest. `share` is of its limit; `spark` are the points of its course in a 100 × 20 box."""

    title: str
    highest: str
    when: str
    during: str
    share: str
    limit: str
    near: bool
    spark: str


class LimitsSection(Struct, frozen=True):
    """The section on headroom."""

    summary: str
    signals: tuple[Signal, ...]


class _Course(Struct, frozen=True):
    """A signal over time; `limit` in the same unit."""

    title: str
    t_s: tuple[float, ...]
    values: tuple[float, ...]
    unit: str
    limit: float | None = None

    @property
    def share(self) -> float:
        return max(self.values) / self.limit if self.limit else 0.0


def limits(record: Record, frames: Frames) -> LimitsSection:
    """Signals with a known limit first, nearest to it on top; only those that were recorded."""
    courses = [course for course in (*_generator(frames), *_platform(record.table("metrics"), frames)) if course.values]
    faults = windows(record)
    ordered = sorted(courses, key=lambda course: -course.share)
    return LimitsSection(summary=_summary(ordered), signals=tuple(_signal(course, faults) for course in ordered))


def _summary(courses: list[_Course]) -> str:
    limited = [course for course in courses if course.limit]
    if not limited:
        return "No figure with a known limit was recorded, so headroom cannot be stated."
    reached = [(t, course) for course in limited if (t := _first_near(course)) is not None]
    if not reached:
        top = limited[0]
        return (
            f"Nothing came to {in_full(NEAR_RATIO, 'ratio')} of a known limit. "
            f"Nearest: {_within(top.title)}, at {_share(top)} of it."
        )
    t_s, first = min(reached, key=lambda item: item[0])
    near = in_full(NEAR_RATIO, "ratio")
    return f"First to pass {near} of its limit: {_within(first.title)}, at {text.at(t_s)}."


def _share(course: _Course) -> str:
    return text.quantity(course.share, "ratio", [NEAR_RATIO])


def _within(title: str) -> str:
    """A title inside a sentence: only its first letter is lowered, and only before another small one."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _first_near(course: _Course) -> float | None:
    line = NEAR_RATIO * (course.limit or 0.0)
    return next((t for t, value in zip(course.t_s, course.values, strict=True) if value >= line), None)


def _signal(course: _Course, faults: tuple[Window, ...]) -> Signal:
    top = int(np.argmax(course.values))
    t_s = course.t_s[top]
    during = [fault.name for fault in faults if fault.start_s <= t_s <= fault.end_s]
    return Signal(
        title=course.title,
        highest=text.quantity(course.values[top], course.unit, [course.limit]),
        when=text.at(t_s),
        during=", ".join(during) or "no fault",
        share=_share(course) if course.limit else text.ABSENT,
        limit=in_full(course.limit, course.unit) if course.limit else "no known limit",
        near=course.share >= NEAR_RATIO,
        spark=_spark(course),
    )


def _spark(course: _Course) -> str:
    """The highest of each stretch, so that no peak is lost in the drawing."""
    t_s, values = np.array(course.t_s), np.array(course.values)
    top = values.max()
    if len(values) < 2 or top <= 0:
        return ""
    slot = ((t_s - t_s[0]) / max(t_s[-1] - t_s[0], 1e-9) * (_SPARK_POINTS - 1)).astype(int)
    peaks = pd.Series(values).groupby(slot).max()
    points = zip(peaks.index.tolist(), peaks.tolist(), strict=True)
    return " ".join(f"{100 * x / (_SPARK_POINTS - 1):.1f},{19 - 18 * y / top:.1f}" for x, y in points)


def _generator(frames: Frames) -> Iterator[_Course]:
    rows = frames.generator
    if rows.empty:
        return
    yield _worst("Load generator CPU", rows["t_s"], rows["cpu_percent"], "%", 100.0)
    used = 100 * rows["fds"] / rows["fds_limit"].replace(0, np.nan)
    yield _worst("Load generator file descriptors", rows["t_s"], used.dropna(), "%", 100.0)
    yield _worst("Load generator event-loop lag", rows["t_s"], rows["loop_lag_ms_max"], "ms", None)


def _platform(scrapes: pa.Table, frames: Frames) -> Iterator[_Course]:
    metrics = frames.metrics
    for used in utilisations(scrapes):
        percent = tuple(100 * share for share in used.share)
        yield _Course(title=used.title, t_s=used.t_s, values=percent, unit="%", limit=100.0)
    for name, title, unit in _GAUGES:
        rows = metrics[metrics["name"] == name]
        if not rows.empty:
            yield _worst(title, rows["t_s"], rows["value"], unit, None)
    yield _write_p99(scraped.increments(scrapes, "target_db_write_seconds_bucket"))


def _worst(title: str, t_s: pd.Series, values: pd.Series, unit: str, limit: float | None) -> _Course:
    """The highest of all workers or sources at each moment."""
    highest = values.groupby(t_s.loc[values.index]).max()
    moments, tops = tuple(map(float, highest.index)), tuple(map(float, highest))
    return _Course(title=title, t_s=moments, values=tops, unit=unit, limit=limit)


def _write_p99(buckets: pd.DataFrame) -> _Course:
    """p99 of the writes of each stretch of 5 s, as the upper bound of the histogram bucket in which it falls."""
    bound = pd.to_numeric(label(buckets["labels"], "le").replace("+Inf", "inf"), errors="coerce")
    stretch = np.floor(buckets["t_s"] / 5) * 5
    rows = buckets.assign(bound=bound, stretch=stretch).dropna(subset=["bound"])
    grown = rows.groupby(["bound", "stretch"])["grown"].sum().unstack("stretch").fillna(0.0).sort_index()
    t_s, values = [], []
    for moment, counts in grown.items():
        total = float(counts.iloc[-1])
        if total > 0:
            bounds = counts.index[counts >= 0.99 * total]
            finite = [float(b) for b in bounds if np.isfinite(b)]
            t_s.append(float(str(moment)))
            values.append(1000 * (finite[0] if finite else float(max(b for b in counts.index if np.isfinite(b)))))
    title = "Database write time, p99 per 5 s (bucket bound)"
    return _Course(title=title, t_s=tuple(t_s), values=tuple(values), unit="ms")
