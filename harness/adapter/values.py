"""What the verbs of an adapter give: baskets, purchases, and the rows of an operator's pages. Checked once, here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from harness.adapter.errors import MissingNameError
from harness.platform import Cents, Count, FinalSeat, SeatMap, Section, Venue

T = TypeVar("T")
V = TypeVar("V", bound=msgspec.Struct)

_STATE_NAMES: Final = {
    "confirmed": "confirmed paid completed complete success successful succeeded done approved captured settled issued",
    "pending": "pending processing open new authorized waiting in_progress",
    "declined": "declined rejected failed denied error",
    "refunded": "refunded",
    "expired": "expired cancelled canceled void voided abandoned",
}
STATE_WORDS: Final = {word: state for state, words in _STATE_NAMES.items() for word in words.split()}
"""Words of shops for the state of an order → ours."""
ORDER_STATES: Final = frozenset({"pending", "confirmed", "declined", "refunded", "expired"})
SEAT_STATES: Final = ("free", "held", "sold")
ENTRIES: Final = frozenset({"capture", "refund", "decline"})
_NUMBER_MAX: Final = 2**53


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base: frozen, by keyword."""


class Basket(_Value, frozen=True):
    """What is kept for a fan.

    `basket_id`: the platform's name for it; "": it has none. `quantity`: how many tickets were granted; null: as many
    as were asked for. `cents`: what they cost together, as shown; null: not shown. `ttl_s`: for how long from now they
    are kept; null: the platform does not say. `data`: whatever the adapter itself needs later, never recorded.
    """

    basket_id: str = ""
    quantity: Count | None = None
    pool: str = ""
    seats: tuple[str, ...] = ()
    cents: Cents | None = None
    ttl_s: float | None = None
    data: object = None


class Placed(_Value, frozen=True):
    """An order as the fan is shown it. `state`: pending | confirmed | declined | refunded | expired.

    `cents`, `quantity`: of the whole order, as shown; null: not shown.
    """

    order_id: str
    state: str
    cents: Cents | None = None
    quantity: Count | None = None
    pool: str = ""
    seats: tuple[str, ...] = ()


class ShownSeat(_Value, frozen=True):
    """One seat as a fan's seat map shows it. `state`: free | held | sold. `cents`: its price; null: not shown.

    `wheelchair_place`: of an accessible seat, the name of the wheelchair place that it goes with, its own if it is one.
    """

    section: str
    row: str
    seat: str
    state: str
    cents: Cents | None = None
    wheelchair_place: str = ""


class PoolAtRest(_Value, frozen=True):
    """One pool as the operator sees it: tickets that are free, held in baskets, and sold. Null: not shown."""

    pool: str
    free: Count | None = None
    held: Count | None = None
    sold: Count | None = None


SeatAtRest = FinalSeat


class ExportedOrder(_Value, frozen=True):
    """One order, or one pool of an order, of the operator's export.

    `fan`: whose it is: the actor's name, the fan's e-mail address (`Shopper.email`), or any value of the fan's row of
    the people file. `cents`: of this row. `quantity` tickets of `pool`, or the `seats`. `key`: the idempotency key,
    where the platform keeps it.
    """

    order_id: str
    fan: str
    state: str
    cents: Cents
    quantity: Count = 1
    pool: str = ""
    seats: tuple[str, ...] = ()
    key: str = ""


class LedgerRow(_Value, frozen=True):
    """One entry of the payments. `entry`: capture | refund | decline."""

    charge_id: str
    order_id: str
    entry: str
    cents: Cents
    key: str = ""


class FeedPoint(_Value, frozen=True):
    """How far a feed was followed: the last sequence number of that epoch."""

    epoch: str
    seq: int


class Snapshot(_Value, frozen=True):
    """Every seat's state as of change number `seq`; seats that are free may be left out. What a feed tells first.

    `states`: seat → free | held | sold. `epoch`: which count `seq` belongs to; "" where there is only one.
    `sent_unix_s`: the platform's own stamp; null: there is none.
    """

    states: dict[str, str]
    seq: int
    epoch: str = ""
    sent_unix_s: float | None = None


class SeatChange(_Value, frozen=True):
    """Change number `seq`: one seat is now free | held | sold. The other fields are those of a snapshot."""

    seat: str
    state: str
    seq: int
    epoch: str = ""
    sent_unix_s: float | None = None


class Resync(_Value, frozen=True):
    """What was missed is not told any more: a snapshot follows."""

    seq: int
    epoch: str = ""


class WrongTypeError(Exception):
    """A verb gave something else than it should. The message is one sentence."""


def venue_of(shown: Iterable[ShownSeat]) -> Venue:
    """The layout, sections and rows in the order in which they come first."""
    sections = _by_section(shown)
    rows = {name: tuple(tuple(one.seat for one in row) for row in rows) for name, rows in sections.items()}
    prices = {one.seat: one.cents for rows in sections.values() for row in rows for one in row if one.cents is not None}
    return Venue(
        sections=tuple(
            Section(name=name, rows=seats, accessible=_accessible(sections[name])) for name, seats in rows.items()
        ),
        prices_cents=prices,
    )


