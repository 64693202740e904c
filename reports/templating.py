"""Renders the HTML pages: everything that comes from a record is escaped, and each page is one file."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.shown import in_a_block


def rendered(template: str, **values: object) -> str:
    """The page. Only our own charts are put in as markup."""
    environment = Environment(
        loader=PackageLoader("reports"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_seen,
    )
    return environment.get_template(template).render(values)


def _seen(value: object) -> object:
    """Texts without control characters; charts, which are markup, too."""
    if isinstance(value, Markup):
        return Markup(in_a_block(value))  # noqa: S704 - as safe as it was
    return in_a_block(value) if isinstance(value, str) else value
