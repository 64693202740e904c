"""The panels of the timeline: requests, buyers, response times and breakers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from reports.charts.canvas import DASHES, Size, count_axis, title
from reports.charts.svg import COLOURS
from reports.view.charts.timeline import Breaker, Lane, Timeline
from reports.view.frames import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OUTCOMES: Final = (("ok", "ok"), ("fail", "failed"), ("unknown", "unknown"))
_STAGES: Final = (
    ("ticket", "has a ticket"),
    ("holding", "holding or paying"),
    ("choosing", "choosing seats"),
    ("waiting", "in the queue"),
)
_SHORT_STAGES: Final = (
    ("ticket", "ticket"),
    ("holding", "holding"),
    ("choosing", "choosing"),
    ("waiting", "queue"),
    ("ink", "queue depth"),
)
_PERCENTILES: Final = (("p50", "p50"), ("p99", "p99"))
LATENCY_TICKS_MS: Final = (
    (1, "1 ms"),
    (10, "10 ms"),
    (100, "100 ms"),
    (1000, "1 s"),
    (10_000, "10 s"),
    (1e5, "100 s"),
)


def draw_requests(axis: Axes, data: Timeline, size: Size) -> None:
    """All requests of each second, by outcome."""
    _stacked_bars(axis, data, ("ok", "fail", "unknown"))
    title(axis, "Requests per second", size, _OUTCOMES)


def draw_trouble(axis: Axes, data: Timeline, size: Size) -> None:
    """Requests that were not ok, on a scale of their own."""
    _stacked_bars(axis, data, ("fail", "unknown"))
    title(axis, "Of these, not ok", size, _OUTCOMES[1:])


def _stacked_bars(axis: Axes, data: Timeline, names: tuple[str, ...]) -> None:
    base = np.zeros(len(data.second_s) - 1)
    for name in names:
        top = base + data.outcomes[name]
        if data.outcomes[name].any():
            axis.stairs(top, data.second_s, baseline=base, fill=True, color=COLOURS[name], linewidth=0)
        base = top
    count_axis(axis, float(base.max()))


def draw_buyers(axis: Axes, data: Timeline, size: Size) -> None:
    """Where the buyers are, and beside it the queue depth that the platform states."""
    base = np.zeros(len(data.stages_t_s))
    for name, _ in _STAGES:
        top = base + data.stages[name]
        axis.fill_between(data.stages_t_s, base, top, color=COLOURS[name], linewidth=0)
        base = top
    highest = float(base.max())
    keys = list(_STAGES)
    if data.queue_depth.size:
        axis.plot(data.queue_t_s, data.queue_depth, color=COLOURS["ink"], linewidth=1.2, linestyle=DASHES)
        highest = max(highest, float(data.queue_depth.max()))
        keys.append(("ink", "queue depth"))
    count_axis(axis, highest)
    title(axis, "Buyers, by how far they are", size, keys if not size.legend_below else _SHORT_STAGES[: len(keys)])


def draw_lane(axis: Axes, *, lane: Lane, lanes: tuple[Lane, ...], size: Size) -> None:
    """p50 and p99 of one step; a second that stands alone is drawn as a bar and a dot."""
    alone = np.isfinite(lane.p50_ms) & ~(_beside(lane.p50_ms))
    axis.fill_between(lane.t_s, lane.p50_ms, lane.p99_ms, color=COLOURS["p99"], alpha=0.35, linewidth=0)
    axis.plot(lane.t_s, lane.p99_ms, color=COLOURS["p99"], linewidth=1)
    axis.plot(lane.t_s, lane.p50_ms, color=COLOURS["p50"], linewidth=1.5)
    axis.vlines(lane.t_s[alone], lane.p50_ms[alone], lane.p99_ms[alone], color=COLOURS["p99"], linewidth=3)
    axis.plot(lane.t_s[alone], lane.p50_ms[alone], ".", color=COLOURS["p50"], markersize=4)
    axis.set_yscale("log")
    low, high = _decades(lanes)
    axis.set_ylim(low, high)
    ticks = [(value, word) for value, word in LATENCY_TICKS_MS if low <= value <= high]
    ticks = ticks if len(ticks) <= 3 else ticks[1::2]
    axis.set_yticks([value for value, _ in ticks], [word for _, word in ticks])
    axis.minorticks_off()
    axis.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
    title(axis, f"Response time: {lane.title.lower()}", size, _PERCENTILES if lane is lanes[0] else ())


def _beside(values: Floats) -> npt.NDArray[np.bool_]:
    """Whether a neighbour of each value is known too, so that a line can be drawn to it."""
    known = np.concatenate(([False], np.isfinite(values), [False]))
    return known[:-2] | known[2:]


def _decades(lanes: tuple[Lane, ...]) -> tuple[float, float]:
    """Whole decades that cover all lanes, so that lanes can be compared."""
    values = np.concatenate([np.concatenate((lane.p50_ms, lane.p99_ms)) for lane in lanes])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return 1.0, 1000.0
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max() * 1.1))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def draw_breakers(axis: Axes, breakers: tuple[Breaker, ...], size: Size) -> None:
    """One row per breaker; the worse its state, the thicker the line."""
    looks = {"closed": ("ok", 0.12), "half-open": ("half", 0.42), "open": ("open", 0.72)}
    for number, breaker in enumerate(breakers):
        for state, (colour, height) in looks.items():
            bars = [(s.start_s, s.end_s - s.start_s) for s in breaker.spans if s.state == state]
            axis.broken_barh(bars, (number + 0.5 - height / 2, height), color=COLOURS[colour], linewidth=0)
    axis.set_ylim(len(breakers), 0)
    axis.set_yticks([number + 0.5 for number in range(len(breakers))], [breaker.name for breaker in breakers])
    title(axis, "Circuit breakers", size, (("ok", "closed"), ("half", "half-open"), ("open", "open")))
