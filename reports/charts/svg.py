"""Makes matplotlib's SVG fit for a page: colours become CSS variables, dates and unused ids are removed.

A chart is drawn in placeholder colours; each becomes `var(--name)`, so that the page decides on light, dark and print.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = {
    name: f"#01{number:02x}fe"
    for number, name in enumerate(
        (
            "ink", "muted", "rule", "grid", "ok", "fail", "unknown", "fault",
            "waiting", "choosing", "holding", "ticket", "p50", "p99", "half", "open", "paper",
        )
    )
}  # fmt: skip
"""Name of a CSS variable → its stand-in in the drawing."""

_REFERENCES: Final = re.compile(r'(?:url\(#|href="#)([\w.-]+)')


@contextmanager
def style(name: str, font_px: float) -> Iterator[None]:
    """Drawing defaults for one chart. `name` makes its ids unique in the page and equal in every run."""
    import matplotlib as mpl

    settings: dict[Any, object] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.family": "DejaVu Sans",
        "font.size": font_px,
        "text.color": COLOURS["ink"],
        "axes.edgecolor": COLOURS["rule"],
        "axes.labelcolor": COLOURS["muted"],
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "xtick.color": COLOURS["rule"],
        "ytick.color": COLOURS["rule"],
        "xtick.labelcolor": COLOURS["muted"],
        "ytick.labelcolor": COLOURS["muted"],
        "ytick.major.size": 0,
        "xtick.major.size": 3,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "axes.axisbelow": True,
        "legend.frameon": False,
        "path.simplify": True,
    }
    with mpl.rc_context(settings):
        yield


def inline(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as one `<svg>` element that scales with its container and is read out as `title` and `description`."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    sink = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(sink, format="svg", metadata=nothing, transparent=True)
    return _tidy(sink.getvalue(), name, title, description)


def _tidy(svg: str, name: str, title: str, description: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*"', "", svg)
    svg = _own_ids(svg, name)
    for colour, stand_in in COLOURS.items():
        svg = svg.replace(stand_in, f"var(--{colour})")
    svg = re.sub(r"\s*\n\s*", " ", svg)
    box = re.search(r'viewBox="([^"]*)"', svg)
    opening = f'<svg viewBox="{box.group(1) if box else ""}" role="img" aria-labelledby="{name}-title {name}-desc">'
    heading = f'<title id="{name}-title">{html.escape(title)}</title>'
    heading += f'<desc id="{name}-desc">{html.escape(description)}</desc>'
    return re.sub(r"<svg[^>]*>", lambda _: opening + heading, svg, count=1)


def _own_ids(svg: str, name: str) -> str:
    """Keep only ids that something refers to, and make them unique in the page."""
    used = set(_REFERENCES.findall(svg))

    def keep(match: re.Match[str]) -> str:
        return f' id="{name}-{match.group(1)}"' if match.group(1) in used else ""

    svg = re.sub(r' id="([^"]*)"', keep, svg)
    return _REFERENCES.sub(lambda match: match.group(0).replace(f"#{match.group(1)}", f"#{name}-{match.group(1)}"), svg)