def _accessible(rows: list[list[ShownSeat]]) -> tuple[tuple[str, ...], ...]:
    """Each wheelchair place with the other seats that go with it."""
    groups: dict[str, list[str]] = {}
    for one in (one for row in rows for one in row if one.wheelchair_place):
        others = groups.setdefault(one.wheelchair_place, [])
        others += [one.seat] if one.seat != one.wheelchair_place else []
    return tuple((place, *others) for place, others in groups.items())


def seat_map_of(shown: Iterable[ShownSeat]) -> SeatMap:
    """Every seat's state, in the order of `venue_of`. Raises `WrongTypeError` for a state that is none."""
    states = {}
    for name, rows in _by_section(shown).items():
        words = [one.state for row in rows for one in row]
        _require_states(words, "shown_seats")
        states[name] = "".join(str(SEAT_STATES.index(word)) for word in words)
    return SeatMap(states=states, stale=False)


def _by_section(shown: Iterable[ShownSeat]) -> dict[str, list[list[ShownSeat]]]:
    sections: dict[str, dict[str, list[ShownSeat]]] = {}
    for one in shown:
        sections.setdefault(one.section, {}).setdefault(one.row, []).append(one)
    return {name: list(rows.values()) for name, rows in sections.items()}


def order_state(word: str, others: Mapping[str, str] | None = None) -> str:
    """The state of an order that shops call so: pending | confirmed | declined | refunded | expired.

    `others`: words of a shop's own, in lower case → the state. Raises `WrongTypeError` for a word that is not known.
    """
    plain = word.strip().lower()
    state = (others or {}).get(plain) or STATE_WORDS.get(plain)
    if state:
        return state
    raise WrongTypeError(f"no state of an order is known to be called {word!r}: give it as another word")


class Given(dict[str, T]):
    """What the scenario gives by name. A name that it does not give is said with `section` and those that it does."""

    def __init__(self, section: str, values: Mapping[str, T]) -> None:
        super().__init__(values)
        self._section = section

    def __missing__(self, name: str) -> T:
        there = f"there are {', '.join(self)}" if self else "it gives none"
        raise MissingNameError(f"{self._section} has no {name}: {there}")


def checked(value: object, kind: type[V], verb: str) -> V:
    """The value itself, when it is a `kind` whose fields have the right types. Raises `WrongTypeError`."""
    if not isinstance(value, kind):
        raise WrongTypeError(f"{verb} returned {_shown(value)}, not {kind.__name__}")
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    try:
        msgspec.convert(fields, kind, strict=True)
    except msgspec.ValidationError as error:
        raise WrongTypeError(f"{verb} returned {kind.__name__} with a wrong field: {error}") from None
    if isinstance(value, Venue):
        _require_groups(value, verb)
    state, entry = fields.get("state"), fields.get("entry")
    if kind in (Placed, ExportedOrder) and state not in ORDER_STATES:
        raise WrongTypeError(f"{verb} returned state {state!r}, not one of {', '.join(sorted(ORDER_STATES))}")
    if kind is LedgerRow and entry not in ENTRIES:
        raise WrongTypeError(f"{verb} returned entry {entry!r}, not one of {', '.join(sorted(ENTRIES))}")
    return value


def checked_told(value: object, verb: str) -> Snapshot | SeatChange | Resync:
    """What a feed told. Raises `WrongTypeError`."""
    if isinstance(value, Resync):
        return checked(value, Resync, verb)
    if isinstance(value, SeatChange):
        _require_states([value.state], verb)
        return checked(value, SeatChange, verb)
    snapshot = checked(value, Snapshot, verb)
    _require_states(snapshot.states.values(), verb)
    return snapshot


def _require_groups(venue: Venue, verb: str) -> None:
    """Each group of accessible seats is of seats of its section, and no seat is in two."""
    for section in venue.sections:
        if not section.accessible:
            continue
        others = {seat for row in section.rows for seat in row}
        for group in section.accessible:
            if not group:
                raise WrongTypeError(f"{verb} returned an empty group of accessible seats of section {section.name!r}")
            for seat in group:
                if seat not in others:
                    where = f"which is in no row of section {section.name!r}, or in two groups"
                    raise WrongTypeError(f"{verb} returned the accessible seat {seat!r}, {where}")
                others.discard(seat)


def _require_states(states: Iterable[object], verb: str) -> None:
    if unknown := [state for state in states if state not in SEAT_STATES]:
        raise WrongTypeError(f"{verb} returned the state {unknown[0]!r}, not one of {', '.join(SEAT_STATES)}")


def checked_number(value: object, verb: str) -> int | None:
    """A position or an admission number. Raises `WrongTypeError`."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _NUMBER_MAX):
        return value
    raise WrongTypeError(f"{verb} returned {_shown(value)}, not a number or None")


def checked_list(value: object, kind: type[V], verb: str) -> list[V]:
    """Each of them checked. Raises `WrongTypeError`."""
    if isinstance(value, str | bytes | dict) or not hasattr(value, "__iter__"):
        raise WrongTypeError(f"{verb} returned {_shown(value)}, not a list of {kind.__name__}")
    return [checked(item, kind, verb) for item in value]


def _shown(value: object) -> str:
    if value is None:
        return "None"
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else f'{text[:59]}…'}"
