"""Reads documented types: the fields of a class with their annotations, defaults and meanings, as Markdown tables.

The meaning of a field is the string that follows it, or the comment beside it.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from typing import Final

import msgspec

MADE: Final = "This page is made from the code by `python -m tests.reference`."
"""What each generated page says of itself."""


class Field(msgspec.Struct, frozen=True):
    """One field of a type: its annotation and default as they are written, and what its documentation says."""

    name: str
    kind: str
    default: str
    meaning: str


def fields(kind: type) -> list[Field]:
    """The annotated public fields that the class itself declares, in their order."""
    source = textwrap.dedent(inspect.getsource(kind))
    body = _tree(source, kind).body
    comments = _comments(source)
    found = []
    for at, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        default = "" if node.value is None else ast.unparse(node.value)
        follows = body[at + 1] if at + 1 < len(body) else None
        beside = [comments[line] for line in range(node.lineno, (node.end_lineno or 0) + 1) if line in comments]
        meaning = _said(follows) or one_line(" ".join(beside))
        found.append(Field(node.target.id, ast.unparse(node.annotation), _plain(default), meaning))
    return [field for field in found if not field.name.startswith("_")]


def table(found: list[Field], first: str, *, of_files: bool = False) -> Iterator[str]:
    """A table of the fields; nothing for none. Without meanings where the docstring of the class tells them all.

    `of_files`: types and defaults as the author of a YAML file knows them.
    """
    if not found:
        return
    told = any(one.meaning for one in found)
    shown = [_for_files(one) if of_files else one for one in found]
    cells = [
        (f"`{one.name}`", f"`{tidy(one.kind)}`".replace(" | ", " or "), one.default or "required", one.meaning)
        for one in (msgspec.structs.replace(one, default=one.default and f"`{one.default}`") for one in shown)
    ]
    header = (first, "Type", "Default", "Meaning")
    yield rows(header, cells) if told else rows(header[:3], [cell[:3] for cell in cells])


def rows(header: tuple[str, ...], cells: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *cells]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def tidy(text: str) -> str:
    """A signature without quotes around its annotations, and without the modules that its types live in."""
    text = re.sub(r"""(: |-> )(['"])(.*?)\2""", r"\1\3", text)
    text = re.sub(r"Annotated\[(\w+), Meta\((.*?)\)\]", r"\1 (\2)", text)
    text = re.sub(r"\b(?:harness|collections|typing|msgspec)\.[\w.]*?(\w+)\b(?!\.)", r"\1", text)
    return re.sub(r"ClassVar\[(.*)\]$", r"\1", text)


def prose(documented: object) -> str:
    """The docstring, a line for each paragraph."""
    return "\n\n".join(one_line(part) for part in (inspect.getdoc(documented) or "").split("\n\n"))


def one_line(text: str) -> str:
    """The text without line breaks."""
    return " ".join(text.split())


def _for_files(field: Field) -> Field:
    """The field in the words of YAML: lists, mappings, null; a section's default is its own table."""
    kind = re.sub(r"tuple\[([^\[\]]+), \.\.\.\]", r"list of \1", field.kind)
    kind = re.sub(r"dict\[([^,\[\]]+), ([^\[\]]+)\]", r"\1 → \2", kind)
    kind = re.sub(r"Literal\[([^\]]*)\]", lambda words: words[1].replace("'", ""), kind)
    kind = re.sub(r"^tuple\[(\w+), (\w+)\]$", r"[\1, \2]", kind).replace("None", "null")
    default = re.sub(r"^\((.*?),?\)$", r"[\1]", re.sub(r"^\w+\(\)$", "{}", field.default))
    words = {"None": "null", "True": "true", "False": "false"}
    return msgspec.structs.replace(field, kind=kind, default=words.get(default, default))


def _plain(default: str) -> str:
    """The value that a factory makes, where the source shows it."""
    made = re.fullmatch(r"msgspec\.field\(default_factory=(?:lambda: )?(.*)\)", default)
    if made is None:
        return default
    return {"list": "[]", "dict": "{}"}.get(made[1], made[1])


def _said(node: ast.stmt | None) -> str:
    """The documentation string of a field: the literal that follows it."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return one_line(node.value.value) if is_text else ""  # type: ignore[union-attr]


def _comments(source: str) -> dict[int, str]:
    """Line → the comment at its end."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {one.start[0]: one.string.lstrip("# ") for one in tokens if one.type == tokenize.COMMENT}


def _tree(source: str, kind: type) -> ast.ClassDef:
    tree = ast.parse(source).body[0]
    if not isinstance(tree, ast.ClassDef):
        raise TypeError(f"{kind} is no class")
    return tree
