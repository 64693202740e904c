"""Mutations of documents: of their values and keys, of their text, and of their bytes."""

from __future__ import annotations

import copy
import datetime
import functools
import random
from collections.abc import Callable
from typing import Any, Final

import yaml

VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    "",
    " ",
    "-",
    "x" * 300,
    "x" * 5000,
    0,
    1,
    -1,
    0.1,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    10**30,
    -(10**30),
    2**31,
    2**63,
    2**64,
    float("inf"),
    float("-inf"),
    float("nan"),
    "NaN",
    "1e999",
    "0x10",
    "1_000",
    "12:30:45",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"a": {"b": {"c": 1}}},
    datetime.date(2026, 2, 28),
    datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC),
    b"\x00\xff",
    "\x1b[31mred",
    "\u202eright to left",
    "\u0000",
    "zero\u200bwidth",
    "🎟️",
    "Zoë",
    "straße",
    "1e15",
    "::error::x",
    "a\nb",
    "%s%n{0}",
    "'\"`$(id)",
    "../../../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/",
    ".",
    "javascript:alert(1)",
    "http://[",
    "http://user:pw@h:99999/",
    "http://127.0.0.1:0",
    "127.0.0.1:65536",
    "a..b:80",
    "127.0.0.1.nip.io",
    "224.0.0.1",
    ":80",
    "env:HOME",
    "all",
    "none",
    "READY",
    "violated",
)
"""What stands where something else was expected."""

RAW: Final[tuple[str, ...]] = (
    ".inf",
    "-.inf",
    ".nan",
    "9" * 400,
    "0" * 400,
    "1e99999",
    "!!python/object/apply:os.system [id]",
    "!!binary aGVsbG8=",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!timestamp 2001-99-99",
    "2001-99-99",
    "!!int abc",
    "!!float abc",
    "!!null x",
    "=",
    "<<",
    "{<<: {a: 1}}",
    "{<<: 1}",
    "? [a, b]\n: c",
    "{[a]: b}",
    "{{a: b}: c}",
    "*nobody",
    "&a [*a]",
    "&a {a: *a}",
    '"\\ud800"',
    '"\\0"',
    '"\\x1b[2J"',
    "|\n  text",
    "%YAML 9.9",
    "---",
    "...",
    "@",
    "`",
    "\t",
    "{",
    "[",
    "}",
    "]",
    '"',
    "'",
    "- - - -",
    ": :",
    "#",
    "!",
    "!!",
    "0o777777777777777777777777",
    "0b11111111111111111111111111111111111111111111111111111111111111111111",
    "1:99:99:99:99:99",
)
"""What a value is replaced by in the text of a file."""

ENCODINGS: Final = ("utf-16", "utf-32", "utf-8-sig", "cp037", "utf-7")


def of_data(data: object, dice: random.Random) -> object:
    """The document with one to three of its parts changed, misspelt, doubled, moved or taken out."""
    changed = copy.deepcopy(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        changed = _once(changed, dice)
    return changed


def _once(data: Any, dice: random.Random) -> object:
    found = places(data, ())
    if not found:
        return dice.choice(VALUES)
    *way, last = dice.choice(found)
    node = data
    for key in way:
        node = node[key]
    match dice.randrange(8):
        case 0 | 1 | 2:
            node[last] = copy.deepcopy(dice.choice(VALUES))
        case 3 if isinstance(node, dict):
            node[misspelt(str(last), dice)] = node.pop(last)
        case 4:
            del node[last]
        case 5:
            value = node[last]
            node[last] = [value] if dice.random() < 0.5 else {"a": value}
        case 6:
            node[last] = copy.deepcopy(_at(data, dice.choice(found)))
        case 7 if isinstance(node[last], int | float) and not isinstance(node[last], bool):
            node[last] = node[last] * dice.choice((-1, 1000, 10**9, 10**25, 0.001, 1e300))
        case _:
            node[last] = str(node[last])
    return data


def places(data: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value of a document."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in parts for place in ((*above, key), *places(value, (*above, key)))]


def _at(data: Any, place: tuple[Any, ...]) -> object:
    for key in place:
        data = data[key]
    return data


def misspelt(word: str, dice: random.Random) -> str:
    """The word with one slip of the pen."""
    at = dice.randrange(len(word) + 1)
    return dice.choice((word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word.upper(), word + " ", word[::-1]))


def of_text(text: str, dice: random.Random) -> str:
    """The text with lines or values changed, as a tired author or a broken editor does it."""
    lines = text.splitlines()
    at = dice.randrange(len(lines))
    match dice.randrange(8):
        case 0:
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key}{colon} {dice.choice(RAW)}"
        case 1:
            lines.insert(at, lines[dice.randrange(len(lines))])
        case 2:
            lines[at] = dice.choice(("\t", " ", "   ")) + lines[at]
        case 3:
            del lines[at]
        case 4:
            lines[at] = lines[at].replace(dice.choice((":", "{", "}", "[", '"', ",", "-", " ")), "", 1)
        case 5:
            depth = dice.choice((5, 99, 101, 2000))
            lines[at] = f"{lines[at].partition(':')[0]}: {'[' * depth}{']' * depth}"
        case 6:
            lines.insert(at, bomb(dice.choice((2, 5, 9, 20))))
        case _:
            return text[: dice.randrange(len(text))]
    return "\n".join(lines) + "\n"


def bomb(levels: int) -> str:
    """Aliases of aliases, nine at each level."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(rows)


def of_bytes(content: bytes, dice: random.Random) -> bytes:
    """The bytes cut, flipped, doubled, or in another encoding."""
    at = dice.randrange(len(content) + 1)
    match dice.randrange(6):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + bytes([dice.randrange(256)]) + content[at + 1 :]
        case 2:
            return content[:at] + bytes(dice.choice((1, 8, 4096))) + content[at:]
        case 3:
            return content.decode("utf-8", "replace").encode(dice.choice(ENCODINGS), "replace")
        case 4:
            return content + content[at:]
        case _:
            return bytes(dice.randrange(256) for _ in range(dice.choice((0, 1, 50))))


_loaded: Final = functools.cache(yaml.safe_load)


def of_yaml(text: str, dice: random.Random) -> bytes:
    """A YAML document in one of these ways."""
    choice = dice.random()
    if choice < 0.6:
        return yaml.safe_dump(of_data(_loaded(text), dice), allow_unicode=True, sort_keys=False).encode()
    return of_text(text, dice).encode() if choice < 0.85 else of_bytes(text.encode(), dice)


def of_json(content: bytes, dice: random.Random, load: Callable[[bytes], Any], dump: Callable[[Any], bytes]) -> bytes:
    """A JSON document in one of these ways."""
    if dice.random() < 0.8:
        return dump(of_data(load(content), dice))
    return of_bytes(content, dice)
