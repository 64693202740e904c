"""Writes report.html: one file that needs no network and no script."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.shown import in_a_block
from reports import charts
from reports.view import Page


def render(page: Page) -> str:
    """The page as HTML. Everything that comes from a record is escaped; only our own charts are put in as markup."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_seen,
    )
    return environment.get_template("report.html.j2").render(
        page=page,
        overlay_chart=charts.overlay_chart,
        exams={exam.name: exam for exam in page.examinations},
        timeline=None if page.timeline is None else charts.timeline_chart(page.timeline),
        release=None if page.release is None else charts.release_chart(page.release),
    )


def _seen(value: object) -> object:
    """Texts without control characters; charts, which are markup, too."""
    if isinstance(value, Markup):
        return Markup(in_a_block(value))  # noqa: S704 - as safe as it was
    return in_a_block(value) if isinstance(value, str) else value
