"""Fills the templates of the files that `init` writes."""

from __future__ import annotations

from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

WORKFLOW: Final = ".github/workflows/rehearse.yml"


def filled(template: str, **values: object) -> str:
    """The text of a template with these values."""
    return _environment().get_template(f"{template}.j2").render(**values)


@cache
def _environment() -> Environment:
    """What is filled in is source text, not HTML."""
    return Environment(
        loader=PackageLoader("harness.scaffold"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
