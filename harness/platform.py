"""The verbs an on-sale platform offers, the capabilities it declares, and the types they exchange.

Journeys (scenarios/) are written against these verbs and know no URL; an adapter such as
scenarios/reference/platform.py knows one platform's API and is the only place that writes operations into the history.
Nothing here imports locust or gevent.

An adapter is a class that is constructed with `(addresses, recorder)` in each worker process and fulfils `Platform`.
All instants are seconds on the worker's monotonic clock; the recorder makes them relative to T0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from time import monotonic
from typing import Annotated, Generic, Protocol, Self, TypeVar, runtime_checkable

import msgspec
from msgspec import Meta

from harness.record.schema import Outcome, SeatMapFacts
from harness.registry.capabilities import Capability as Capability  # noqa: PLC0414 - adapters take it from here
from harness.scenario import Tactic
from harness.stack import Addresses as Addresses  # noqa: PLC0414 - adapters take it from here

T = TypeVar("T")
Cents = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Count = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
"""What the record has room for, however wrong it is: a platform may say any number."""


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what crosses the verbs: frozen values."""


class Person(_Value, frozen=True):
    """One user of the swarm. `identity` is who the platform's limits apply to; several actors may share one.

    `device`: the fingerprint of the device they use, which several may share; "": one of their own. `code`: the access
    code that they show where the sale asks for one. `needs_accessible`: they declare the need of an accessible seat.
    """

    user: int
    kind: str
    actor: str
    identity: str
    device: str = ""
    code: str = ""
    needs_accessible: bool = False


class Call(_Value, frozen=True):
    """When a user meant to make a call, and which try it is.

    `t_intended_s` of a retry is that of the first try: a retry counts from when the user wanted it. `retry_of`: the
    operation of the try before. `op`: the operation that the call's requests serve, which an adapter fills in by
    `Recorder.begin`; null: they serve none. `late_s`: how much later than `t_intended_s` the load generator came to the
    first try.
    """

    t_intended_s: float
    attempt: int = 1
    retry_of: int | None = None
    op: int | None = None
    late_s: float = 0.0

    @classmethod
    def now(cls) -> Self:
        """A first try, meant to be made now."""
        return cls(t_intended_s=monotonic())


class Answer(_Value, Generic[T], frozen=True):
    """What came of a call. `value` is null unless `outcome` is ok.

    `error`: "" or what the history says, e.g. "conflict", "declined", "timeout". `retry_after_s`: the platform's own
    wish. `final`: another try of the same call cannot succeed. `op`: its operation in the history, where it has one.
    """

    outcome: Outcome
    t_end_s: float
    value: T | None = None
    error: str = ""
    retry_after_s: float | None = None
    final: bool = False
    op: int | None = None


class Place(_Value, frozen=True):
    """A place in the queue. `position` null: a ticket was given, queueing comes later."""

    position: int | None


class QueueNewsKind(StrEnum):
    """What a positions stream tells."""

    POSITION = "position"
    PAUSED = "paused"
    SOLD_OUT = "sold_out"  # nothing is left for now; the place is kept for what may come back
    ADMITTED = "admitted"
    REFUSED = "refused"


class QueueNews(_Value, frozen=True):
    """One event of a positions stream. `error`: why the fan was refused, who need not wait any more."""

    kind: QueueNewsKind
    position: int | None = None
    error: str = ""


class QueueStream(Protocol):
    """An open positions stream. Iteration ends when the platform or the network ends it; it never raises for that."""

    def __iter__(self) -> Iterator[QueueNews]: ...

    @property
    def reconnect_s(self) -> float | None:
        """How long the platform wants a reader to wait before opening it again; null: it has not said."""

    def close(self) -> None:
        """Leave the stream."""


class Admission(_Value, frozen=True):
    """The pass is in the session; `admission_no` is the order in which the platform admitted."""

    admission_no: int


class Section(_Value, frozen=True):
    """Seats of one section, row by row, in the order in which a seat map lists their states.

    `accessible`: groups of those seats, each a wheelchair place and then the companion seats that go with it; they are
    kept for fans who declare the need.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    accessible: tuple[tuple[str, ...], ...] = ()


class Venue(_Value, frozen=True):
    """The sections, the most wanted first. `prices_cents`: seat → price; empty: the platform shows no prices."""

    sections: tuple[Section, ...]
    prices_cents: dict[str, int] = {}


def wheelchair_places(venue: Venue) -> dict[str, str]:
    """Accessible seat → the wheelchair place that it goes with, which is itself where it is one."""
    return {seat: group[0] for section in venue.sections for group in section.accessible for seat in group}


class SeatMap(_Value, frozen=True):
    """`states`: section → one character per seat in the venue's order, "0" free, "1" held, "2" sold."""

    states: dict[str, str]
    stale: bool


class Pool(_Value, frozen=True):
    """One kind of ticket without a seat, as a fan sees it. Null: the platform does not show it."""

    name: str
    free: int | None = None
    price_cents: int | None = None


