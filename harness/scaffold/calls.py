"""How a draft makes the requests of a verb: addresses, fields and headers, each fan with their own values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from harness.scaffold.python import literal, subscripts
from harness.scaffold.recording.correlation import Found, as_path, find, first_seen, is_variable
from harness.scaffold.recording.forms import Control, Sent, sent_form
from harness.scaffold.recording.goods import TOKEN_LENGTH, Goods
from harness.scaffold.recording.personal import LOGIN, PASSWORD, Personal, personal, setting_name, typed
from harness.scaffold.recording.steps import Step, leaves
from harness.scaffold.selectors import quoted

_KEY: Final = re.compile(r"idempot|(?:^|_|-)key$|nonce|request-?_?id", re.I)
_HEADERS: Final = re.compile(r"^(?:x-)?(?:csrf|xsrf).*|^authorization$|^x-requested-with$|.*-token$", re.I)


class Requests(Goods):
    """The lines of verbs, as chains of requests."""

    def _with_pages(self, acts: Sequence[Step]) -> list[Step]:
        """The acts with the pages that the visitor saw between the basket and the last of them."""
        reserve = self.purchase.reserve
        start = reserve.number if reserve else acts[0].number
        chosen: dict[str, Step] = {}
        for step in self.steps[start + 1 : acts[-1].number + 1]:
            if step in acts or (step.is_page and step.asked.method == "GET"):
                key = f"{step.asked.method} {step.asked.url} {step.number if step in acts else ''}"
                chosen.setdefault(key, step)
        removed = self.purchase.give_back
        return [step for step in chosen.values() if step is not removed]

    def _chain(
        self,
        steps: Sequence[Step],
        *,
        ends: Sequence[str],
        waits: bool = False,
        tail: Sequence[Step] = (),
        unless_found: bool = False,
    ) -> list[str]:
        """The lines that do these steps one after another. Sources of what they send are asked before."""
        planned: dict[int, str] = {}
        forms: dict[int, list[str]] = {}
        pages: dict[int, str] = {}
        waiting = list(steps)
        mine = {step.number for step in steps}
        polled = self._polls(tail)
        waiting += [step for step, _ in polled]
        while waiting:
            step = waiting.pop()
            call, sources, form = self._call(step)
            planned[step.number] = call
            if form is not None:
                shown_at = form.step.number
                if shown_at not in mine:
                    pages[shown_at] = (
                        f"page = self.said(self.browser.get({self._address(form.visit.answer.url, form.step)}))"
                    )
                forms.setdefault(shown_at, []).append(form.selector)
            for source in sources:
                if source.step not in self.emitted and source.step not in mine and source.step not in planned:
                    waiting.append(self.steps[source.step])
        self.emitted |= planned.keys()
        lines: list[str] = []
        conditions = {step.number: condition for step, condition in polled}
        for number in sorted({*planned, *pages}):
            if number in pages and number not in planned:
                lines.append(pages[number])
            elif number in conditions:
                lines.append(f"page = self.browser.poll(lambda: {conditions[number].format(call=planned[number])})")
            else:
                lines.append(f"page = self.said({planned[number]})")
            for selector in forms.get(number, ()):
                if unless_found:
                    lines += [f"if not page.find({literal(selector)}):", "    return None"]
                lines.append(
                    f"form = page.form({literal(selector)})" if not self._per_pool(selector) else self._pool_form()
                )
            lines += [f'self.kept["{name}"] = {code}' for (source, code), name in self.kept.items() if source == number]
        if waits:
            lines += ["page = self.said(self.finished(page))"] if self._reloads() else []
        return [*lines, *ends]

    def _polls(self, tail: Sequence[Step]) -> list[tuple[Step, str]]:
        """JSON that was asked again and again after the purchase, and how its last answer differed."""
        found = []
        for step in tail:
            if len(step.visits) > 1 and step.last.json is not None:
                before, after = dict(leaves(step.first.json)), dict(leaves(step.last.json))
                changed = [path for path, value in after.items() if path in before and before[path] != value and path]
                if changed:
                    was = repr(before[changed[0]]).replace("{", "{{").replace("}", "}}")
                    code = subscripts(changed[0]).replace("{", "{{").replace("}", "}}")
                    found.append((step, f"done if (done := {{call}}).json{code} != {was} else None"))
        return found

    def _reloads(self) -> bool:
        """Whether the shop has pages, which may reload themselves while something is done."""
        return any(step.is_page for step in self.steps)

    def _per_pool(self, selector: str) -> bool:
        return (
            self.form is not None
            and bool(self.pool_field)
            and self.pool_field != self.quantity_field
            and (selector == self.form.selector)
        )

    def _pool_form(self) -> str:
        return f"form = page.form(f'input[name={quoted(self.pool_field)}][value=\"{{pool}}\"]')"

    # One request.

    def _call(self, step: Step) -> tuple[str, list[Found], Sent | None]:
        """The call, what it needs of earlier answers, and the form that it sends."""
        sources: list[Found] = []
        asked = step.asked
        if not asked.acts:
            return f"self.browser.get({self._address(asked.url, step, sources)})", sources, None
        form = sent_form(step, self.steps[: step.number])
        headers = self._headers(step, sources)
        if form is not None:
            changes = self._changes(step, form, sources)
            return f"self.browser.submit(form{changes}{headers})", sources, form
        address = self._address(asked.url, step, sources)
        method = "" if asked.method == "POST" else f", method={asked.method!r}"
        body = self._body(step, sources)
        return f"self.browser.post({address}{body}{headers}{method})", sources, None

    def _changes(self, step: Step, form: Sent, sources: list[Found]) -> str:
        before, sent = _grouped(form.form.fields), _grouped(step.asked.fields)
        changes: dict[str, str] = {}
        for name, values in sent.items():
            if name == self.seat_field and step is self.purchase.reserve:
                changes[name] = "seats"
            elif self._is_quantity(step, name):
                changes[name] = "quantity"
            elif values != before.get(name) and not self._is_pool(step, name):
                codes = [self._value(step, name, value, sources, form.control(name)) for value in values]
                changes[name] = codes[0] if len(codes) == 1 else f"({', '.join(codes)})"
        changes |= {name: "None" for name in before if name not in sent}
        if self.pool_field and self.pool_field == self.quantity_field and step is self.purchase.reserve:
            changes.pop(self.pool_field, None)
            return "".join(f", {_keyword(name, code)}" for name, code in changes.items()) + ", **{pool: quantity}"
        return "".join(f", {_keyword(name, code)}" for name, code in changes.items())

    def _body(self, step: Step, sources: list[Found]) -> str:
        if step.json is not None:
            return f", json={self._json(step, '', step.json, sources)}"
        if step.asked.fields:
            pairs = [
                f"({literal(name)}, {self._value(step, name, value, sources)})" for name, value in step.asked.fields
            ]
            return f", [{', '.join(pairs)}]"
        if step.asked.body:
            path = self._relative(step.asked.parts.path)
            self.todos.append(f"the body of {step.asked.method} {path}, which is neither a form nor JSON")
        return ""

    def _json(self, step: Step, name: str, value: Any, sources: list[Found]) -> str:  # noqa: ANN401
        if isinstance(value, dict):
            pairs = (f"{literal(key)}: {self._json(step, key, one, sources)}" for key, one in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self._json(step, name, one, sources) for one in value) + "]"
        if value is None or isinstance(value, bool):
            return repr(value)
        code = self._value(step, name, str(value), sources)
        return repr(value) if code == literal(str(value)) and not isinstance(value, str) else code

    def _value(
        self,
        step: Step,
        name: str,
        value: str,
        sources: list[Found],
        control: Control = Control(),  # noqa: B008
    ) -> str:
        """The expression for one value that was sent."""
        if not value:
            return '""'
        if self._is_quantity(step, name):
            return "quantity"
        own = personal(name, value, autocomplete=control.autocomplete, kind=control.kind)
        if own is not None and not control.choice:
            return self._of_person(LOGIN if self._logs_in(step) and own is not PASSWORD else own)
        if control.choice:
            return literal(value)
        if is_variable(value) and (code := self._correlated(value, step, sources)):
            return code
        if _KEY.search(name) and step in self.purchase.buying:
            return "key"
        if self._is_public(value, step):
            return literal(value)
        own = typed(setting_name(name))
        self.todos.append(f"the setting {own.setting} in onsale.yaml: the recorded value was typed, and is not copied")
        return self._of_person(own)

    def _logs_in(self, step: Step) -> bool:
        """Whether it sends a password: then the other field is the name that goes with it."""
        names = [name for name, _ in step.asked.fields] + [str(keys[-1]) for keys, _ in leaves(step.json) if keys]
        return any(personal(name, "") is PASSWORD for name in names)

    def _of_person(self, own: Personal) -> str:
        if "account" in own.code:
            self.logs_in = True
        if own.setting == "card":
            self.settings |= {"card": own.example, "declined_card": "4000000000000002"}
            self.todos.append("cards of the provider's test mode: `card` and `declined_card` in onsale.yaml")
            return 'self.settings["declined_card" if declined else "card"]'
        if own.setting:
            self.settings[own.setting] = own.example
        return own.code

    def _is_public(self, value: str, step: Step) -> bool:
        """Whether the shop itself had said it before, or it is a small number."""
        if value.isdigit() and len(value) <= 3:
            return True
        if value.lower() in ("true", "false", "on", "off", "yes", "no"):
            return True
        return first_seen(value, self.steps) < step.number and len(value) >= 2

    def _correlated(self, value: str, step: Step, sources: list[Found]) -> str:
        """What reads the fan's own value, "" when it is the same for everybody or nobody knows where it is from."""
        seen = first_seen(value, self.steps)
        if seen < self.since and len(value) < TOKEN_LENGTH:
            return ""
        found = find(value, self.steps[: step.number])
        if found is None:
            return ""
        if found.step < 0:
            return found.code
        name = self.kept.setdefault((found.step, found.code), f"value_{len(self.kept) + 1}")
        sources.append(found)
        return f'self.kept["{name}"]'

    def _headers(self, step: Step, sources: list[Found]) -> str:
        found: dict[str, str] = {}
        for name, value in step.asked.headers:
            if not _HEADERS.match(name) or not value:
                continue
            if name == "x-requested-with":
                found[name] = literal(value)
                continue
            scheme, _, token = value.rpartition(" ")
            if (code := self._correlated(token, step, sources)) and (not scheme or scheme.isalnum()):
                found[name] = f"{literal(f'{scheme} ')} + {code}" if scheme else code
            else:
                self.todos.append(f"where the header {name} comes from (its value is not copied)")
        if not found:
            return ""
        return ", headers={" + ", ".join(f"{literal(name)}: {code}" for name, code in found.items()) + "}"

    def _address(self, url: str, step: Step, sources: list[Found] | None = None) -> str:
        """The expression for an address: constant parts as they are, the fan's own as they are found."""
        parts = urlsplit(url)
        if url.partition("#")[0] == self.purchase.first.asked.url:
            return "self.first_page" if self.first_page else ""
        path = self._relative(parts.path)
        pieces: list[str] = []
        for at, piece in enumerate(re.split(r"([/?&=])", path + (f"?{parts.query}" if parts.query else ""))):
            plain = unquote(piece)
            if at % 2 or not is_variable(plain):
                pieces.append(_braced(piece))
                continue
            code = self._correlated(plain, step, sources if sources is not None else [])
            if code:
                pieces.append("{" + code.replace('"', "'") + "}")
            elif "@" in plain or personal("", plain) is not None:
                pieces.append("TODO")
                self.todos.append(f"what was typed into the address of {self._relative(parts.path)}")
            else:
                pieces.append(_braced(piece))
        text = "".join(pieces)
        return f'f"{text}"' if "{" in text.replace("{{", "") else literal(text)


def _grouped(fields: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return found


def _keyword(name: str, code: str) -> str:
    is_plain = name.isidentifier() and name not in ("form", "files", "headers", "expects", "acts", "follow", "self")
    return f"{name}={code}" if is_plain else f"**{{{literal(name)}: {code}}}"


def _braced(piece: str) -> str:
    return as_path(piece).replace("{", "{{").replace("}", "}}") if piece not in "/?&=" else piece
