"""CSS selectors for what a recorded page shows: how an adapter finds an element again for another fan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from selectolax.lexbor import LexborNode

from harness.adapter.browsing.page import Page

_PLAIN: Final = re.compile(r"[A-Za-z][\w-]*")
_NUMBERED: Final = re.compile(r"\d")
_MONEY: Final = re.compile(r"\D{0,5}(\d[\d.,' ]*[.,]\d\d)\D{0,5}")
_TEXT_MAX: Final = 60


def quoted(value: str) -> str:
    """A value of an attribute in a selector."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one >= " " else f"\\{ord(one):x} " for one in escaped) + '"'


def selector_of(page: Page, node: LexborNode, within: LexborNode | None = None) -> str:
    """One that matches this element first on the page, or in `within`; "" when none is sure to."""
    scope = page.tree if within is None else within
    for candidate in _candidates(node):
        found = scope.css_first(candidate)
        if found is not None and found.mem_id == node.mem_id:
            return candidate
    return ""


def words_of(node: LexborNode) -> str:
    """What the page's author calls an element."""
    attributes = node.attributes
    named = (attributes.get(name) or "" for name in ("id", "class", "name", "data-testid", "itemprop"))
    return " ".join(named).lower()


def leaves_of(scope: LexborNode) -> Iterator[tuple[LexborNode, str]]:
    """Elements that hold nothing but a short text."""
    for node in scope.css("*"):
        if node.tag in ("script", "style", "title", "option", "button") or any(node.iter()):
            continue
        text = " ".join((node.text(deep=True) or "").split())
        if text and len(text) <= _TEXT_MAX:
            yield node, text


def leaf(page: Page, fits: Callable[[str], bool], words: str, within: LexborNode | None = None) -> str:
    """The selector of the first leaf whose text fits and whose name has one of the words (a pattern); "" for none."""
    scope = within if within is not None else page.tree.root
    for node, text in leaves_of(scope) if scope is not None else ():
        if fits(text) and re.search(words, words_of(node)) and (found := selector_of(page, node, within)):
            return found
    return ""


def is_money(text: str) -> bool:
    """Whether it is a sum with two decimals, and a currency at most."""
    return bool(_MONEY.fullmatch(text))


def _candidates(node: LexborNode) -> Iterator[str]:
    attributes = node.attributes
    name = attributes.get("id") or ""
    if _PLAIN.fullmatch(name) and not _NUMBERED.search(name):
        yield f"#{name}"
    for data in attributes:
        if data.startswith("data-") and _PLAIN.fullmatch(data):
            yield f"[{data}]"
    for kind in (attributes.get("class") or "").split():
        if _PLAIN.fullmatch(kind):
            yield f".{kind}"
            yield f"{node.tag}.{kind}"
    if field := attributes.get("name"):
        yield f"{node.tag}[name={quoted(field)}]"
