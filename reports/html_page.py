"""Writes report.html: one file that needs no network and no script."""

from __future__ import annotations

from reports import charts
from reports.templating import rendered
from reports.view import Page


def render(page: Page) -> str:
    """The page as HTML."""
    return rendered(
        "report.html.j2",
        page=page,
        overlay_chart=charts.overlay_chart,
        exams={exam.name: exam for exam in page.examinations},
        timeline=None if page.timeline is None else charts.timeline_chart(page.timeline),
        release=None if page.release is None else charts.release_chart(page.release),
    )
