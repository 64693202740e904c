"""The reference booking system's HTTP API as the adapter sees it: endpoints, and the documents they answer with.

What a document may hold is bounded by its type, so that nothing beyond it is believed, kept, or sent back: a document
that goes beyond is no answer ("protocol").
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Meta

from harness.platform import Section, Venue
from harness.swarm.client.documents import decode
from harness.swarm.client.http import Endpoint, Response

D = TypeVar("D", bound=msgspec.Struct)

QUEUE_PAGE: Final = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
CHALLENGE: Final = Endpoint("challenge", "GET", frozenset({200}), idempotent=True)
JOIN: Final = Endpoint("join", "POST", frozenset({200, 201, 202, 409}), idempotent=True)
POSITIONS: Final = Endpoint("positions", "GET", frozenset({200}), idempotent=True, recorded_as="SSE")
ENTER: Final = Endpoint("enter", "POST", frozenset({200, 409, 410, 425}), idempotent=True)
VENUE: Final = Endpoint("venue", "GET", frozenset({200}), idempotent=True)
SEAT_MAP: Final = Endpoint("seat_map", "GET", frozenset({200}), idempotent=True)
SECTION_COUNTS: Final = Endpoint("section_counts", "GET", frozenset({200}), idempotent=True)
HOLD: Final = Endpoint("hold", "POST", frozenset({201, 409, 422}))
HOLD_WITHOUT_PASS: Final = Endpoint("settle", "POST", frozenset({201, 401, 403, 409, 422}))  # no fan's hold
RELEASE: Final = Endpoint("release", "DELETE", frozenset({204, 404, 410}))
PAY: Final = Endpoint("pay", "POST", frozenset({201, 202, 402, 410}), idempotent=True)
ORDER: Final = Endpoint("order", "GET", frozenset({200}), idempotent=True)
SETTLE_GET: Final = Endpoint("settle", "GET", frozenset({200}), idempotent=True)
SETTLE_POST: Final = Endpoint("settle", "POST", frozenset({201, 409}))
SETTLE_DELETE: Final = Endpoint("settle", "DELETE", frozenset({204}))

DRAW: Final = Endpoint("settle", "GET", frozenset({200, 404}), idempotent=True)

JSON_BODY: Final = b"Content-Type: application/json\r\n"


SEATS_MAX: Final = 250_000
"""Of a venue: the largest stadiums have some 150,000."""
_SECTIONS_MAX: Final = 10_000
_EXACT: Final = 2**53  # whole numbers up to here survive JSON

Number = Annotated[int, Meta(ge=-_EXACT, le=_EXACT)]
Name = Annotated[str, Meta(max_length=256)]
Token = Annotated[str, Meta(pattern=r"^[\x20-\x7e]{1,8192}\Z")]
"""What is sent back in a header or as a part of a path: printable ASCII."""
Seats = Annotated[tuple[Name, ...], Meta(max_length=SEATS_MAX)]


class _Document(msgspec.Struct, frozen=True):
    """Base of what is read: a field that we do not know is none of our business."""


class ChallengeAnswer(_Document, frozen=True):
    """GET …/challenge. kind: none | proof_of_work."""

    kind: Name
    challenge: Annotated[str, Meta(pattern=r"^[\x20-\x7e]{0,8192}\Z")] = ""
    bits: Annotated[int, Meta(ge=0, le=32)] = 0


class JoinAnswer(_Document, frozen=True):
    """POST …/queue."""

    ticket: Token
    position: Number | None
    epoch: Name
    opens_at: float | None = None  # while fans gather before the opening


class DrawAnswer(_Document, frozen=True):
    """GET …/draw. `opens_at`: unix s; `seed` is null until then."""

    opens_at: float
    commitment: Name
    seed: Name | None


class DrawEntry(_Document, frozen=True):
    """One lot: the hash of a fan's name."""

    entry: Name


class EntriesAnswer(_Document, frozen=True):
    """GET …/draw/entries: a page of them in the order of the line."""

    total: Number
    entries: tuple[DrawEntry, ...]


class PositionData(_Document, frozen=True):
    """The data of any event of the positions stream. `at`: unix s."""

    at: float
    position: Number | None = None
    epoch: Name = ""


class EnterAnswer(_Document, frozen=True):
    """POST …/admission."""

    pass_: Token = msgspec.field(name="pass")
    admission_no: Number
    epoch: Name = ""


class Row(_Document, frozen=True):
    """One row; its seats are numbered from 1. `accessible`: wheelchair places, each with its companion seat."""

    id: Name
    seats: Annotated[int, Meta(ge=0, le=SEATS_MAX)]
    price: Name
    accessible: Annotated[tuple[tuple[Number, Number], ...], Meta(max_length=SEATS_MAX)] = ()


