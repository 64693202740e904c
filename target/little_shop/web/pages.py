"""Fills the templates: every page of the shop, also its error pages, goes through here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse, Response

from target.little_shop.web.visitors import Visitor, greet

TEMPLATES: Final = Path(__file__).parents[1] / "templates"


def money(cents: int) -> str:
    """4500 → "45.00"."""
    return f"{cents // 100}.{cents % 100:02d}"


class Pages:
    """See the module. `base` is where the shop begins, "" for the root."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._templates = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
        self._templates.filters["money"] = money
        self._templates.globals["base"] = base

    def show(self, name: str, who: Visitor, status: int = 200, **values: object) -> Response:
        """A page."""
        content = self._templates.get_template(f"{name}.html").render(token=who.token, **values)
        response = HTMLResponse(content, status, headers={"cache-control": "no-store"})
        return greet(response, who, self._base or "/")

    def go_to(self, path: str, who: Visitor) -> Response:
        """Sends the browser to another page of the shop, with GET, or to another site."""
        url = path if "://" in path else self._base + path
        return greet(RedirectResponse(url, 303), who, self._base or "/")
