"""The sections of docs/runbooks.md that a report refers to, so that a report can be read without the repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from harness.record.schema import Struct

_FILE: Final = Path(__file__).parents[3] / "docs" / "runbooks.md"
_PREFIX: Final = "docs/runbooks.md#"
_SECTION: Final = re.compile(r"^## (\S+)\n(.*?)(?=^##? |\Z)", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKS: Final = re.compile(r"(\*\*.+?\*\*|`[^`]+`)")


class Piece(Struct, frozen=True):
    """A piece of text. kind: text | strong | code."""

    kind: str
    text: str


class Runbook(Struct, frozen=True):
    """One section: `anchor` names it in the page, `lines` are its paragraphs and list items."""

    name: str
    lines: tuple[tuple[Piece, ...], ...]

    @property
    def anchor(self) -> str:
        """The id in the page."""
        return f"runbook-{self.name}"


def embedded(references: Iterable[str]) -> tuple[Runbook, ...]:
    """The sections that these references of findings and experiments name, each once, in their order."""
    known = _sections()
    names = dict.fromkeys(one.removeprefix(_PREFIX) for one in references if one.startswith(_PREFIX))
    return tuple(Runbook(name=name, lines=known[name]) for name in names if name in known)


def anchor_of(reference: str) -> str:
    """The id of the section in the page; "" when the reference names none that is known."""
    name = reference.removeprefix(_PREFIX)
    return f"runbook-{name}" if reference.startswith(_PREFIX) and name in _sections() else ""


@cache
def _sections() -> dict[str, tuple[tuple[Piece, ...], ...]]:
    """Section → its lines; empty where the documents are not installed."""
    try:
        source = _FILE.read_text()
    except OSError:
        return {}
    return {name: tuple(_lines(body)) for name, body in _SECTION.findall(source)}


def _lines(body: str) -> Iterator[tuple[Piece, ...]]:
    """A line for each paragraph, each `**Word** …` at the start of a line, and each list item."""
    joined = re.sub(r"\n(?!\n|\*\*|- |\d+\. )", " ", body.strip())
    for line in filter(None, (one.strip() for one in joined.split("\n"))):
        yield tuple(_pieces(_LINK.sub(r"\1", line)))


def _pieces(line: str) -> Iterator[Piece]:
    for part in filter(None, _MARKS.split(line)):
        if part.startswith("**"):
            yield Piece(kind="strong", text=part[2:-2])
        elif part.startswith("`"):
            yield Piece(kind="code", text=part[1:-1])
        else:
            yield Piece(kind="text", text=part)
