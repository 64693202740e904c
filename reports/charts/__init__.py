"""The charts: the run as a timeline, the release close up, a paired run overlaid. Each is drawn wide and narrow.

They draw what the view model has counted and decide nothing. Labels are placed by their width, so that they do not
collide.
"""

from __future__ import annotations

from harness.record.schema import Struct
from reports.charts import overlay, release, timeline
from reports.charts.canvas import NARROW, WIDE
from reports.view.charts.overlay import Overlay
from reports.view.charts.timeline import Release, Timeline


class Chart(Struct, frozen=True):
    """One chart in both sizes; each is a complete `<svg>` element."""

    wide: str
    narrow: str


def timeline_chart(data: Timeline) -> Chart:
    """Requests, buyers, response times and breakers on the release clock."""
    return Chart(wide=timeline.draw(data, WIDE), narrow=timeline.draw(data, NARROW))


def overlay_chart(data: Overlay, name: str) -> Chart:
    """Control and treatment on one clock; `name` must be unique in the page."""
    return Chart(wide=overlay.draw(data, name, WIDE), narrow=overlay.draw(data, name, NARROW))


def release_chart(data: Release) -> Chart:
    """First sends and first answers, per 10 ms."""
    return Chart(wide=release.draw(data, WIDE), narrow=release.draw(data, NARROW))
