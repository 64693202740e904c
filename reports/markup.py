"""Pieces of Markdown: what comes from a record never becomes markup, and a table row never breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from harness.shown import on_one_line

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~@!])")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(words: str) -> str:
    """A text from a record without markup, line breaks, control characters and mentions."""
    return _MARKUP.sub(r"\\\1", on_one_line(" ".join(words.split())))


def code(words: str) -> str:
    """The inside of a code span."""
    return on_one_line(" ".join(words.split())).replace("`", "'").replace("|", "\\|")
