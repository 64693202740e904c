"""Values of answers that come again in later requests: where a fan's browser finds its own one.

Cookies are the jar's. Hidden fields are the form's. What is left is found in JSON, in attributes, in addresses after
redirects and in cookies that a header or a field repeats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from harness.scaffold.python import literal, subscripts
from harness.scaffold.recording.steps import Step, Visit, leaves
from harness.scaffold.selectors import quoted, selector_of

_LONG: Final = 12
_SHORT: Final = 3
_COOKIE: Final = re.compile(r"[\w.-]+")
_WORD: Final = re.compile(r"[A-Za-z]+(?:[-_][A-Za-z]+)*")


class Found(msgspec.Struct, frozen=True):
    """Where a value comes from. `code`: how it is read, of `page`; `step`: whose answer that is, -1 for a cookie."""

    step: int
    code: str


def is_variable(value: str) -> bool:
    """Whether a value may be another for each fan: an id or a token, not a word or a small number."""
    if len(value) < _SHORT or (_WORD.fullmatch(value) and len(value) < 2 * _LONG):
        return False
    return any(character.isdigit() for character in value) or len(value) >= _LONG


def find(value: str, before: Sequence[Step]) -> Found | None:
    """The latest answer that had the value."""
    for step in reversed(before):
        for visit in reversed(step.visits):
            for code in (*_in_json(value, visit), *_in_page(value, visit), *_in_address(value, visit)):
                return Found(step.number, code)
    for step in reversed(before):
        if (name := _cookie(value, step)) is not None:
            return Found(-1, f"self.browser.cookie({literal(name)})")
    return None


def first_seen(value: str, steps: Sequence[Step]) -> int:
    """The first step whose address or answer has it; as many as there are steps when none has."""
    for step in steps:
        for visit in step.visits:
            if any(value in hop.url or value in hop.text or value in hop.leads_to for hop in visit.hops):
                return step.number
    return len(steps)


def _in_json(value: str, visit: Visit) -> Iterator[str]:
    for path, one in leaves(visit.json):
        if isinstance(one, str | int) and not isinstance(one, bool) and str(one) == value:
            yield f"page.json{subscripts(path)}"


def _in_page(value: str, visit: Visit) -> Iterator[str]:
    if not visit.answer.is_page or value not in visit.answer.text:
        return
    page = visit.page
    for node in page.tree.css("*"):
        for name, held in node.attributes.items():
            if held != value or name in ("id", "class"):
                continue
            if node.tag in ("input", "meta") and node.attributes.get("name"):
                selector = f"{node.tag}[name={quoted(node.attributes['name'] or '')}]"
                yield f"page.need({literal(selector)})[{literal(name)}]"
            elif selector := selector_of(page, node):
                yield f"page.need({literal(selector)})[{literal(name)}]"
    for node in page.tree.css("[id]"):
        if " ".join((node.text() or "").split()) == value and (selector := selector_of(page, node)):
            yield f"page.need({literal(selector)}).text"


def _in_address(value: str, visit: Visit) -> Iterator[str]:
    if len(visit.hops) < 2:  # else the fan would ask for it to find it
        return
    parts = visit.answer.parts
    segments = [unquote(segment) for segment in parts.path.split("/")]
    if value in segments:
        at = segments.index(value) - len(segments)
        yield f'urlsplit(page.url).path.split("/")[{at}]'
    for name, held in visit.answer.query:
        if held == value:
            yield f"dict(parse_qsl(urlsplit(page.url).query))[{literal(name)}]"


def _cookie(value: str, step: Step) -> str | None:
    for visit in step.visits:
        for hop in visit.hops:
            for name, held in hop.answer_headers:
                if name != "set-cookie":
                    continue
                for line in held.split("\n"):
                    key, _, rest = line.partition("=")
                    if value in ((given := rest.partition(";")[0].strip()), unquote(given)):
                        return key.strip() if _COOKIE.fullmatch(key.strip()) else None
    return None


def as_path(text: str) -> str:
    """A constant part of an address."""
    return quote(unquote(text), safe="/-._~!$&()*+,;=:@%")
