"""The state at rest of a platform of one's own: waits for it, reads the operator's pages, looks up acknowledged orders.

Nothing here raises for what the platform or the adapter does: what cannot be read is null, and a note says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Final, Protocol, TypeVar

import gevent
import msgspec

from harness.adapter.browsing.browser import Browser
from harness.adapter.browsing.site import Site
from harness.adapter.errors import AdapterFault
from harness.adapter.running.session import KitSession
from harness.adapter.running.verbs import ADAPTER, Ended, VerbRunner, verb_of
from harness.adapter.shopper import MAIL_HOST
from harness.adapter.values import ExportedOrder, LedgerRow, PoolAtRest, SeatAtRest, checked
from harness.platform import AckedOrder, Call, FinalEntry, FinalOrder, FinalPool, FinalReads, Person
from harness.record.schema import Outcome, SeatMapFacts
from harness.registry.capabilities import Capability

T = TypeVar("T")
V = TypeVar("V", bound=msgspec.Struct)

OPERATOR: Final = Person(user=-1, kind="operator", actor="operator", identity="operator")
STEP: Final = "settle"
_POLL_S: Final = 0.5
_TRIES: Final = 5
_NOTES_MAX: Final = 20
_ACTOR: Final = re.compile(r"(fan|bot)-[0-9]+")
_RESTLESS: Final = "not at rest: "
_LONGEST_S: Final = 86_400.0
_OVER: Final = "the time for reading was over"


class _Operated(Protocol):
    """What an operator needs of a platform: see `harness.adapter.platform.ShopPlatform`."""

    capabilities: Collection[str]
    site: Site

    def stock(self, api: Browser) -> Iterable[PoolAtRest]: ...
    def seats(self, api: Browser) -> Iterable[SeatAtRest]: ...
    def orders(self, api: Browser) -> Iterable[ExportedOrder]: ...
    def ledger(self, api: Browser) -> Iterable[LedgerRow]: ...
    def at_rest(self, api: Browser) -> bool: ...
    def sweep_seats(self, api: Browser, seats: Sequence[str]) -> None: ...
    def fan_session(self, person: Person) -> KitSession: ...
    def browser_of(self, person: Person) -> Browser: ...
    def session_that_bought(self, order_id: str) -> KitSession | None: ...
    def orders_of_this_process(self) -> set[str]: ...
    def actor_of(self, fan: str) -> str: ...
    def shows(self, read: str) -> bool: ...


class _Pages(msgspec.Struct, frozen=True):
    """What the operator's pages say. Null: not shown, or it could not be read."""

    stock: list[PoolAtRest] | None
    seats: list[SeatAtRest] | None
    orders: list[ExportedOrder] | None
    ledger: list[LedgerRow] | None

    def same_as(self, other: _Pages) -> bool:
        """Whether both show the same, where both could be read."""
        mine, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return all(None in (one, two) or one == two for one, two in zip(mine, others, strict=True))


class _TimeOver(BaseException):
    """Nothing may swallow it: an adapter reads page after page, and each may take its time."""


