"""The sheet that every chart is drawn on: its sizes, its panels, their titles and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reports.charts.svg import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES: Final = (0, (3, 2))
"""The line of what the platform says itself, beside what was counted."""


@dataclass(frozen=True, slots=True)
class Size:
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


WIDE: Final = Size("wide", 1080, 60, 10, 11.0, 5.0, legend_below=False)
NARROW: Final = Size("narrow", 370, 60, 8, 10.5, 15.0, legend_below=True)
FOOT_PX: Final = 24.0


def stack(size: Size, heights: list[float]) -> tuple[Figure, list[Axes]]:
    """Panels of the given heights, one above the other, with room for their heads and for a clock above and below."""
    from matplotlib.figure import Figure

    total = sum(heights) + size.head * (len(heights) - 1) + 2 * FOOT_PX
    figure = Figure(figsize=(size.width / 72, total / 72), dpi=72)
    axes, top = [], total - FOOT_PX
    for height in heights:
        box = (size.left / size.width, (top - height) / total, size.inner / size.width, height / total)
        axes.append(figure.add_axes(box))
        top -= height + size.head
    return figure, axes


def title(axis: Axes, text: str, size: Size, keys: Sequence[tuple[str, str]] = ()) -> None:
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
            Line2D([], [], color=COLOURS[colour], linewidth=1.2, linestyle=DASHES)
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


def count_axis(axis: Axes, highest: float) -> None:
    """A y-axis of whole numbers from zero, with few labels."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_ylim(0, max(highest, 1.0) * 1.04)
    axis.yaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=2))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.grid(axis="y", color=COLOURS["grid"], linewidth=0.8)
