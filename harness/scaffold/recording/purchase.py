"""Groups the steps of a recording into the verbs of a customer, by what addresses, fields and forms are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from harness.errors import InputError
from harness.scaffold.recording.steps import Step, Visit, leaves
from harness.scaffold.streams import is_stream

_QUANTITY: Final = re.compile(
    r"(?:^|[_.\[-])(?:qty|quantity|count|anzahl|menge|amount|number|num|tickets?|places|seats?)(?:$|[_.\]\d-])", re.I
)
_CART: Final = re.compile(r"cart|basket|\bbag\b|/add\b|reserv|/hold|select|warenkorb|panier|tickets?\b|seats?\b", re.I)
_BUY: Final = re.compile(r"checkout|/pay|payment|order|confirm|purchase|complete|place|finish|submit|kasse|/buy", re.I)
_REMOVE: Final = re.compile(r"remove|empty|delete|release|clear|/cancel", re.I)
_QUEUE: Final = re.compile(r"queue|waiting|lobby|/line\b|/join\b|/enter\b|admit|/turn\b|position|lottery", re.I)
_HABITS: Final = re.compile(r"cookie|consent|locale|lang|currency|log-?in|sign-?in|auth", re.I)


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of each verb; null or empty where the recording has none. `ignored`: acts that fit nowhere."""

    first: Step
    opening: tuple[Step, ...] = ()
    join: Step | None = None
    place: Step | None = None
    enter: Step | None = None
    reserve: Step | None = None
    give_back: Step | None = None
    buying: tuple[Step, ...] = ()
    ignored: tuple[Step, ...] = ()
    room: Visit | None = None  # the page on which the visitor waited, of a waiting room on another host

    @property
    def has_queue(self) -> bool:
        """Whether customers waited."""
        return self.join is not None or self.room is not None


def group(steps: Sequence[Step]) -> Purchase:
    """Raises InputError when nothing in it was put into a basket: that is no purchase."""
    first = next((step for step in steps if step.is_page and not step.asked.acts), None)
    acts = [step for step in steps if step.asked.acts]
    if first is None or not acts:
        raise InputError("the recording has no purchase: nothing was sent to the shop", hint="record until the order")
    opening, queue, cart, buying, removed, ignored = _sorted(acts)
    if not cart and buying:
        cart, buying = buying[:1], buying[1:]
    reserve = cart[-1] if cart else None
    join, place, enter = _queue_of(queue, steps, reserve.number if reserve else len(steps))
    return Purchase(
        first=first, opening=tuple(opening), join=join, place=place, enter=enter, reserve=reserve,
        give_back=removed[-1] if removed else None, buying=tuple(buying), ignored=tuple(ignored),
    )  # fmt: skip


def is_quantity(name: str, value: str) -> bool:
    """Whether a field says how many."""
    return value.isascii() and value.isdigit() and 0 < int(value[:4]) < 100 and bool(_QUANTITY.search(name))


def _sorted(acts: Sequence[Step]) -> tuple[list[Step], ...]:
    opening, queue, cart, buying, removed, ignored = groups = ([], [], [], [], [], [])  # type: ignore[var-annotated]
    for act in acts:
        path = act.asked.parts.path
        if not cart and _HABITS.search(path) and not _counts(act):
            opening.append(act)
        elif not cart and _QUEUE.search(path) and not _counts(act):
            queue.append(act)
        elif cart and not buying and (_REMOVE.search(path) or act.asked.method == "DELETE"):
            removed.append(act)
            cart.clear()
        elif not buying and (_counts(act) or (_CART.search(path) and not _BUY.search(path))):
            cart.append(act)
        elif cart:
            buying.append(act)
        else:
            ignored.append(act)
    return groups


def _counts(act: Step) -> bool:
    if any(is_quantity(name, value) or name.lower().startswith("seat") for name, value in act.asked.fields):
        return True
    return any(is_quantity(str(path[-1]) if path else "", str(value)) for path, value in leaves(act.json))


def _queue_of(acts: Sequence[Step], steps: Sequence[Step], until: int) -> tuple[Step | None, Step | None, Step | None]:
    """What takes a place, what tells the place, what goes in."""
    waits = [
        step
        for step in steps
        if step.number < until and not step.asked.acts and _QUEUE.search(step.asked.parts.path) and _is_asked(step)
    ]
    join = acts[0] if acts else waits[0] if waits else None
    enter = acts[-1] if len(acts) > 1 else None
    place = next((step for step in waits if join is not None and step.number >= join.number), None)
    return join, place, enter


def _is_asked(step: Step) -> bool:
    """Whether it is a page or an answer that can be asked for again, not a stream."""
    return not is_stream(step.last.answer)