class Operator:
    """Reads a platform as its operator. `ends_s`: an instant of the monotonic clock at which nothing is read on."""

    def __init__(self, platform: _Operated, ends_s: float = float("inf")) -> None:
        self._platform = platform
        self._ends_s = ends_s
        self._browser = platform.browser_of(OPERATOR)
        self._runner = VerbRunner(self._browser, OPERATOR)
        self._runner.told = _nobody  # so that it says where
        self._notes: list[str] = []

    def read(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:
        """Wait until it is at rest; look up what was acknowledged; read everything."""
        deadline_s = monotonic() + timeout_s
        at_rest = self._wait_for_rest(deadline_s)
        self._wait_for_export({order.order_id for order in acked}, deadline_s)
        here = self._platform.orders_of_this_process()
        self._look_up([order for order in acked if order.order_id in here])
        pages, rests = self._pages_at_rest(deadline_s) if at_rest else (self._pages(), False)
        return self._reads(pages, {order.order_id: order.actor for order in acked}, at_rest=rests)

    def now(self) -> FinalReads:
        """Read everything as it is."""
        return self._reads(self._pages(), {}, at_rest=False)

    def _reads(self, pages: _Pages, actors: dict[str, str], *, at_rest: bool) -> FinalReads:
        """`actors`: order → the fan who was told of it."""
        self._browser.close()
        stock, seats = self._once(pages.stock), pages.seats
        orders, ledger = pages.orders, self._booked_once(pages.ledger)
        named = {order.order_id: self._platform.actor_of(order.fan) for order in orders or ()}
        return FinalReads(
            at_rest=at_rest,
            seats=None if seats is None else tuple(seats),
            stock=tuple(map(_pool, stock)) if stock is not None else () if self._shows_no_stock else None,
            orders=None if orders is None else tuple(self._order_rows(orders, actors, named)),
            ledger=None if ledger is None else tuple(map(_entry, ledger)),
            seat_map=None if seats is None else SeatMapFacts(capacity=len(seats)),
            notes=tuple(self._notes),
            foreign_owners=self._foreign_owners(orders, actors, named),
        )

    @property
    def _shows_no_stock(self) -> bool:
        """Whether it sells stock and its operator reads none: that is no failure to read it."""
        return Capability.STOCK in self._platform.capabilities and not self._platform.shows("stock")

    def sweep(self, seats: Sequence[str]) -> None:
        """Try to hold and give back each of these seats."""
        self._platform.sweep_seats(self._browser, seats)

    # Rest.

    def _wait_for_rest(self, deadline_s: float) -> bool:
        while True:
            ended = self._ask(
                verb_of(lambda: self._platform.at_rest(self._browser), "at_rest", self._platform.at_rest), tries=1
            )
            if ended.value is True:
                self._notes = [note for note in self._notes if not note.startswith(_RESTLESS)]
                return True
            if ended.value is not None and ended.value is not False:
                self._note(f"at_rest returned {type(ended.value).__name__}, not True or False")
                return False
            if monotonic() + _POLL_S > deadline_s:
                self._note(f"{_RESTLESS}{ended.detail or ended.error or 'something is held or pending still'}")
                return False
            gevent.sleep(_POLL_S)

    def _wait_for_export(self, told: set[str], deadline_s: float) -> None:
        """An export may lag, as one that is made every few seconds: until then it may lack what fans were told."""
        platform = self._platform
        if not told or Capability.ORDER_EXPORT not in platform.capabilities:
            return
        ended_ids = verb_of(
            lambda: {order.order_id for order in platform.orders(self._browser) if order.state != "pending"},
            "orders",
            platform.orders,
        )
        while monotonic() + _POLL_S <= deadline_s:
            ended = self._ask(ended_ids, tries=1)
            if ended.error == ADAPTER or (ended.value is not None and told <= ended.value):
                return
            gevent.sleep(_POLL_S)

    # Reading.

    def _pages_at_rest(self, deadline_s: float) -> tuple[_Pages, bool]:
        """All pages as they were at one time: read until what is left is the same after them as before, and at rest.

        False: others buy on this platform all the time, or it is not at rest any more.
        """
        while True:
            pages = self._pages()
            same = pages.same_as(self._pages(pages))
            if same and self._wait_for_rest(monotonic()):
                return pages, True
            if monotonic() + _POLL_S > deadline_s:
                if not same:
                    self._note(f"{_RESTLESS}the operator's pages changed while they were read: does somebody else buy?")
                return pages, False
            gevent.sleep(_POLL_S)
            self._wait_for_rest(deadline_s)

    def _pages(self, before: _Pages | None = None) -> _Pages:
        """Every page; after those of `before`, the first of them again, which tells whether something has changed."""
        platform, capabilities = self._platform, self._platform.capabilities
        stock = seats = orders = ledger = None
        if Capability.STOCK in capabilities and platform.shows("stock"):
            stock = self._all(platform.stock, "stock", PoolAtRest)
        if Capability.SEATS in capabilities and platform.shows("seats"):
            seats = self._all(platform.seats, "seats", SeatAtRest)
        if before is not None and (stock is not None or seats is not None):
            return msgspec.structs.replace(before, stock=stock, seats=seats)
        if Capability.ORDER_EXPORT in capabilities:
            orders = self._all(platform.orders, "orders", ExportedOrder)
        if before is not None:
            return msgspec.structs.replace(before, orders=orders)
        if Capability.LEDGER_EXPORT in capabilities:
            ledger = self._all(platform.ledger, "ledger", LedgerRow)
        return _Pages(stock, seats, orders, ledger)

    def _once(self, stock: list[PoolAtRest] | None) -> list[PoolAtRest] | None:
        """Each pool once; null where the operator's page has one twice, with other figures."""
        found: dict[str, PoolAtRest] = {}
        for row in stock or ():
            if found.setdefault(row.pool, row) != row:
                self._note(f"stock could not be read: it lists the pool {row.pool} twice, with different figures")
                return None
        return None if stock is None else list(found.values())

    def _booked_once(self, ledger: list[LedgerRow] | None) -> list[LedgerRow] | None:
        """Null where a capture is there twice under one id: another charge, or the same row, nobody can tell."""
        seen: set[LedgerRow] = set()
        for row in ledger or ():
            if row in seen and row.entry == "capture" and row.charge_id:
                self._note(f"ledger could not be read: it lists the capture {row.charge_id} twice, with the same row")
                return None
            seen.add(row)
        return ledger

    def _all(self, verb: Callable[[Browser], Iterable[V]], name: str, kind: type[V]) -> list[V] | None:
        """All that it gives, each checked; null when it could not be read in a few tries."""

        def read() -> list[V]:
            rows = verb(self._browser)
            if isinstance(rows, str | bytes | dict) or not hasattr(rows, "__iter__"):
                return [checked(rows, kind, name)]
            return [checked(row, kind, name) for row in rows]

        ended = self._ask(verb_of(read, name, verb), tries=_TRIES)
        if ended.value is None:
            place = f"{ended.where}: " if ended.where else ""
            self._note(f"{place}{name} could not be read: {ended.detail or ended.error}")
        return ended.value

    def _ask(self, verb: Callable[[], T], *, tries: int) -> Ended[T]:
        """Run it, again when the platform does not answer: it has just been through faults."""
        for left in range(tries - 1, -1, -1):
            try:
                with self._in_time():
                    ended = self._runner.run(verb, STEP, Call.now())
            except _TimeOver:
                return Ended(Outcome.UNKNOWN, monotonic(), error="timeout", detail=_OVER)
            except AdapterFault as fault:
                return Ended(Outcome.UNKNOWN, monotonic(), error=ADAPTER, detail=str(fault), where=fault.where)
            if ended.outcome is Outcome.OK or not left:
                return ended
            gevent.sleep(_POLL_S)
        raise AssertionError("no try was left")  # pragma: no cover

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Raises _TimeOver at the end, or at once after it."""
        left_s = self._ends_s - monotonic()
        if left_s <= 0:
            raise _TimeOver
        with gevent.Timeout(min(left_s, _LONGEST_S), _TimeOver):
            yield

    def _order_rows(
        self, orders: list[ExportedOrder], actors: dict[str, str], named: dict[str, str]
    ) -> Iterator[FinalOrder]:
        """The owner of an order is the fan whom the export names. Where it names none of our fans for the orders that
        they were told of, those fans are the owners of these orders, and no other order has a known owner: ""."""
        told = [order for order in orders if order.order_id in actors]
        nameless = any(not named[order.order_id] and order.fan != actors[order.order_id] for order in told)
        for order in orders:
            stranger = "" if nameless else order.fan
            yield from _rows(order, named[order.order_id] or actors.get(order.order_id) or stranger)

    def _foreign_owners(self, orders: list[ExportedOrder] | None, actors: dict[str, str], named: dict[str, str]) -> str:
        """Of the orders that fans were told of and that the export gives to somebody whom nobody here knows."""
        told = [order for order in orders or () if order.order_id in actors]
        foreign = [
            order for order in told if order.fan and order.fan != actors[order.order_id] and not named[order.order_id]
        ]
        if not foreign:
            return ""
        first = foreign[0]
        return self._platform.site.hide(
            f"the export gives {len(foreign)} of {len(told)} orders that fans were told of to people who are no fans "
            f"of this run, as {first.order_id}, which {actors[first.order_id]} bought, to {first.fan!r}"
        )

    def _note(self, line: str) -> None:
        line = self._platform.site.hide(line)
        if line not in self._notes and len(self._notes) < _NOTES_MAX:
            self._notes.append(line)

    # Orders that fans were told of.

    def look_up(self, acked: Sequence[AckedOrder]) -> tuple[str, ...]:
        """Each in its fan's name. Returns notes."""
        self._look_up(acked)
        return tuple(self._notes)

    def _look_up(self, acked: Sequence[AckedOrder]) -> None:
        """With the browser of the fan, where they used it in this process; else they log in anew, if they can.

        A browser that nobody knows may be shown nothing: that it is not shown the order says nothing of the order.
        """
        if Capability.LOOKUP not in self._platform.capabilities:
            return
        missing = sum(monotonic() > self._ends_s or not self._look_up_one(order) for order in acked)
        if missing:
            self._note(f"{missing} of {len(acked)} acknowledged orders could not be looked up")

    def _look_up_one(self, order: AckedOrder) -> bool:
        person = Person(user=-1, kind=OPERATOR.kind, actor=order.actor, identity=order.identity)
        session = self._platform.session_that_bought(order.order_id)
        try:
            if session is None:
                session = self._platform.fan_session(person)
                if not session.shopper.account:
                    return False
                session.runner.run(session.shopper.open, STEP, Call.now())
            session.shopper.browser.become(person)
            for _ in range(_TRIES):
                answer = session.look_up(Call.now(), order.order_id, person, STEP)
                if answer.outcome is Outcome.OK or answer.error == "missing":
                    return True
                if monotonic() > self._ends_s:
                    break
                gevent.sleep(_POLL_S)
        except AdapterFault as fault:
            self._note(f"{fault.where}: {fault}")
        finally:
            if session is not None:
                session.close()
        return False


def _nobody(verb: str, how: object) -> None:
    """Nobody listens."""


def default_rest(
    orders: Iterable[ExportedOrder],
    stock: Iterable[PoolAtRest],
    seats: Iterable[SeatAtRest],
    before: FinalReads,
) -> bool:
    """No order is pending, and nothing is held, but for what was so `before` the release."""
    pending = {order.order_id for order in before.orders or () if order.state == "pending"}
    kept = {pool.pool: pool.held or 0 for pool in before.stock or ()}
    kept_seats = {seat.seat for seat in before.seats or () if seat.state == "held"}
    return (
        all(order.order_id in pending for order in orders if order.state == "pending")
        and all((pool.held or 0) <= kept.get(pool.pool, 0) for pool in stock)
        and all(seat.seat in kept_seats for seat in seats if seat.state == "held")
    )


def is_an_actor(name: str) -> bool:
    """Whether it is how fans and bots of a run are called."""
    return _ACTOR.fullmatch(name) is not None


def local_actor(address: str) -> str:
    """The actor of a fan's own e-mail address; "" for any other."""
    name, _, host = address.partition("@")
    return name if host.lower() == MAIL_HOST else ""


def _pool(pool: PoolAtRest) -> FinalPool:
    return FinalPool(pool=pool.pool, free=pool.free, held=pool.held, sold=pool.sold)


def _entry(row: LedgerRow) -> FinalEntry:
    return FinalEntry(
        charge_id=row.charge_id,
        idempotency_key=row.key,
        order_id=row.order_id,
        entry=row.entry,
        amount_cents=row.cents,
    )


def _rows(order: ExportedOrder, fan: str) -> Iterator[FinalOrder]:
    """One row for a pool, or one for each seat; the cents of an order are shared out over its seats."""
    if not order.seats:
        yield FinalOrder(
            order_id=order.order_id,
            fan=fan,
            seat="",
            state=order.state,
            amount_cents=order.cents,
            idempotency_key=order.key,
            pool=order.pool,
            quantity=order.quantity,
        )
        return
    share, rest = divmod(order.cents, len(order.seats))
    for number, seat in enumerate(order.seats):
        yield FinalOrder(
            order_id=order.order_id,
            fan=fan,
            seat=seat,
            state=order.state,
            amount_cents=share + (number < rest),
            idempotency_key=order.key,
            pool=order.pool,
        )
