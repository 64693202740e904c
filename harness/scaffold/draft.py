"""Writes the draft of an adapter from the verbs of a recorded purchase, and lists what could not be told from it.

Nothing that the visitor typed about themselves is written: such a field becomes the fan's own address, a setting or a
column of the people file. `Draft.todos` says in words what is left to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from harness.scaffold.correlation import Found, as_path, find, first_seen, is_variable
from harness.scaffold.forms import Control, Sent, sent_form
from harness.scaffold.har import Exchange
from harness.scaffold.personal import LOGIN, PASSWORD, Personal, personal, setting_name, typed
from harness.scaffold.purchase import Purchase, is_quantity
from harness.scaffold.python import literal, subscripts, wrapped
from harness.scaffold.selectors import is_money, leaf, quoted, selector_of
from harness.scaffold.steps import Step, leaves

_TOKEN_LENGTH: Final = 12
_KEY: Final = re.compile(r"idempot|(?:^|_|-)key$|nonce|request-?_?id", re.I)
_HEADERS: Final = re.compile(r"^(?:x-)?(?:csrf|xsrf).*|^authorization$|^x-requested-with$|.*-token$", re.I)
_TOKEN_NAME: Final = re.compile(r"token|csrf|xsrf|nonce|authenticity|session|utf8|next$|return|redirect", re.I)
_PLAIN: Final = re.compile(r"[\w.\[\]-]+")
_CAMPAIGN: Final = re.compile(r"utm_|[a-z]+clid$|_ga", re.I)
_POOL_NAME: Final = re.compile(r"pool|item|product|ticket|sku|variant|category|offer|type|price|id$", re.I)
_STATES: Final = {
    "confirmed": "confirmed", "paid": "confirmed", "completed": "confirmed", "complete": "confirmed",
    "success": "confirmed", "successful": "confirmed", "succeeded": "confirmed", "done": "confirmed",
    "pending": "pending", "processing": "pending", "open": "pending",
}  # fmt: skip
_ORDER_KEYS: Final = re.compile(r"order|booking|reservation|confirmation|reference|number|code|^id$", re.I)
_IDENTIFIER: Final = re.compile(r"#?[A-Z0-9][A-Z0-9._-]{2,40}", re.I)


class Draft(msgspec.Struct, frozen=True):
    """What the templates are filled with. `bodies`: method → its lines. `settings`: with made-up values."""

    bodies: dict[str, list[str]]
    settings: dict[str, str]
    todos: list[str]
    has_queue: bool
    has_seats: bool
    has_lookup: bool
    gives_back: bool
    logs_in: bool
    reloads: bool
    url: str
    first_page: str
    states: dict[str, str]


class Drafter:
    """One draft in the making."""

    def __init__(self, steps: Sequence[Step], purchase: Purchase) -> None:
        self.steps = steps
        self.purchase = purchase
        self.todos: list[str] = []
        self.settings: dict[str, str] = {}
        self.logs_in = False
        self.emitted: set[int] = set()  # steps that a verb before makes
        self.kept: dict[tuple[int, str], str] = {}  # (step, how it is read) → its name
        first = purchase.first.asked
        folder = first.parts.path
        self.base = folder if folder.endswith("/") else f"{folder}/"
        self.url = f"{first.parts.scheme}://{first.parts.netloc.rpartition('@')[2]}{first.parts.path}"
        kept = [(name, value) for name, value in first.query if not _is_campaign(name, value)]
        self.first_page = f"?{urlencode(kept)}" if kept else ""
        reserve = purchase.reserve
        self.since = reserve.number if reserve else len(steps)
        self.form = sent_form(reserve, steps[: reserve.number]) if reserve else None
        self.quantity_field = self._quantity_field()
        self.seat_field = self._seat_field()
        self.pool_field = "" if self.seat_field else self._pool_field()

    def draft(self) -> Draft:
        """All of it."""
        self._bodies()  # finds what later verbs need of earlier answers
        self.todos.clear()
        bodies = self._bodies()
        look_up = bodies.get("look_up")
        give_back = self.purchase.give_back
        self._told_at_the_end()
        return Draft(
            bodies={name: wrapped(lines) for name, lines in bodies.items()},
            settings=self.settings, todos=list(dict.fromkeys(self.todos)),
            has_queue=self.purchase.has_queue, has_seats=bool(self.seat_field), has_lookup=bool(look_up),
            gives_back=give_back is not None, logs_in=self.logs_in, reloads=self._reloads(), url=self.url,
            first_page=self.first_page, states=_STATES,
        )  # fmt: skip

    # The verbs.

    def _bodies(self) -> dict[str, list[str]]:
        """In the order in which a customer goes through them."""
        self.emitted.clear()
        bodies = {"open": self._open()}
        if self.purchase.has_queue:
            bodies |= self._queue()
        if self.seat_field:
            bodies |= self._seats()
        else:
            bodies |= self._stock()
        give_back = self.purchase.give_back
        if give_back is not None:
            bodies["give_back"] = self._chain([give_back], ends=())
        if basket := self._look_at_basket():
            bodies["basket"] = basket
        bodies["buy"], look_up = self._buy()
        if look_up:
            bodies["look_up"] = look_up
        return bodies

    def _open(self) -> list[str]:
        lines = ["self.browser.get(self.first_page)"]
        for step in self.purchase.opening:
            lines += self._chain([step], ends=())
        return lines

    def _queue(self) -> dict[str, list[str]]:
        join, place, enter = self.purchase.join, self.purchase.place, self.purchase.enter
        assert join is not None  # noqa: S101 - asked only then
        position = self._position()
        shown = f"return number(page, {literal(position)})" if position else "return None"
        bodies = {"join": [*self._chain([join], ends=()), shown]}
        if any("event-stream" in step.last.answer.content_type for step in self.steps):
            self.todos.append("the queue sends events: write `positions` with `self.browser.events(…)`, not `place`")
        look = place or join
        end = look.last.answer.url if look.last.hops[1:] or place else join.last.answer.url
        called = sent_form(enter, self.steps[: enter.number]) if enter else None
        lines = [f"page = self.browser.get({self._address(end, look)})"]
        if called is not None:
            lines += [f"if page.find({literal(called.selector)}):", "    raise kit.Admitted"]
        elif place is not None and len(place.last.hops) > 1:
            lines += [f"if not page.url.endswith({literal(place.asked.parts.path)}):", "    raise kit.Admitted"]
        elif self.form is not None:
            lines += [f"if page.find({literal(self.form.selector)}):", "    raise kit.Admitted"]
        else:
            lines += ["# TODO: raise kit.Admitted when it is the customer's turn"]
            self.todos.append("how the queue's page says that it is the customer's turn (`place` in shop.py)")
        if not position:
            self.todos.append("where the queue's page shows the position (`place` in shop.py)")
        bodies["place"] = [*lines, shown]
        if enter is not None:
            bodies["enter"] = [*self._chain([enter], ends=(), unless_found=True), "return None"]
        return bodies

    def _position(self) -> str:
        steps = [step for step in (self.purchase.place, self.purchase.join) if step is not None]
        for step in steps:
            for visit in step.visits:
                if visit.answer.is_page and (
                    found := leaf(visit.page, str.isdecimal, r"position|place|number|rank|ahead|turn")
                ):
                    return found
        return ""

    def _stock(self) -> dict[str, list[str]]:
        reserve = self.purchase.reserve
        if reserve is None:
            self.todos.append("what puts tickets into the basket (`left` and `reserve` in shop.py)")
            return {"left": ["raise NotImplementedError  # TODO"], "reserve": ["raise NotImplementedError  # TODO"]}
        if self.quantity_field == "":
            self.todos.append("which field says how many tickets are wanted (`reserve` in shop.py)")
        return {"left": self._left(), "reserve": self._chain([reserve], ends=self._basket(reserve))}

    def _left(self) -> list[str]:
        form = self.form
        if form is None:
            self.todos.append("which kinds of tickets there are, how many are left, and the price (`left` in shop.py)")
            return ["self.browser.get()", 'return [kit.Pool(name="tickets")]  # TODO']
        get = f"page = self.browser.get({self._address(form.visit.answer.url, form.step)})"
        shown = self._shown_of_pool(form)
        if self.pool_field == self.quantity_field and self.pool_field:
            inputs = f"{form.selector} input[type=number]"
            return [get, f'return [kit.Pool(name=field["name"]) for field in page.select({literal(inputs)})]']
        if self.pool_field:
            every = self._alike(form)
            field = f"input[name={quoted(self.pool_field)}]"
            forms = f"form in page.select({literal(every)}) if (kind := form.find({literal(field)}))"
            return [get, f'return [kit.Pool(name=kind["value"]{shown}) for {forms}]']
        self.todos.append("which kinds of tickets there are (`left` in shop.py): one kind is assumed")
        return [get, 'return [kit.Pool(name="tickets")]']

    def _shown_of_pool(self, form: Sent) -> str:
        """What a form of a pool says besides its name."""
        free = leaf(form.page, str.isdecimal, r"free|left|avail|remain|stock", form.node)
        price = leaf(form.page, is_money, r"price|cost|amount|cents|money", form.node)
        if not free:
            self.todos.append("how many tickets are left (`left` in shop.py)")
        if not price:
            self.todos.append("what a ticket costs (`left` in shop.py)")
        return (f", free=number(form, {literal(free)})" if free else "") + (
            f", price_cents=cents(form, {literal(price)})" if price else ""
        )

    def _alike(self, form: Sent) -> str:
        """The forms that differ from this one only in what they sell."""
        for kind in (form.node.attributes.get("class") or "").split():
            if _PLAIN.fullmatch(kind):
                return f"form.{kind}"
        action = form.node.attributes.get("action")
        return f"form[action={quoted(action)}]" if action else "form"

    def _seats(self) -> dict[str, list[str]]:
        form, reserve = self.form, self.purchase.reserve
        assert form is not None  # noqa: S101 - the field is one of its
        assert reserve is not None  # noqa: S101
        boxes = f"input[type=checkbox][name={quoted(self.seat_field)}]"
        get = f"seats = self.browser.get({self._address(form.visit.answer.url, form.step)}).select({literal(boxes)})"
        self.todos.append("sections, rows and prices of the seats (`venue` in shop.py): all are in one row")
        self.todos.append("which seats are held and which are sold (`seats` in shop.py): both are told as sold")
        return {
            "venue": [
                get,
                'rows = (tuple(seat["value"] for seat in seats),)',
                'return kit.Venue(sections=(kit.Section(name="all", rows=rows),))',
            ],
            "seats": [
                get,
                'states = "".join("0" if seat.get("disabled", "no") == "no" else "2" for seat in seats)',
                'return kit.SeatMap(states={"all": states}, stale=False)',
            ],
            "reserve_seats": self._chain([reserve], ends=self._basket(reserve)),
        }

    def _basket(self, reserve: Step) -> list[str]:
        """What ends a reservation: the basket as the page shows it."""
        given, shown = self._shown_in_basket(reserve)
        if not given:
            self.todos.append("what the basket's page shows (`reserve` in shop.py): a refusal may pass for a basket")
            return ["return kit.Basket()"]
        return [f"page.need({literal(shown)})  # else it is another page", f"return kit.Basket({', '.join(given)})"]

    def _shown_in_basket(self, reserve: Step) -> tuple[list[str], str]:
        """The fields of a basket, and the selector of one that every basket shows."""
        visit, shown = reserve.last, ""
        given: list[str] = []
        if not visit.answer.is_page:
            return given, shown
        quantity = dict(reserve.asked.fields).get(self.quantity_field, "")
        if quantity and (found := leaf(visit.page, lambda text: text == quantity, r"quantity|qty|count|number")):
            given.append(f"quantity=number(page, {literal(found)})")
            shown = found
        if total := leaf(visit.page, is_money, r"total|sum|amount"):
            given.append(f"cents=cents(page, {literal(total)})")
            shown = shown or total
        return given, shown

    def _look_at_basket(self) -> list[str]:
        """The basket's page, for a fan who got no answer; empty when the recording shows none."""
        reserve = self.purchase.reserve
        if reserve is None or len(reserve.last.hops) == 1:
            return []
        given, shown = self._shown_in_basket(reserve)
        if not given:
            return []
        page = f"page = said(self.browser.get({self._address(reserve.last.answer.url, reserve)}))"
        nothing = [f"if not page.find({literal(shown)}):", "    return None"]
        return [page, *nothing, f"return kit.Basket({', '.join(given)})"]

    def _buy(self) -> tuple[list[str], list[str]]:
        buying = self.purchase.buying
        if not buying:
            self.todos.append("how the basket is bought (`buy` in shop.py): the recording ends before that")
            return ["raise NotImplementedError  # TODO"], []
        tail = [step for step in self.steps if step.number > buying[-1].number]
        shown = [step for step in tail if step.is_page] or [buying[-1]]
        end = shown[0] if shown[0].is_page else buying[-1]
        order, place = self._order_id(end, tail)
        ends = self._placed(end, order)
        lines = self._chain(self._with_pages(buying), ends=[ends], waits=True, tail=tail)
        if not place:
            self.todos.append("the page of an order (`look_up` in shop.py): then also declare lookup in `capabilities`")
            return lines, []
        look_up = [
            f"page = said(self.browser.get({place}, expects={{404}}))",
            ends.replace(order, "order_id", 1) if order in ends else ends,
        ]
        return lines, look_up

    def _order_id(self, end: Step, tail: Sequence[Step]) -> tuple[str, str]:
        """How the order's id is read from the last answer, and the address of its page; "" for none."""
        answer = end.last.answer
        segments = [unquote(part) for part in answer.parts.path.split("/") if part]
        ids = [part for part in segments if is_variable(part)]
        is_place = not answer.acts and not (end.asked.acts and len(end.last.hops) == 1)
        if is_place and ids and first_seen(ids[-1], self.steps) >= self.since:
            at = ids[-1]
            before, _, after = answer.parts.path.rpartition(at)
            path = f'f"{as_path(self._relative(before))}{{order_id}}{as_path(after)}"'
            if answer.is_page:
                for node in end.last.page.tree.css("[id], [class], [data-order]"):
                    text = " ".join((node.text(deep=True) or "").split())
                    if text == at and (found := selector_of(end.last.page, node)):
                        return f"page.need({literal(found)}).text", path
            where = segments.index(at) - len(segments)
            trailing = answer.parts.path.endswith("/")
            return f'urlsplit(page.url).path{".rstrip(chr(47))" if trailing else ""}.split("/")[{where}]', path
        for step in (end, *tail):
            for keys, value in leaves(step.last.json):
                if _ORDER_KEYS.search(str(keys[-1]) if keys else "") and isinstance(value, str | int):
                    return f"str(page.json{subscripts(keys)})", ""
        if answer.is_page:
            found = leaf(
                end.last.page, lambda text: bool(_IDENTIFIER.fullmatch(text)), r"order|booking|reference|confirm"
            )
            if found:
                return f"page.need({literal(found)}).text", ""
        self.todos.append("the number of the order (`buy` in shop.py)")
        return "page.url  # TODO: the number of the order", ""

    def _placed(self, end: Step, order: str) -> str:
        given = []
        state, total = "", ""
        if end.last.answer.is_page:
            page = end.last.page
            state = leaf(page, lambda text: text.lower() in _STATES, r"state|status")
            total = leaf(page, is_money, r"total|sum|amount")
            quantity = leaf(page, str.isdecimal, r"quantity|qty|count")
            given += [f"quantity=number(page, {literal(quantity)})"] if quantity else []
            given += [f"cents=cents(page, {literal(total)})"] if total else []
        if not state:
            self.todos.append(
                "how an order's page says that it is paid (`buy` in shop.py): each one is told as confirmed"
            )
        shown = f"STATES[page.need({literal(state)}).text.lower()]" if state else '"confirmed"'
        code, _, comment = order.partition("  # ")
        line = f"return kit.Placed(order_id={code}, state={shown}{''.join(f', {one}' for one in given)})"
        return f"{line}  # {comment}" if comment else line

    # A chain of requests.

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
        polled = self._polls(tail) if waits else []
        waiting += [step for step, _ in polled]
        while waiting:
            step = waiting.pop()
            call, sources, form = self._call(step)
            planned[step.number] = call
            if form is not None:
                shown_at = form.step.number
                if shown_at not in mine:
                    pages[shown_at] = (
                        f"page = said(self.browser.get({self._address(form.visit.answer.url, form.step)}))"
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
                lines.append(f"page = said({planned[number]})")
            for selector in forms.get(number, ()):
                if unless_found:
                    lines += [f"if not page.find({literal(selector)}):", "    return None"]
                lines.append(
                    f"form = page.form({literal(selector)})" if not self._per_pool(selector) else self._pool_form()
                )
            lines += [f'self.kept["{name}"] = {code}' for (source, code), name in self.kept.items() if source == number]
        if waits:
            lines += ["page = said(self.finished(page))"] if self._reloads() else []
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
            return "''"
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
        if seen < self.since and len(value) < _TOKEN_LENGTH:
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

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.base) if path.startswith(self.base) and path != self.base else path

    # What the reservation is of.

    def _quantity_field(self) -> str:
        reserve = self.purchase.reserve
        if reserve is None:
            return ""
        fields = list(reserve.asked.fields) or [
            (str(path[-1]) if path else "", str(value)) for path, value in leaves(reserve.json)
        ]
        named = [name for name, value in fields if is_quantity(name, value)]
        if self.form is not None:
            counted = [
                name for name, value in fields if value.isdigit() and value != "0" and self.form.control(name).numeric
            ]
            return next((name for name in named if name in counted), "") or next(iter([*counted, *named]), "")
        return named[0] if named else ""

    def _seat_field(self) -> str:
        reserve, form = self.purchase.reserve, self.form
        if reserve is None or form is None:
            return ""
        return next((name for name, _ in reserve.asked.fields if form.boxes(name) > 1), "")

    def _pool_field(self) -> str:
        """The hidden field that says what is sold; the field for the number itself where each kind has one."""
        form = self.form
        if form is None:
            return ""
        numeric = [node for node in form.node.css("input[type=number]") if node.attributes.get("name")]
        if len(numeric) > 1:
            return self.quantity_field
        hidden = [
            node.attributes.get("name") or ""
            for node in form.node.css("input[type=hidden]")
            if (node.attributes.get("value") or "") and not _TOKEN_NAME.search(node.attributes.get("name") or "")
        ]
        fitting = [name for name in hidden if _POOL_NAME.search(name)] or hidden
        return next((name for name in fitting if _PLAIN.fullmatch(name)), "")

    def _is_quantity(self, step: Step, name: str) -> bool:
        return step is self.purchase.reserve and bool(name) and name == self.quantity_field and not self.seat_field

    def _is_pool(self, step: Step, name: str) -> bool:
        return step is self.purchase.reserve and bool(name) and name == self.pool_field

    def _told_at_the_end(self) -> None:
        if self.logs_in:
            self.todos.append("people.csv: a row for each customer who logs in, and `people` in onsale.yaml")
        for step in self.purchase.ignored:
            self.todos.append(
                f"what {step.asked.method} {self._relative(step.asked.parts.path)} is for: it was left out"
            )
        if self.purchase.give_back is None:
            self.todos.append("how a basket is given back: the recording has none (`give_back`, hold_release)")
        self.todos.append("how the shop says no (`said` in shop.py): the recording has one good purchase only")
        self.todos.append("orders and stock as the operator reads them: without them overselling cannot be seen")


def _is_campaign(name: str, value: str) -> bool:
    """Whether a parameter of the first page tells where that visitor came from, or who they are."""
    return bool(_CAMPAIGN.match(name)) or len(value) > _TOKEN_LENGTH or personal(name, value) is not None


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


def typed_values(steps: Sequence[Step]) -> Iterator[str]:
    """Everything personal that was sent: no file that is written may have it."""
    for step in steps:
        for name, value in _sent(step.asked, step):
            if len(value) > 3 and personal(name, value) is not None:
                yield value


def _sent(asked: Exchange, step: Step) -> Iterator[tuple[str, str]]:
    yield from asked.fields
    yield from asked.query
    for path, value in leaves(step.json):
        if isinstance(value, str | int):
            yield str(path[-1]) if path else "", str(value)
