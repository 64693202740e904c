"""Python source: string literals, and long lines broken at their brackets as formatters do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

LINE_MAX: Final = 108
_OPEN: Final = "([{"
_CLOSE: Final = ")]}"


def literal(text: str) -> str:
    """A string, in double quotes where it has none itself."""
    quoted = repr(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in text and "'" not in text else quoted


def subscripts(keys: Sequence[str | int]) -> str:
    """The way to a value in a JSON document."""
    return "".join(f"[{literal(key) if isinstance(key, str) else key}]" for key in keys)


def wrapped(lines: Sequence[str]) -> list[str]:
    """Lines that are too long, broken."""
    return [part for line in lines for part in _broken(line)]


def _broken(line: str) -> Iterator[str]:
    mark = next((at for at, _ in _outside_strings(line) if line.startswith("  # ", at)), len(line))
    code, comment = line[:mark], line[mark:]
    start = _last_bracket(code) if len(line) > LINE_MAX else -1
    if start < 0:
        yield line
        return
    indent = code[: len(code) - len(code.lstrip())]
    yield code[: start + 1] + comment
    inside = code[start + 1 : -1]
    parts = _split(inside, ", ") if code[start] == "(" else _split(inside, " for ")
    if code[start] == "(" and len(parts) == 1 and " for " not in inside:
        yield from _broken(f"{indent}    {inside}")
    elif code[start] == "(":
        for part in parts:
            yield from _broken(f"{indent}    {part},")
    else:
        for at, part in enumerate(parts):
            yield from _broken(f"{indent}    {'for ' if at else ''}{part}")
    yield f"{indent}{code[-1]}"


def _last_bracket(code: str) -> int:
    """Where the bracket opens that the end of the line closes; -1 for none."""
    if not code or code[-1] not in ")]":
        return -1
    opened: list[int] = []
    for at, character in _outside_strings(code):
        if character in _OPEN:
            opened.append(at)
        elif character in _CLOSE and opened:
            start = opened.pop()
            if at == len(code) - 1:
                return start
    return -1


def _split(code: str, separator: str) -> list[str]:
    """At separators that are in no bracket and in no string."""
    parts, depth, begun = [], 0, 0
    for at, character in _outside_strings(code):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth == 0 and at >= begun and code.startswith(separator, at):
            parts.append(code[begun:at])
            begun = at + len(separator)
    return [*parts, code[begun:]]


def _outside_strings(code: str) -> Iterator[tuple[int, str]]:
    quote, escaped = "", False
    for at, character in enumerate(code):
        if quote:
            if not escaped and character == quote:
                quote = ""
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        else:
            yield at, character
