"""The two charts: the run as a timeline, and the release close up. Each is drawn for a wide page and for a narrow one.

They draw what the view model has counted and decide nothing. Labels are placed by their own width, so none collide.
"""

from __future__ import annotations

from harness.record.schema import Struct
from reports.charts import release, timeline
from reports.charts.canvas import NARROW, WIDE
from reports.view.timeline import Release, Timeline


class Chart(Struct, frozen=True):
    """One chart in both sizes; each is a complete `<svg>` element."""

    wide: str
    narrow: str


def timeline_chart(data: Timeline) -> Chart:
    """Requests, buyers, response times and breakers on the release clock."""
    return Chart(wide=timeline.draw(data, WIDE), narrow=timeline.draw(data, NARROW))


def release_chart(data: Release) -> Chart:
    """First sends and first answers, per 10 ms."""
    return Chart(wide=release.draw(data, WIDE), narrow=release.draw(data, NARROW))
