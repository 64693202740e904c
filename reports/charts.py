"""The two charts: the run as a timeline, and the release close up. Each is drawn for a wide page and for a narrow one.

They draw what the view model has counted and decide nothing. Labels are placed by their own width, so none collide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harness.record.schema import Struct
from reports import svg
from reports.svg import COLOURS
from reports.view.frames import Floats
from reports.view.timeline import Breaker, Lane, Release, Timeline, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
_DASHES: Final = (0, (3, 2))
_ANSWERS: Final = "First answers to them per 10 ms"
_LATENCY_TICKS_MS: Final = (
    (1, "1 ms"),
    (10, "10 ms"),
    (100, "100 ms"),
    (1000, "1 s"),
    (10_000, "10 s"),
    (1e5, "100 s"),
)
_CHARACTER_RATIO: Final = 0.6
"""Width of an average character of a sans-serif face, in ems; on the wide side."""


class Chart(Struct, frozen=True):
    """One chart in both sizes; each is a complete `<svg>` element."""

    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class _Size:
    """A canvas, in px. `left` and `right` are margins of every panel."""

    name: str
    width: float
    left: float
    right: float
    font: float
    tick_s: float
    legend_below: bool

    @property
    def inner(self) -> float:
        """Width of a panel."""
        return self.width - self.left - self.right

    @property
    def head(self) -> float:
        """Room above a panel for its title and legend."""
        return 40.0 if self.legend_below else 26.0


_WIDE: Final = _Size("wide", 1080, 60, 10, 11.0, 5.0, legend_below=False)
_NARROW: Final = _Size("narrow", 370, 60, 8, 10.5, 15.0, legend_below=True)
_FOOT_PX: Final = 24.0
_ROW_PX: Final = 18.0


def timeline_chart(data: Timeline) -> Chart:
    """Requests, buyers, response times and breakers on the release clock, every fault shaded."""
    return Chart(wide=_timeline(data, _WIDE), narrow=_timeline(data, _NARROW))


def release_chart(data: Release) -> Chart:
    """First sends and first answers, per 10 ms."""
    return Chart(wide=_release(data, _WIDE), narrow=_release(data, _NARROW))


# ---------------------------------------------------------------------------------------------------------- timeline


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: its height without its head, in px, and what draws into it."""

    height: float
    draw: Callable[[Axes], None]


def _timeline(data: Timeline, size: _Size) -> str:
    rows = _fault_rows(data, size)
    panels = [_Panel(6 + _ROW_PX * max(len(rows), 1), lambda axis: _draw_faults(axis, rows, size))]
    panels.append(_Panel(100, lambda axis: _draw_requests(axis, data, size)))
    if any(data.outcomes[name].any() for name in ("fail", "unknown")):
        panels.append(_Panel(56, lambda axis: _draw_trouble(axis, data, size)))
    if data.stages:
        panels.append(_Panel(100, lambda axis: _draw_buyers(axis, data, size)))
    panels += [_Panel(54, partial(_draw_lane, lane=lane, lanes=data.lanes, size=size)) for lane in data.lanes]
    if data.breakers:
        panels.append(_Panel(8 + _ROW_PX * len(data.breakers), lambda axis: _draw_breakers(axis, data.breakers, size)))
    name = f"timeline-{size.name}"
    with svg.style(name, size.font):
        figure, axes = _stack(size, [panel.height for panel in panels])
        for axis, panel in zip(axes, panels, strict=True):
            axis.set_xlim(data.start_s, data.end_s)
            panel.draw(axis)
        for axis in axes[1:]:
            _shade(axis, data.faults)
        _clock(axes, data, size)
        faults = ", ".join(f"{w.name} from {w.start_s:.1f} to {w.end_s:.1f} s" for w in data.faults) or "none"
        return svg.inline(figure, name, "The run on the release clock", f"Faults, shaded in every panel: {faults}.")


def _stack(size: _Size, heights: list[float]) -> tuple[Figure, list[Axes]]:
    """Panels of the given heights, one above the other, with room for their heads and for a clock above and below."""
    from matplotlib.figure import Figure

    total = sum(heights) + size.head * (len(heights) - 1) + 2 * _FOOT_PX
    figure = Figure(figsize=(size.width / 72, total / 72), dpi=72)
    axes, top = [], total - _FOOT_PX
    for height in heights:
        box = (size.left / size.width, (top - height) / total, size.inner / size.width, height / total)
        axes.append(figure.add_axes(box))
        top -= height + size.head
    return figure, axes