class SectionDocument(_Document, frozen=True):
    """One section."""

    id: Name
    rows: tuple[Row, ...]


class VenueAnswer(_Document, frozen=True):
    """GET …/venue."""

    capacity: Number
    prices_cents: dict[str, Number]
    sections: Annotated[tuple[SectionDocument, ...], Meta(max_length=_SECTIONS_MAX)]


class SeatsAnswer(_Document, frozen=True):
    """GET …/seats. `states`: section → a character for each seat, "0" free."""

    epoch: Name
    seq: Number
    stale: bool
    states: Annotated[dict[Name, Annotated[str, Meta(max_length=SEATS_MAX)]], Meta(max_length=_SECTIONS_MAX)]


class CountsAnswer(_Document, frozen=True):
    """GET …/sections."""

    counts: dict[str, Number]
    stale: bool = False


class HoldAnswer(_Document, frozen=True):
    """POST …/holds."""

    hold_id: Token
    seats: Seats
    ttl_s: float


class OrderAnswer(_Document, frozen=True):
    """POST …/orders and GET /api/orders/…."""

    order_id: Token
    state: Name
    seats: Seats = ()
    amount_cents: Number = 0
    stale: bool = False


class LimitAnswer(_Document, frozen=True):
    """A refusal because of the purchase limit."""

    limit: Number


class WithheldAnswer(_Document, frozen=True):
    """A refusal of accessible seats."""

    seats_withheld: Seats


class PassAnswer(_Document, frozen=True):
    """POST /admin/passes."""

    pass_: Token = msgspec.field(name="pass")


class PendingAnswer(_Document, frozen=True):
    """GET /admin/pending."""

    orders_pending: Number
    holds: Number
    parked: Number

    @property
    def at_rest(self) -> bool:
        """Nothing will change by itself any more."""
        return not (self.orders_pending or self.holds or self.parked)


def card_of(actor: str, *, declined: bool = False) -> str:
    """The name of a card: a good one of the fan's own, or the one that the provider declines."""
    return "declined" if declined else f"ok-{blake2b(actor.encode(), digest_size=8).hexdigest()}"


def hold_path(base: str, hold_id: str) -> str:
    """Where a hold of the event at `base` is, whatever its id."""
    return f"{base}/holds/{quote(hold_id, safe='')}"


def order_path(order_id: str) -> str:
    """Where an order is, whatever its id."""
    return f"/api/orders/{quote(order_id, safe='')}"


def code_header(code: str) -> bytes:
    """The line with which a fan shows an access code; empty for none."""
    return f"Access-Code: {code}\r\n".encode() if code else b""


def read(response: Response, kind: type[D]) -> D | None:
    """The document of an expected answer; null for any other answer, and for what cannot be understood."""
    if response.error or response.status >= 300:
        return None
    try:
        return decode(response.body, kind)
    except msgspec.DecodeError:
        return None


def says(response: Response, kind: type[msgspec.Struct]) -> bool:
    """Whether the body is such a document, whatever the status."""
    try:
        decode(response.body, kind)
    except msgspec.DecodeError:
        return False
    return True


def venue_of(answer: VenueAnswer) -> Venue:
    """The sections with the dearest first: that is what everybody wants. Raises `msgspec.ValidationError` for a layout
    with more seats than any venue has, or with a price that has no amount."""
    count = sum(row.seats for section in answer.sections for row in section.rows)
    if count > SEATS_MAX:
        raise msgspec.ValidationError(f"the layout has {count} seats, more than {SEATS_MAX}")
    unpriced = {row.price for section in answer.sections for row in section.rows} - answer.prices_cents.keys()
    if unpriced:
        raise msgspec.ValidationError(f"the price {min(unpriced)!r} has no amount")
    dearest = sorted(
        answer.sections,
        key=lambda section: (-max((answer.prices_cents[row.price] for row in section.rows), default=0), section.id),
    )
    sections = tuple(Section(name=one.id, rows=_rows(one), accessible=_accessible(one)) for one in dearest)
    prices = {
        seat: answer.prices_cents[row.price]
        for layout, section in zip(dearest, sections, strict=True)
        for row, seats in zip(layout.rows, section.rows, strict=True)
        for seat in seats
    }
    return Venue(sections=sections, prices_cents=prices)


def _rows(section: SectionDocument) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{section.id}-{row.id}-{number}" for number in range(1, row.seats + 1)) for row in section.rows)


def _accessible(section: SectionDocument) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(f"{section.id}-{row.id}-{number}" for number in pair) for row in section.rows for pair in row.accessible
    )
