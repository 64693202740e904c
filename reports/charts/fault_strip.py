"""Draws the faults as named bars on the clock, and their shade over the panels below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reports.charts.canvas import Size
from reports.charts.svg import COLOURS
from reports.view.charts.timeline import Timeline, Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHARACTER_RATIO: Final = 0.6
"""Width of an average character of a sans-serif face, in ems; on the wide side."""


@dataclass(frozen=True, slots=True)
class Label:
    """A fault's bar with its name, which may reach further than the bar."""

    window: Window
    flip: bool


def fault_rows(data: Timeline, size: Size) -> list[list[Label]]:
    """Faults in as few rows as their bars and names allow without touching."""
    px_per_s = size.inner / (data.end_s - data.start_s)
    rows: list[list[Label]] = []
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
        rows[row].append(Label(window, flip))
        ends[row] = right + 4 / px_per_s
    return rows


def draw_faults(axis: Axes, rows: list[list[Label]], size: Size) -> None:
    """The bars and their names."""
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


def shade(axis: Axes, faults: tuple[Window, ...]) -> None:
    """Each fault behind what a panel shows, with an edge where it began and ended."""
    for fault in faults:
        axis.axvspan(fault.start_s, fault.end_s, color=COLOURS["fault"], alpha=0.16, linewidth=0, zorder=0.2)
    edges = [edge for fault in faults for edge in (fault.start_s, fault.end_s)]
    whole = axis.get_xaxis_transform()
    axis.vlines(edges, 0, 1, transform=whole, color=COLOURS["fault"], alpha=0.6, linewidth=0.8, zorder=2.2)