def _title(axis: Axes, text: str, size: _Size, keys: Sequence[tuple[str, str]] = ()) -> None:
    """A panel's title, with its key: colour and word. They share a line where it is wide enough."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    offset = (-size.left + 2, 21 if size.legend_below and keys else 7)
    axis.annotate(
        text, (0, 1), offset, xycoords="axes fraction", textcoords="offset points", va="bottom", weight="bold"
    )
    if not keys:
        return
    below = size.legend_below
    axis.legend(
        [
            Line2D([], [], color=COLOURS[colour], linewidth=1.2, linestyle=_DASHES)
            if colour == "ink"
            else Rectangle((0, 0), 1, 1, color=COLOURS[colour])
            for colour, _ in keys
        ],
        [word for _, word in keys],
        loc="lower left" if below else "lower right",
        bbox_to_anchor=((2 - size.left) / size.inner if below else 1, 1),
        ncols=len(keys),
        borderaxespad=0.55,
        borderpad=0,
        handlelength=1.0,
        handleheight=0.8,
        handletextpad=0.4,
        columnspacing=0.9 if below else 1.4,
        labelcolor=COLOURS["muted"],
        fontsize=size.font - (1.0 if below else 0.0),
    )


def _shade(axis: Axes, faults: tuple[Window, ...]) -> None:
    for fault in faults:
        axis.axvspan(fault.start_s, fault.end_s, color=COLOURS["fault"], alpha=0.16, linewidth=0, zorder=0.2)
    edges = [edge for fault in faults for edge in (fault.start_s, fault.end_s)]
    whole = axis.get_xaxis_transform()
    axis.vlines(edges, 0, 1, transform=whole, color=COLOURS["fault"], alpha=0.6, linewidth=0.8, zorder=2.2)


def _clock(axes: list[Axes], data: Timeline, size: _Size) -> None:
    """T0 and the seconds after it: labelled above the first panel and below the last."""
    most = 5 if size.legend_below else 14
    step_s = size.tick_s * max(1, round((data.end_s - data.start_s) / most / size.tick_s))
    ticks = np.arange(0, data.end_s * 0.98, step_s)
    for axis in axes:
        axis.axvline(0, color=COLOURS["ink"], linewidth=1, zorder=3)
        axis.set_xticks(ticks, ["T0", *(f"+{t:,.0f} s" for t in ticks[1:])])
        axis.tick_params(axis="x", length=3, bottom=axis is axes[-1], labelbottom=axis is axes[-1])
    axes[0].tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)


# ---------------------------------------------------------------------------------------------------------- panels


@dataclass(frozen=True, slots=True)
class _Label:
    """A fault's bar with its name, which may reach further than the bar."""

    window: Window
    flip: bool


def _fault_rows(data: Timeline, size: _Size) -> list[list[_Label]]:
    """Faults in as few rows as their bars and names allow without touching."""
    px_per_s = size.inner / (data.end_s - data.start_s)
    rows: list[list[_Label]] = []
    ends: list[float] = []
    for window in data.faults:
        width_s = (_CHARACTER_RATIO * size.font * len(window.name) + 8) / px_per_s
        flip = window.start_s + width_s > data.end_s
        left = window.end_s - width_s if flip else window.start_s
        right = window.end_s if flip else max(window.end_s, window.start_s + width_s)
        row = next((number for number, end in enumerate(ends) if end <= left), len(rows))
        if row == len(rows):
            rows.append([])
            ends.append(right)
        rows[row].append(_Label(window, flip))
        ends[row] = right + 4 / px_per_s
    return rows


def _draw_faults(axis: Axes, rows: list[list[_Label]], size: _Size) -> None:
    axis.set_ylim(max(len(rows), 1), 0)
    axis.set_yticks([0.5], ["faults" if rows else "no faults"])
    axis.spines["bottom"].set_visible(False)
    for number, row in enumerate(rows):
        for label in row:
            window, flip = label.window, label.flip
            bar = [(window.start_s, max(window.end_s - window.start_s, 0.1))]
            axis.broken_barh(bar, (number + 0.08, 0.84), color=COLOURS["fault"], alpha=0.45, linewidth=0)
            axis.annotate(
                window.name,
                (window.end_s if flip else window.start_s, number + 0.52),
                (-4 if flip else 4, 0),
                textcoords="offset points",
                ha="right" if flip else "left",
                va="center",
                fontsize=size.font - 0.5,
            )


def _draw_requests(axis: Axes, data: Timeline, size: _Size) -> None:
    _stacked_bars(axis, data, ("ok", "fail", "unknown"))
    _title(axis, "Requests per second", size, _OUTCOMES)


def _draw_trouble(axis: Axes, data: Timeline, size: _Size) -> None:
    _stacked_bars(axis, data, ("fail", "unknown"))
    _title(axis, "Of these, not ok", size, _OUTCOMES[1:])


def _stacked_bars(axis: Axes, data: Timeline, names: tuple[str, ...]) -> None:
    base = np.zeros(len(data.second_s) - 1)
    for name in names:
        top = base + data.outcomes[name]
        if data.outcomes[name].any():
            axis.stairs(top, data.second_s, baseline=base, fill=True, color=COLOURS[name], linewidth=0)
        base = top
    _count_axis(axis, float(base.max()))


def _draw_buyers(axis: Axes, data: Timeline, size: _Size) -> None:
    base = np.zeros(len(data.stages_t_s))
    for name, _ in _STAGES:
        top = base + data.stages[name]
        axis.fill_between(data.stages_t_s, base, top, color=COLOURS[name], linewidth=0)
        base = top
    highest = float(base.max())
    keys = list(_STAGES)
    if data.queue_depth.size:
        axis.plot(data.queue_t_s, data.queue_depth, color=COLOURS["ink"], linewidth=1.2, linestyle=_DASHES)
        highest = max(highest, float(data.queue_depth.max()))
        keys.append(("ink", "queue depth"))
    _count_axis(axis, highest)
    _title(axis, "Buyers, by how far they are", size, keys if not size.legend_below else _SHORT_STAGES[: len(keys)])