class Stock(_Value, frozen=True):
    """What is left, pool by pool. `stale`: the platform says that it may have moved on since."""

    pools: tuple[Pool, ...]
    stale: bool = False


class Hold(_Value, frozen=True):
    """Seats, or `quantity` tickets of a `pool`, kept for a fan for `ttl_s`; null: the platform does not say how long.

    `shown_cents`: their price when they were chosen; null: none was shown.
    """

    hold_id: str
    seats: tuple[str, ...] = ()
    ttl_s: float | None = None
    shown_cents: int | None = None
    pool: str = ""
    quantity: int = 0


class Order(_Value, frozen=True):
    """state: pending | confirmed | declined | refunded | expired."""

    order_id: str
    state: str


class AckedOrder(_Value, frozen=True):
    """An order that the platform acknowledged to a fan."""

    order_id: str
    actor: str
    identity: str


class FinalSeat(_Value, frozen=True):
    """One row of the seat map at rest. state: free | held | sold."""

    seat: str
    state: str


class FinalOrder(_Value, frozen=True):
    """One seat of one order at rest, as the operator's export has it; without seats `quantity` tickets of a `pool`.

    `fan`: the actor whose order it is. `amount_cents`: of the whole row.
    """

    order_id: str
    fan: str
    seat: str
    state: str
    amount_cents: Cents
    idempotency_key: str
    pool: str = ""
    quantity: Count = 1


class FinalPool(_Value, frozen=True):
    """One pool at rest, as the operator sees it: tickets that are free, held in baskets, and sold. Null: not shown."""

    pool: str
    free: Count | None = None
    held: Count | None = None
    sold: Count | None = None


class FinalEntry(_Value, frozen=True):
    """One entry of the payment provider's ledger at rest. entry: capture | refund | decline.

    `card`: a name of the card, never its number; null where the ledger does not say.
    """

    charge_id: str
    idempotency_key: str
    order_id: str
    entry: str
    amount_cents: Cents
    card: str | None = None


class FinalReads(_Value, frozen=True):
    """The state at rest. Null: the platform cannot show it, or could not this time (then `notes` says why).

    `stock`: empty where the platform sells stock and shows none of it.
    `foreign_owners`: one sentence where the export gives orders that fans were told of to people who are no fans of the
    run; "" where it gives each to its fan.
    """

    at_rest: bool
    seats: tuple[FinalSeat, ...] | None = None
    orders: tuple[FinalOrder, ...] | None = None
    ledger: tuple[FinalEntry, ...] | None = None
    stock: tuple[FinalPool, ...] | None = None
    seat_map: SeatMapFacts | None = None
    notes: tuple[str, ...] = ()
    foreign_owners: str = ""


class PreparedRequest(Protocol):
    """A request that is serialised, its connection open, not yet sent: the barrier sends it at the release."""

    @property
    def data(self) -> bytes:
        """The whole request."""

    @property
    def send_some(self) -> Callable[[bytes], int]:
        """Gives bytes to the socket without waiting; returns how many it took. Raises `OSError`."""

    def is_stale(self) -> bool:
        """Whether the platform has closed its connection, or said something on it unasked. It never waits."""

    def was_sent(self, t_start_s: float) -> None:
        """All of it was sent at that instant; the session's next call reads its answer."""

    def abandon(self) -> None:
        """It could not be sent whole: its connection is closed, and the session sends the request again."""


class FanSession(Protocol):
    """One fan's dealings with the platform. One greenlet at a time; no verb raises for what the platform does."""

    @property
    def first_send_s(self) -> float | None:
        """When the first byte after arming was given to the socket."""

    def arm(self, *, warm: bool) -> PreparedRequest | None:
        """Prepare the first request and, if `warm`, open its connection; returns it for the barrier to send.

        Raises `harness.swarm.client.http.CallFailed` when the platform cannot be reached.
        """

    def queue_page(self, call: Call) -> Answer[None]:
        """The first request: read the answer of what the barrier sent, or send it now."""

    def join(self, call: Call) -> Answer[Place]:
        """Take a place in the queue."""

    def positions(self, call: Call) -> Answer[QueueStream]:
        """Follow one's place; continues after the last event seen."""

    def enter(self, call: Call) -> Answer[Admission]:
        """Exchange the queue ticket for a pass."""

    def venue(self, call: Call) -> Answer[Venue]:
        """The layout."""

    def section_counts(self, call: Call) -> Answer[dict[str, int]]:
        """Free seats per section."""

    def seat_map(self, call: Call) -> Answer[SeatMap]:
        """Every seat's state."""

    def hold(self, call: Call, seats: tuple[str, ...]) -> Answer[Hold]:
        """Keep seats. `error` "conflict": somebody has one of them; "limit": one identity would have too many;
        "accessible": one of them is kept for a need that the fan did not declare."""

    def release(self, call: Call, hold: Hold) -> Answer[None]:
        """Give a hold back."""

    def pay(self, call: Call, hold: Hold, *, key: str, declined_on_purpose: bool) -> Answer[Order]:
        """Buy what is held. A repeat with the same idempotency key is the same purchase."""

    def order(self, call: Call, order_id: str) -> Answer[Order]:
        """How an order stands."""

    def close(self) -> None:
        """Drop the connections."""


