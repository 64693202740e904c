"""Writes the draft of an adapter from the verbs of a recorded purchase, and lists what could not be told from it.

Nothing that the visitor typed about themselves is written: such a field becomes the fan's own address, a setting or a
column of the people file. `Draft.todos` says in words what is left to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import unquote

import msgspec

from harness.adapter.values import STATE_WORDS
from harness.scaffold.calls import Requests
from harness.scaffold.python import literal, subscripts, wrapped
from harness.scaffold.recording.correlation import as_path, first_seen, is_variable
from harness.scaffold.recording.forms import Sent, sent_form
from harness.scaffold.recording.goods import PLAIN
from harness.scaffold.recording.har import Exchange
from harness.scaffold.recording.personal import personal
from harness.scaffold.recording.steps import Step, Visit, leaves
from harness.scaffold.selectors import is_money, leaf, leaves_of, quoted, selector_of
from harness.scaffold.streams import TODO as STREAM_TODO
from harness.scaffold.streams import positions, stream_in

_ORDER_KEYS: Final = re.compile(r"order|booking|reservation|confirmation|reference|number|code|^id$", re.I)
_IDENTIFIER: Final = re.compile(r"#?[A-Z0-9][A-Z0-9._-]{2,40}", re.I)

_UNREAD: Final = (
    "what its operator reads as left (`stock(api)` of Shop): without it nobody sees tickets that vanish, B at best",
    "the operator's orders (`orders(api)`, order_export): without them nobody sees lost orders, B at best",
    "the operator's payments (`ledger(api)`, ledger_export): without them nobody sees wrong charges",
    "how many tickets are on sale (`rules.stock` in onsale.yaml): without it nobody sees overselling",
)
"""What no recording of a customer shows, where it is written, and what follows without it."""


class Draft(msgspec.Struct, frozen=True):
    """What the templates are filled with. `bodies`: method → its lines. `settings`: with made-up values."""

    bodies: dict[str, list[str]]
    settings: dict[str, str]
    todos: list[str]
    has_queue: bool
    has_seats: bool
    has_lookup: bool
    gives_back: bool
    room: str  # the host of a waiting room
    logs_in: bool
    reloads: bool
    url: str
    first_page: str


class Drafter(Requests):
    """One draft in the making."""

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
            room=self.purchase.room.asked.parts.hostname or "" if self.purchase.room else "",
            gives_back=give_back is not None, logs_in=self.logs_in, reloads=self._reloads(), url=self.url,
            first_page=self.first_page,
        )  # fmt: skip

    # The verbs.

    def _bodies(self) -> dict[str, list[str]]:
        """In the order in which a customer goes through them."""
        self.emitted.clear()
        bodies = {"open": opened} if (opened := self._open()) else {}
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
        lines = []
        for step in self.purchase.opening:
            lines += self._chain([step], ends=())
        return ["self.browser.get(self.first_page)", *lines] if lines else []  # as every customer begins

    def _queue(self) -> dict[str, list[str]]:
        if self.purchase.room is not None:
            return self._room(self.purchase.room)
        join, place, enter = self.purchase.join, self.purchase.place, self.purchase.enter
        assert join is not None  # noqa: S101 - asked only then
        position = self._position()
        shown = f"return page.number({literal(position)})" if position else "return None"
        bodies = {"join": [*self._chain([join], ends=()), shown]}
        if opened := stream_in(self.steps[join.number :]):
            stream = positions(opened.last.answer, literal(self._relative(opened.asked.parts.path)))
            self.todos += [] if stream.is_told else [STREAM_TODO]
            entered = [*self._chain([enter], ends=(), unless_found=True), "return None"] if enter else []
            return bodies | {"positions": stream.lines} | ({"enter": entered} if entered else {})
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

    def _room(self, room: Visit) -> dict[str, list[str]]:
        """A waiting room on another host: the shop's page leads there, and from there back when it is time."""
        position = _position_in(room)
        if not position:
            self.todos.append("where the waiting room's page shows the position (`place` in shop.py)")
        lines = ["page = self.browser.get()  # redirects are followed, to the waiting room and back"]
        if self.form is not None:
            lines += [f"if page.find({literal(self.form.selector)}):", "    raise kit.Admitted"]
        else:
            lines += [f'if "{room.asked.parts.netloc}" not in page.url:', "    raise kit.Admitted"]
        shown = f"return page.number({literal(position)})" if position else "return None"
        return {"join": ["return self.place()"], "place": [*lines, shown]}

    def _position(self) -> str:
        steps = [step for step in (self.purchase.place, self.purchase.join) if step is not None]
        for step in steps:
            for visit in step.visits:
                if found := _position_in(visit):
                    return found
        return ""

    def _stock(self) -> dict[str, list[str]]:
        reserve = self.purchase.reserve
        if reserve is None:
            self.todos.append("what puts tickets into the basket (`left` and `reserve` in shop.py)")
            return {"left": ["raise NotImplementedError  # TODO"], "reserve": ["raise NotImplementedError  # TODO"]}
        if self.quantity_field == "":
            self.todos.append("which field says how many tickets are wanted (`reserve` in shop.py)")
        return {
            "left": self._left(),
            "reserve": self._chain([reserve], ends=self._basket(reserve), tail=self._after(reserve)),
        }

    def _after(self, act: Step) -> list[Step]:
        """What was asked until the next thing was done."""
        later = self.steps[act.number + 1 :]
        until = next((at for at, step in enumerate(later) if step.asked.acts), len(later))
        return list(later[:until])

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
        return [get, f'return [kit.Pool(name="tickets"{self._shown_of_pool(form, of_page=True)})]']

    def _shown_of_pool(self, form: Sent, *, of_page: bool = False) -> str:
        """What a form of a pool says besides its name, or the page that sells one kind only."""
        shown, within = ("page", None) if of_page else ("form", form.node)
        free = leaf(form.page, str.isdecimal, r"free|left|avail|remain|stock", within)
        price = leaf(form.page, is_money, r"price|cost|amount|cents|money", within)
        if not free:
            self.todos.append("how many tickets are left (`left` in shop.py)")
        if not price:
            self.todos.append("what a ticket costs (`left` in shop.py)")
        return (f", free={shown}.number({literal(free)})" if free else "") + (
            f", price_cents={shown}.cents({literal(price)})" if price else ""
        )

    def _alike(self, form: Sent) -> str:
        """The forms that differ from this one only in what they sell."""
        for kind in (form.node.attributes.get("class") or "").split():
            if PLAIN.fullmatch(kind):
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
            given.append(f"quantity=page.number({literal(found)})")
            shown = found
        if total := leaf(visit.page, is_money, r"total|sum|amount"):
            given.append(f"cents=page.cents({literal(total)})")
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
        page = f"page = self.said(self.browser.get({self._address(reserve.last.answer.url, reserve)}))"
        nothing = [f"if not page.find({literal(shown)}):", "    return None"]
        return [page, *nothing, f"return kit.Basket({', '.join(given)})"]

    def _buy(self) -> tuple[list[str], list[str]]:
        buying = self.purchase.buying
        if not buying:
            self.todos.append("how the basket is bought (`buy` in shop.py): the recording ends before that")
            return ["raise NotImplementedError  # TODO"], []
        tail = [step for step in self.steps if step.number > buying[-1].number]
        shown = [step for step in tail if step.is_page] or [buying[-1]]
        end = shown[0] if shown[0].is_page and not self._is_shown_order(buying[-1]) else buying[-1]
        order, place = self._order_id(end, tail)
        ends = self._placed(end, order)
        lines = self._chain(self._with_pages(buying), ends=[ends], waits=True, tail=tail)
        if not place:
            self.todos.append("the page of an order (`look_up` in shop.py): then also declare lookup in `capabilities`")
            return lines, []
        look_up = [
            f"page = self.said(self.browser.get({place}, expects={{404}}))",
            ends.replace(order, "order_id", 1) if order in ends else ends,
        ]
        return lines, look_up

    def _is_shown_order(self, act: Step) -> bool:
        """Whether the visitor was led to a page that is no message that something is still being done."""
        return act.is_page and len(act.last.hops) > 1 and not act.last.page.is_working

    def _order_id(self, end: Step, tail: Sequence[Step]) -> tuple[str, str]:
        """How the order's id is read from the last answer, and the address of its page; "" for none."""
        answer = end.last.answer
        segments = [unquote(part) for part in answer.parts.path.split("/") if part]
        ids = [part for part in segments if is_variable(part)]
        is_place = not answer.acts and not (end.asked.acts and len(end.last.hops) == 1)
        new = [part for part in ids if first_seen(part, self.steps) >= self.since] if is_place else []
        if new:
            at = "/".join(
                segments[segments.index(new[0]) : segments.index(new[-1]) + 1]
            )  # a number, perhaps with a key
            before, _, after = answer.parts.path.rpartition(at)
            path = f'f"{as_path(self._relative(before))}{{order_id}}{as_path(after)}"'
            if answer.is_page and (found := self._shown(end.last, lambda text: text == at)):
                return f"page.need({literal(found)}).text", path
            begin = segments.index(new[0]) - len(segments)
            stop = begin + len(at.split("/"))
            where = f"[{begin}:{stop or ''}]"
            return f'"/".join(urlsplit(page.url).path.strip("/").split("/"){where})', path
        for step in (end, *tail):
            for keys, value in leaves(step.last.json):
                if _ORDER_KEYS.search(str(keys[-1]) if keys else "") and isinstance(value, str | int):
                    return f"str(page.json{subscripts(keys)})", ""
        if answer.is_page:
            named = leaf(end.last.page, _is_identifier, r"order|booking|reference|confirm")
            if found := named or self._shown(end.last, _is_identifier, "order|booking|reference"):
                return f"page.need({literal(found)}).text", ""
        self.todos.append("the number of the order (`buy` in shop.py)")
        return "page.url  # TODO: the number of the order", ""

    def _shown(self, visit: Visit, fits: Callable[[str], bool], words: str = "") -> str:
        """The selector of a short text that fits, with these words in the text around it; "" for none."""
        root = visit.page.tree.root
        for node, text in leaves_of(root) if root is not None else ():
            around = node.parent.text(deep=True) if node.parent is not None else ""
            if not fits(text) or (words and not re.search(words, around or "", re.I)):
                continue
            first = visit.page.tree.css_first(node.tag or "*")
            alone = first is not None and first.mem_id == node.mem_id
            if found := selector_of(visit.page, node) or (node.tag or "") * alone:
                return found
        return ""

    def _placed(self, end: Step, order: str) -> str:
        given = []
        state, total = "", ""
        if end.last.answer.is_page:
            page = end.last.page
            state = leaf(page, _is_state, r"state|status")
            total = leaf(page, is_money, r"total|sum|amount")
            quantity = leaf(page, str.isdecimal, r"quantity|qty|count")
            given += [f"quantity=page.number({literal(quantity)})"] if quantity else []
            given += [f"cents=page.cents({literal(total)})"] if total else []
        if not state:
            self.todos.append(
                "how an order's page says that it is paid (`buy` in shop.py): each one is told as confirmed"
            )
        shown = f"kit.order_state(page.need({literal(state)}).text)" if state else '"confirmed"'
        code, _, comment = order.partition("  # ")
        line = f"return kit.Placed(order_id={code}, state={shown}{''.join(f', {one}' for one in given)})"
        return f"{line}  # {comment}" if comment else line

    def _told_at_the_end(self) -> None:
        if self.logs_in:
            self.todos.append("people.csv: a row for each customer who logs in, and `people` in onsale.yaml")
        for step in self.purchase.ignored:
            self.todos.append(
                f"what {step.asked.method} {self._relative(step.asked.parts.path)} is for: it was left out"
            )
        if self.purchase.give_back is None:
            self.todos.append("how a basket is given back: the recording has none (`give_back`, hold_release)")
        self.todos.append(
            "how the shop says no (`refusals` and `complaint` in shop.py): the recording has one good purchase only"
        )
        self.todos += _UNREAD


def _is_identifier(text: str) -> bool:
    return bool(_IDENTIFIER.fullmatch(text)) and any(character.isdigit() for character in text)


def typed_values(steps: Sequence[Step]) -> Iterator[str]:
    """Everything personal that was sent: no file that is written may have it."""
    for step in steps:
        for name, value in _sent(step.asked, step):
            own = personal(name, value) if len(value) > 3 else None
            if own is not None and value != own.example:
                yield value


def _sent(asked: Exchange, step: Step) -> Iterator[tuple[str, str]]:
    yield from asked.fields
    yield from asked.query
    for path, value in leaves(step.json):
        if isinstance(value, str | int):
            yield str(path[-1]) if path else "", str(value)


def _position_in(visit: Visit) -> str:
    """The selector of the position on a page of a queue; "" for none."""
    return leaf(visit.page, str.isdecimal, r"position|place|number|rank|ahead|turn") if visit.answer.is_page else ""


def _is_state(text: str) -> bool:
    """Whether it says how an order stands that was just made."""
    return STATE_WORDS.get(text.strip().lower()) in ("confirmed", "pending")
