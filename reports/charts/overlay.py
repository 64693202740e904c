"""Control and treatment overlaid: one line each, the faults shaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from reports.charts import svg
from reports.charts.canvas import DASHES, Size, count_axis, stack, title
from reports.charts.fault_strip import shade
from reports.charts.panels import LATENCY_TICKS_MS
from reports.charts.svg import COLOURS
from reports.view.charts.overlay import Overlay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT_PX: Final = 130
_KEYS: Final = (("ink", "without the faults"), ("open", "with the faults"))
_TICKS_S: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600)


def draw(data: Overlay, name: str, size: Size) -> str:
    """The overlay as one `<svg>` element; `name` keeps its ids apart from those of other charts."""
    name = f"{name}-{size.name}"
    with svg.style(name, size.font):
        figure, (axis,) = stack(size, [_HEIGHT_PX])
        axis.set_xlim(data.start_s, data.end_s)
        _scale(axis, data)
        shade(axis, data.faults)
        axis.plot(data.t_s, data.treatment, color=COLOURS["open"], linewidth=1.8, marker=_mark(data), markersize=3)
        axis.plot(
            data.t_s,
            data.control,
            color=COLOURS["ink"],
            linewidth=1.3,
            linestyle=DASHES,
            marker=_mark(data),
            markersize=2,
        )
        _clock(axis, data, size)
        title(axis, "", size, _KEYS)
        faults = ", ".join(f"{w.name} from {w.start_s:.1f} to {w.end_s:.1f} s" for w in data.faults) or "none"
        return svg.inline(figure, name, f"{data.title}, with and without the faults", f"Faults, shaded: {faults}.")


def _mark(data: Overlay) -> str:
    """A dot on each second without a neighbour, so that it is seen; no dot on a curve."""
    return "" if data.unit == "fans" else "o"


def _scale(axis: Axes, data: Overlay) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    values = np.concatenate((data.control, data.treatment))
    known = values[np.isfinite(values)]
    highest = float(known.max()) if known.size else 1.0
    if data.unit == "ms":
        _log_scale(axis, known)
        return
    if data.unit == "ratio":
        axis.set_ylim(0, min(1.04, max(highest * 1.15, 0.02)))
        axis.yaxis.set_major_locator(MaxNLocator(3))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
        axis.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
        return
    count_axis(axis, highest)


def _log_scale(axis: Axes, known: np.ndarray) -> None:
    positive = known[known > 0]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (1.0, 1000.0)
    low, high = 10.0 ** np.floor(np.log10(low)), 10.0 ** np.ceil(np.log10(high * 1.1))
    axis.set_yscale("log")
    axis.set_ylim(low, high)
    ticks = [(value, word) for value, word in LATENCY_TICKS_MS if low <= value <= high]
    axis.set_yticks([value for value, _ in ticks], [word for _, word in ticks])
    axis.minorticks_off()
    axis.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)


def _clock(axis: Axes, data: Overlay, size: Size) -> None:
    most = 5 if size.legend_below else 12
    span_s = data.end_s - data.start_s
    step_s = next((step for step in _TICKS_S if span_s / step <= most), _TICKS_S[-1])
    ticks = np.arange(np.ceil(data.start_s / step_s) * step_s, data.end_s - 0.03 * span_s, step_s)
    axis.set_xticks(ticks, ["T0" if t == 0 else f"+{t:,.0f} s" for t in ticks])