class StockSession(FanSession, Protocol):
    """A fan's session where tickets have no seats, or some have none: capability STOCK."""

    def stock(self, call: Call) -> Answer[Stock]:
        """What is left of each pool."""

    def hold_stock(self, call: Call, pool: str, quantity: int) -> Answer[Hold]:
        """Keep so many tickets of a pool. `error` "conflict": not so many are left; "limit": as for `hold`."""


@runtime_checkable
class HasTwin(Protocol):
    """A fan's session that can do two things at once. Sessions need not; then nobody posts a payment twice at once."""

    def twin(self) -> FanSession:
        """The same fan with what they were given so far, over a connection of its own; to be closed by the caller."""


@runtime_checkable
class HasTabs(Protocol):
    """A fan's session that can be followed in further tabs of the browser. Sessions need not."""

    def tab(self) -> FanSession:
        """The same fan with the same ticket, over a connection of its own; what it is told of the queue is not noted.

        To be closed by the caller.
        """


@runtime_checkable
class ShowsTicket(Protocol):
    """A fan's session that asks for its place with the ticket when the page is loaded again. Sessions need not."""

    def join_again(self, call: Call) -> Answer[Place]:
        """Take the place that the ticket says, which is the fan's already unless the platform has lost it."""


@runtime_checkable
class CanLose(Protocol):
    """A fan's session that can lose the answer to its next purchase, where it can look afterwards what came of it."""

    def lose_next_answer(self) -> None:
        """Drop the answer to the next purchase. The fan then has to find out whether it happened."""


class SpectatorSession(Protocol):
    """One spectator's seat feed."""

    @property
    def first_send_s(self) -> float | None:
        """When the feed was first connected."""

    def connect(self, call: Call) -> Answer[None]:
        """Open the feed, continuing after the last sequence number seen."""

    def follow(self) -> str:
        """Record what the feed tells until it drops; returns the error, "" for an orderly end."""

    def close(self) -> None:
        """Drop the connection."""


@runtime_checkable
class LimitsPasses(Protocol):
    """A platform whose operator gives passes with a purchase limit too."""

    def limited_session(self, person: Person, limit: int) -> FanSession | None:
        """As `Platform.probe_session`, for so many seats."""


@runtime_checkable
class TriesOthersHolds(Protocol):
    """A session that can try with another fan's hold what only that fan may do with it. Sessions need not."""

    def try_to_release(self, call: Call, hold: Hold) -> None:
        """Record whether the hold could be given back: see `Function.PROBE`."""

    def try_to_buy(self, call: Call, hold: Hold, *, key: str) -> None:
        """Record whether the hold could be paid for."""


@runtime_checkable
class TriesWithoutPass(Protocol):
    """A session that can ask for seats before it was let in. Sessions need not."""

    def try_to_hold(self, call: Call, seats: tuple[str, ...]) -> None:
        """Record whether that got past the entrance: see `Function.PROBE`."""


@runtime_checkable
class Glances(Protocol):
    """A spectator's session that can look at the whole state and leave. Sessions need not."""

    def glance(self) -> int:
        """Record what the feed tells who has just come, up to a whole state; returns how many seats are not free."""


@runtime_checkable
class LooksUpAsFans(Protocol):
    """A platform where an order is shown to the browser that bought it: each worker looks up those of its own fans."""

    def look_up_orders(self, acked: Sequence[AckedOrder]) -> tuple[str, ...]:
        """Look up these orders at rest, each in its fan's name. Returns notes on what could not be."""


class Platform(Protocol):
    """One on-sale platform."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can show."""

    def fan_session(self, person: Person) -> FanSession:
        """A new fan."""

    def bot_session(self, person: Person, tactic: Tactic) -> FanSession:
        """A new bot: a fan's session whose join does what the tactic says. Only needed where bots are sent."""

    def spectator_session(self, person: Person) -> SpectatorSession:
        """A new spectator."""

    def probe_session(self, person: Person) -> FanSession | None:
        """A session with a pass that an operator gave, for what is to be tried whatever the fans do.

        Null: there is no operator's access. Only needed where probes are to be sent.
        """

    def final_reads(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:
        """Wait, at most `timeout_s`, until the platform is at rest; look up the acknowledged orders; read its state."""

    def sweep(self, seats: Sequence[str]) -> None:
        """Hold and release each of these seats: an operation of the history each. Sold ones should be refused."""


@runtime_checkable
class LosesAnswers(Protocol):
    """A platform whose fans can be made to lose the answer to a purchase on its way, as a cut connection does."""

    purchase_acts: int
    """Which request that changes something is the last one of a purchase; 0: it is not known, and none is lost."""


@runtime_checkable
class HasPast(Protocol):
    """A platform that can tell orders of before the run from those of the run, where it is asked whether it rests."""

    def leave_out(self, before: FinalReads) -> None:
        """What was pending and held before the release may be so for ever: it is no unrest."""
