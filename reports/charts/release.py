"""Draws the release close up: first sends and first answers, per 10 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from reports.charts import svg
from reports.charts.canvas import Size, count_axis, stack, title
from reports.charts.svg import COLOURS
from reports.view.charts.timeline import Release

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ANSWERS: Final = "First answers to them per 10 ms"


def draw(data: Release, size: Size) -> str:
    """The close-up as one `<svg>` element."""
    name = f"release-{size.name}"
    with svg.style(name, size.font):
        figure, axes = stack(size, [76, 76])
        drawn = ((axes[0], data.sends, "First sends per 10 ms", "p50"), (axes[1], data.answers, _ANSWERS, "holding"))
        for axis, values, words, colour in drawn:
            if data.window_s:
                axis.axvspan(0, data.window_s, color=COLOURS["grid"], linewidth=0, zorder=0.1)
            axis.stairs(values, data.edges_s, fill=True, color=COLOURS[colour], linewidth=0)
            axis.axvline(0, color=COLOURS["ink"], linewidth=1, zorder=3)
            axis.set_xlim(data.edges_s[0], data.edges_s[-1])
            count_axis(axis, float(values.max()))
            title(axis, words, size)
        _release_clock(axes, data, size)
        window = "" if data.window_s is None else f" The window that was asked, {data.window_s:g} s, is shaded."
        summary = f"{data.released} first sends from {data.first_s:.3f} to {data.last_s:.3f} s after T0.{window}"
        return svg.inline(figure, name, "The release, close up", summary)


def _release_clock(axes: list[Axes], data: Release, size: Size) -> None:
    span_s = float(data.edges_s[-1])
    most = 5 if size.legend_below else 11
    step_s = next((step for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if span_s / step <= most), 1.0)
    ticks = np.arange(0, span_s * 0.97, step_s)
    for axis in axes:
        axis.set_xticks(ticks, ["T0", *(f"+{t * 1000:,.0f} ms" for t in ticks[1:])])
        axis.tick_params(axis="x", length=3, bottom=axis is axes[-1], labelbottom=axis is axes[-1])
