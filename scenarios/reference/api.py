"""The reference booking system's HTTP API as the adapter sees it: endpoints, and the documents they answer with."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from harness.platform import Section, Venue
from harness.swarm.client.http import Endpoint, Response

D = TypeVar("D", bound=msgspec.Struct)

QUEUE_PAGE: Final = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
CHALLENGE: Final = Endpoint("challenge", "GET", frozenset({200}), idempotent=True)
JOIN: Final = Endpoint("join", "POST", frozenset({200, 201, 202}), idempotent=True)
POSITIONS: Final = Endpoint("positions", "GET", frozenset({200}), idempotent=True, recorded_as="SSE")
ENTER: Final = Endpoint("enter", "POST", frozenset({200, 409, 410, 425}), idempotent=True)
VENUE: Final = Endpoint("venue", "GET", frozenset({200}), idempotent=True)
SEAT_MAP: Final = Endpoint("seat_map", "GET", frozenset({200}), idempotent=True)
SECTION_COUNTS: Final = Endpoint("section_counts", "GET", frozenset({200}), idempotent=True)
HOLD: Final = Endpoint("hold", "POST", frozenset({201, 409, 422}))
RELEASE: Final = Endpoint("release", "DELETE", frozenset({204, 404, 410}))
PAY: Final = Endpoint("pay", "POST", frozenset({201, 202, 402, 410}), idempotent=True)
ORDER: Final = Endpoint("order", "GET", frozenset({200}), idempotent=True)
SETTLE_GET: Final = Endpoint("settle", "GET", frozenset({200}), idempotent=True)
SETTLE_POST: Final = Endpoint("settle", "POST", frozenset({201, 409}))
SETTLE_DELETE: Final = Endpoint("settle", "DELETE", frozenset({204}))

DRAW: Final = Endpoint("settle", "GET", frozenset({200, 404}), idempotent=True)

JSON_BODY: Final = b"Content-Type: application/json\r\n"


class _Document(msgspec.Struct, frozen=True):
    """Base of what is read: a field that we do not know is none of our business."""


class ChallengeAnswer(_Document, frozen=True):
    """GET …/challenge. kind: none | proof_of_work."""

    kind: str
    challenge: str = ""
    bits: int = 0


class JoinAnswer(_Document, frozen=True):
    """POST …/queue."""

    ticket: str
    position: int | None
    epoch: str
    opens_at: float | None = None  # while fans gather before the opening


class DrawAnswer(_Document, frozen=True):
    """GET …/draw. `opens_at`: unix s; `seed` is null until then."""

    opens_at: float
    commitment: str
    seed: str | None


class DrawEntry(_Document, frozen=True):
    """One lot: the hash of a fan's name."""

    entry: str


class EntriesAnswer(_Document, frozen=True):
    """GET …/draw/entries: a page of them in the order of the line."""

    total: int
    entries: tuple[DrawEntry, ...]


class PositionData(_Document, frozen=True):
    """The data of any event of the positions stream. `at`: unix s."""

    at: float
    position: int | None = None
    epoch: str = ""


class EnterAnswer(_Document, frozen=True):
    """POST …/admission."""

    pass_: str = msgspec.field(name="pass")
    admission_no: int
    epoch: str = ""


class Row(_Document, frozen=True):
    """One row; its seats are numbered from 1."""

    id: str
    seats: int
    price: str


class SectionDocument(_Document, frozen=True):
    """One section."""

    id: str
    rows: tuple[Row, ...]


class VenueAnswer(_Document, frozen=True):
    """GET …/venue."""

    capacity: int
    prices_cents: dict[str, int]
    sections: tuple[SectionDocument, ...]


class SeatsAnswer(_Document, frozen=True):
    """GET …/seats. `states`: section → a character for each seat, "0" free."""

    epoch: str
    seq: int
    stale: bool
    states: dict[str, str]


class CountsAnswer(_Document, frozen=True):
    """GET …/sections."""

    counts: dict[str, int]


class HoldAnswer(_Document, frozen=True):
    """POST …/holds."""

    hold_id: str
    seats: tuple[str, ...]
    ttl_s: float


class OrderAnswer(_Document, frozen=True):
    """POST …/orders and GET /api/orders/…."""

    order_id: str
    state: str
    seats: tuple[str, ...] = ()
    amount_cents: int = 0
    stale: bool = False


class LimitAnswer(_Document, frozen=True):
    """A refusal because of the purchase limit."""

    limit: int


class PassAnswer(_Document, frozen=True):
    """POST /admin/passes."""

    pass_: str = msgspec.field(name="pass")


class PendingAnswer(_Document, frozen=True):
    """GET /admin/pending."""

    orders_pending: int
    holds: int
    parked: int

    @property
    def at_rest(self) -> bool:
        """Nothing will change by itself any more."""
        return not (self.orders_pending or self.holds or self.parked)


def read(response: Response, kind: type[D]) -> D | None:
    """The document of an expected answer; null for any other answer, and for what cannot be understood."""
    if response.error or response.status >= 300:
        return None
    try:
        return msgspec.json.decode(response.body, type=kind)
    except msgspec.DecodeError:
        return None


def says(response: Response, kind: type[msgspec.Struct]) -> bool:
    """Whether the body is such a document, whatever the status."""
    try:
        msgspec.json.decode(response.body, type=kind)
    except msgspec.DecodeError:
        return False
    return True


def venue_of(answer: VenueAnswer) -> Venue:
    """The sections with the dearest first: that is what everybody wants."""
    dearest = sorted(
        answer.sections,
        key=lambda section: (-max(answer.prices_cents[row.price] for row in section.rows), section.id),
    )
    sections = tuple(Section(name=one.id, rows=_rows(one)) for one in dearest)
    prices = {
        seat: answer.prices_cents[row.price]
        for layout, section in zip(dearest, sections, strict=True)
        for row, seats in zip(layout.rows, section.rows, strict=True)
        for seat in seats
    }
    return Venue(sections=sections, prices_cents=prices)


def _rows(section: SectionDocument) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"{section.id}-{row.id}-{number}" for number in range(1, row.seats + 1)) for row in section.rows)
