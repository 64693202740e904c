"""Diagrams of the documents, drawn when the site is built, so that a reader's browser asks nobody for a program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from merman import Merman

_BLOCK: Final = re.compile(r"^```mermaid\n(.*?)^```$", re.M | re.S)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.M)
_STYLE: Final = 'style="max-width:'


def drawn(text: str, page: Path) -> str:
    """The text of a page with a picture in the place of each Mermaid block; the pictures lie beside the page."""

    def picture(found: re.Match[str]) -> str:
        headings = _HEADING.findall(text[: found.start()])
        name = f"{page.stem}-{len(_BLOCK.findall(text[: found.start()])) + 1}.svg"
        (page.parent / name).write_text(_svg(found[1]), encoding="utf-8")
        return f"[![{headings[-1] if headings else page.stem}]({name})]({name})"

    return _BLOCK.sub(picture, text)


def _svg(source: str) -> str:
    """The diagram, on white in either colour scheme."""
    svg = Merman().render_svg(source, None)
    if _STYLE not in svg:
        raise ValueError("the renderer of diagrams gives no style to be extended")
    return svg.replace(_STYLE, _STYLE.replace("max-width", "background:#fff;max-width"), 1)