def _draw_lane(axis: Axes, *, lane: Lane, lanes: tuple[Lane, ...], size: _Size) -> None:
    alone = np.isfinite(lane.p50_ms) & ~(_beside(lane.p50_ms))
    axis.fill_between(lane.t_s, lane.p50_ms, lane.p99_ms, color=COLOURS["p99"], alpha=0.35, linewidth=0)
    axis.plot(lane.t_s, lane.p99_ms, color=COLOURS["p99"], linewidth=1)
    axis.plot(lane.t_s, lane.p50_ms, color=COLOURS["p50"], linewidth=1.5)
    axis.vlines(lane.t_s[alone], lane.p50_ms[alone], lane.p99_ms[alone], color=COLOURS["p99"], linewidth=3)
    axis.plot(lane.t_s[alone], lane.p50_ms[alone], ".", color=COLOURS["p50"], markersize=4)
    axis.set_yscale("log")
    low, high = _decades(lanes)
    axis.set_ylim(low, high)
    ticks = [(value, word) for value, word in _LATENCY_TICKS_MS if low <= value <= high]
    ticks = ticks if len(ticks) <= 3 else ticks[1::2]
    axis.set_yticks([value for value, _ in ticks], [word for _, word in ticks])
    axis.minorticks_off()
    axis.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
    _title(axis, f"Response time: {lane.title.lower()}", size, _PERCENTILES if lane is lanes[0] else ())


def _beside(values: Floats) -> npt.NDArray[np.bool_]:
    """Whether a neighbour of each value is known too, so that a line can be drawn to it."""
    known = np.concatenate(([False], np.isfinite(values), [False]))
    return known[:-2] | known[2:]


def _decades(lanes: tuple[Lane, ...]) -> tuple[float, float]:
    """Whole decades that hold every lane, so that lanes compare."""
    values = np.concatenate([np.concatenate((lane.p50_ms, lane.p99_ms)) for lane in lanes])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return 1.0, 1000.0
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max() * 1.1))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def _draw_breakers(axis: Axes, breakers: tuple[Breaker, ...], size: _Size) -> None:
    looks = {"closed": ("ok", 0.12), "half-open": ("half", 0.42), "open": ("open", 0.72)}
    for number, breaker in enumerate(breakers):
        for state, (colour, height) in looks.items():
            bars = [(s.start_s, s.end_s - s.start_s) for s in breaker.spans if s.state == state]
            axis.broken_barh(bars, (number + 0.5 - height / 2, height), color=COLOURS[colour], linewidth=0)
    axis.set_ylim(len(breakers), 0)
    axis.set_yticks([number + 0.5 for number in range(len(breakers))], [breaker.name for breaker in breakers])
    _title(axis, "Circuit breakers", size, (("ok", "closed"), ("half", "half-open"), ("open", "open")))


def _count_axis(axis: Axes, highest: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_ylim(0, max(highest, 1.0) * 1.04)
    axis.yaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=2))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)


# ---------------------------------------------------------------------------------------------------------- release


def _release(data: Release, size: _Size) -> str:
    name = f"release-{size.name}"
    with svg.style(name, size.font):
        figure, axes = _stack(size, [76, 76])
        drawn = ((axes[0], data.sends, "First sends per 10 ms", "p50"), (axes[1], data.answers, _ANSWERS, "holding"))
        for axis, values, title, colour in drawn:
            if data.window_s:
                axis.axvspan(0, data.window_s, color=COLOURS["grid"], linewidth=0, zorder=0.1)
            axis.stairs(values, data.edges_s, fill=True, color=COLOURS[colour], linewidth=0)
            axis.axvline(0, color=COLOURS["ink"], linewidth=1, zorder=3)
            axis.set_xlim(data.edges_s[0], data.edges_s[-1])
            _count_axis(axis, float(values.max()))
            _title(axis, title, size)
        _release_clock(axes, data, size)
        window = "" if data.window_s is None else f" The window that was asked, {data.window_s:g} s, is shaded."
        summary = f"{data.released} first sends from {data.first_s:.3f} to {data.last_s:.3f} s after T0.{window}"
        return svg.inline(figure, name, "The release, close up", summary)


def _release_clock(axes: list[Axes], data: Release, size: _Size) -> None:
    span_s = float(data.edges_s[-1])
    most = 5 if size.legend_below else 11
    step_s = next((step for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if span_s / step <= most), 1.0)
    ticks = np.arange(0, span_s * 0.97, step_s)
    for axis in axes:
        axis.set_xticks(ticks, ["T0", *(f"+{t * 1000:,.0f} ms" for t in ticks[1:])])
        axis.tick_params(axis="x", length=3, bottom=axis is axes[-1], labelbottom=axis is axes[-1])
