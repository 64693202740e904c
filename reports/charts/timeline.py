"""Draws the run as a timeline on the release clock, with every fault shaded in every panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from reports.charts import svg
from reports.charts.canvas import Size, stack
from reports.charts.fault_strip import draw_faults, fault_rows, shade
from reports.charts.panels import draw_breakers, draw_buyers, draw_lane, draw_requests, draw_trouble
from reports.charts.svg import COLOURS
from reports.view.charts.chart_data import timeline_seen
from reports.view.charts.timeline import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_PX: Final = 18.0


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: its height without its head, in px, and what draws into it."""

    height: float
    draw: Callable[[Axes], None]


def draw(data: Timeline, size: Size) -> str:
    """The timeline as one `<svg>` element."""
    rows = fault_rows(data, size)
    panels = [_Panel(6 + ROW_PX * max(len(rows), 1), lambda axis: draw_faults(axis, rows, size))]
    panels.append(_Panel(100, lambda axis: draw_requests(axis, data, size)))
    if any(data.outcomes[name].any() for name in ("fail", "unknown")):
        panels.append(_Panel(56, lambda axis: draw_trouble(axis, data, size)))
    if data.stages:
        panels.append(_Panel(100, lambda axis: draw_buyers(axis, data, size)))
    panels += [_Panel(54, partial(draw_lane, lane=lane, lanes=data.lanes, size=size)) for lane in data.lanes]
    if data.breakers:
        panels.append(_Panel(8 + ROW_PX * len(data.breakers), lambda axis: draw_breakers(axis, data.breakers, size)))
    name = f"timeline-{size.name}"
    with svg.style(name, size.font):
        figure, axes = stack(size, [panel.height for panel in panels])
        for axis, panel in zip(axes, panels, strict=True):
            axis.set_xlim(data.start_s, data.end_s)
            panel.draw(axis)
        for axis in axes[1:]:
            shade(axis, data.faults)
        _clock(axes, data, size)
        faults = ", ".join(f"{w.name} from {w.start_s:.1f} to {w.end_s:.1f} s" for w in data.faults) or "none"
        return svg.inline(figure, name, "The run on the release clock", f"Faults: {faults}. {timeline_seen(data)}")


def _clock(axes: list[Axes], data: Timeline, size: Size) -> None:
    """T0 and the seconds after it: labelled above the first panel and below the last."""
    most = 5 if size.legend_below else 14
    step_s = size.tick_s * max(1, round((data.end_s - data.start_s) / most / size.tick_s))
    ticks = np.arange(0, data.end_s * 0.96, step_s)
    for axis in axes:
        axis.axvline(0, color=COLOURS["ink"], linewidth=1, zorder=3)
        axis.set_xticks(ticks, ["T0", *(f"+{t:,.0f} s" for t in ticks[1:])])
        axis.tick_params(axis="x", length=3, bottom=axis is axes[-1], labelbottom=axis is axes[-1])
    axes[0].tick_params(axis="x", top=True, labeltop=True, bottom=False, labelbottom=False)
