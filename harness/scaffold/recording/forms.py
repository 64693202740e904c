"""Which form of which recorded page a request was sent with, and what the visitor changed in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from selectolax.lexbor import LexborNode

from harness.adapter.browsing.page import Form, Page
from harness.scaffold.recording.steps import Step, Visit
from harness.scaffold.selectors import quoted, selector_of

TOKEN_NAME: Final = re.compile(r"token|csrf|xsrf|nonce|authenticity|session|utf8|next$|return|redirect", re.I)
"""Hidden fields whose values are a visitor's own, or say where to go next."""
_CHOICES = frozenset({"checkbox", "radio", "hidden", "submit", "button", "image"})


class Control(msgspec.Struct, frozen=True):
    """A field as the page shows it. `choice`: its value is the page's, not the visitor's words."""

    kind: str = ""
    autocomplete: str = ""
    choice: bool = False
    numeric: bool = False


class Sent(msgspec.Struct, frozen=True):
    """The form. `selector` finds it, or a control in it."""

    step: Step
    visit: Visit
    node: LexborNode
    form: Form
    selector: str

    @property
    def page(self) -> Page:
        """The page that shows it."""
        return self.visit.page

    def control(self, name: str) -> Control:
        """The first control of that name."""
        for node in self.node.css("input, select, textarea, button"):
            attributes = node.attributes
            if attributes.get("name") == name:
                kind = (attributes.get("type") or "").lower() if node.tag == "input" else node.tag or ""
                numeric = kind == "number" or (node.tag == "select" and _is_numeric(node))
                return Control(
                    kind, attributes.get("autocomplete") or "", kind in _CHOICES or node.tag == "select", numeric
                )
        return Control()

    def boxes(self, name: str) -> int:
        """How many checkboxes of that name it has."""
        return len(self.node.css(f"input[type=checkbox][name={quoted(name)}]"))


def sent_form(step: Step, before: Sequence[Step]) -> Sent | None:
    """The latest page before with a form for this request; of several forms the one with most of the sent values."""
    asked = step.asked
    names = {name for name, _ in asked.fields}
    if not asked.fields or "json" in asked.body_type:
        return None
    for source in reversed(before):
        for visit in reversed(source.visits):
            if not visit.answer.is_page or "<form" not in visit.answer.text.lower():
                continue
            found = [one for one in _forms(source, visit) if _fits(one.form, asked.url, names)]
            if found:
                return max(found, key=lambda one: len(set(one.form.fields) & set(asked.fields)))
    return None


def form_selector(page: Page, node: LexborNode) -> str:
    """It finds the form, or a control in it."""
    action = node.attributes.get("action")
    candidates = [f"form[action={quoted(action)}]"] if action else []
    candidates += [
        f"input[name={quoted(name)}][value={quoted(control.attributes.get('value') or '')}]"
        for control in node.css("input[type=hidden]")
        if (name := control.attributes.get("name")) and not TOKEN_NAME.search(name)
    ]
    candidates += [
        f"{control.tag}[name={quoted(name)}]"
        for control in node.css("input, select, textarea")
        if (name := control.attributes.get("name")) and not TOKEN_NAME.search(name)
    ]
    by_name = selector_of(page, node)
    if by_name.startswith("."):  # a class may say how it looks, and not what it is
        candidates.append(by_name)
    elif by_name:
        candidates.insert(0, by_name)
    for candidate in [*candidates, "form"]:
        found = page.tree.css_first(candidate)
        while found is not None and found.tag != "form":
            found = found.parent
        if found is not None and found.mem_id == node.mem_id:
            return candidate
    return ""


def _forms(step: Step, visit: Visit) -> Iterator[Sent]:
    page = visit.page
    for node in page.tree.css("form"):
        if selector := form_selector(page, node):
            yield Sent(step, visit, node, page.form(selector), selector)


def _fits(form: Form, url: str, names: set[str]) -> bool:
    known = {name for name, _ in form.fields}
    same = form.url.partition("#")[0].partition("?")[0] == url.partition("?")[0]  # a script may add parameters
    return form.method == "POST" and same and (not known or bool(known & names))


def _is_numeric(select: LexborNode) -> bool:
    options = [(option.attributes.get("value") or option.text()).strip() for option in select.css("option")]
    return bool(options) and all(option.isdigit() for option in options)
