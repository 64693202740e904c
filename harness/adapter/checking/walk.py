"""Goes through an adapter's verbs as one fan, without load, and notes each with its requests, statuses and times."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any, Final, TypeVar

import gevent
import msgspec

from harness.adapter.browsing.page import Page
from harness.adapter.checking.report import Problem, TriedRequest, TriedVerb
from harness.adapter.errors import AdapterFault, VerbHung
from harness.adapter.platform import ShopPlatform
from harness.adapter.running.session import KitSession
from harness.adapter.running.verbs import Ended, defined_at
from harness.platform import (
    Answer,
    Call,
    Hold,
    Order,
    Person,
    Pool,
    QueueNewsKind,
    QueueStream,
    SeatMap,
    Venue,
    wheelchair_places,
)
from harness.record.schema import NOT_DRAWN, Outcome
from harness.registry.capabilities import Capability
from harness.swarm.recording.rows import RequestRow

T = TypeVar("T")

ADMITTED_WITHIN_S: Final = 30.0
_TRIES: Final = 4
_PAUSE_S: Final = 0.5
_LAST_SHOWN: Final = 400
_SETTLED: Final = frozenset({"confirmed", "declined", "refunded", "expired"})
_SETTLES_WITHIN_S: Final = 20.0
_BLOCKED_S: Final = 1.0


class Stopped(Exception):
    """A verb that all others need did not succeed."""


class NotDrawn(Stopped):
    """Lots were drawn, and this fan's was not among them: as it should be, but nothing more can be tried."""


class _Failure(msgspec.Struct, frozen=True):
    """How a verb ended that did not succeed: `where` in the adapter, and after which answer."""

    how: str = ""
    where: str = ""
    detail: str = ""
    answer: str = ""


_NONE: Final = _Failure()


class Walk:
    """One fan. `told` and `problems` may be shared by several."""

    def __init__(self, platform: ShopPlatform, person: Person, told: list[TriedVerb], problems: list[Problem]) -> None:
        self.platform = platform
        self.person = person
        self.session: KitSession = platform.fan_session(person)
        self.told = told
        self.problems = problems
        self.session.runner.told = self._note
        self._begun_s = monotonic()
        self._rows = platform.recorder.buffers["requests"].rows
        self.shown: dict[str, int | None] = {}  # what was left of each pool when it was chosen
        self._failure = _NONE  # of the verb that was asked last, the first of its tries

    # What a fan does.

    def come_in(self) -> None:
        """The first page, the queue, the entrance."""
        self.need("open", self.session.queue_page)
        if Capability.QUEUE in self.platform.capabilities:
            self.need("join", self.session.join)
            self._wait_until_admitted()
            self.need("enter", self.session.enter)

    def choose(self) -> tuple[str, tuple[str, ...]]:
        """A pool with something left, or else free seats: (pool, ()) or ("", seats)."""
        if Capability.STOCK in self.platform.capabilities:
            pools = self._pools_with_something_left()
            self.shown = {pool.name: pool.free for pool in pools}
            return most_free(pools).name, ()
        venue = self.need("venue", self.session.venue)
        if wrong := accessible_seats_wrong(venue, self.platform.capabilities):
            self.stop("venue", wrong)
        free = free_seats(venue, self.need("seats", self.session.seat_map))
        if not free:
            self.stop("seats", "no seat is free")
        return "", free

    def _pools_with_something_left(self) -> tuple[Pool, ...]:
        """The pools, once one of them has something left: fans take nothing of what they are shown as gone."""
        ends_s = monotonic() + self.platform.rules.map_late_max_s
        while True:
            pools = self.need("left", self.session.stock).pools
            if not pools:
                self.stop("left", "it shows no pool")
            if any(pool.free is None or pool.free > 0 for pool in pools):
                return pools
            if monotonic() > ends_s:
                shown = ", ".join(f"{pool.free} of {pool.name}" for pool in pools)
                self.stop(
                    "left",
                    f"it shows nothing left ({shown}): is all sold, and nothing makes it fresh (platform.prepare)?",
                )
            gevent.sleep(_PAUSE_S)

    def take(self, pool: str, seats: tuple[str, ...], quantity: int) -> Hold:
        """Keep so many."""
        return self.need(*self.holding(pool, seats, quantity))

    def holding(self, pool: str, seats: tuple[str, ...], quantity: int) -> tuple[str, Callable[[Call], Answer[Hold]]]:
        """The verb that keeps so many, and its name."""
        if pool:
            return "reserve", lambda call: self.session.hold_stock(call, pool, quantity)
        return "reserve_seats", lambda call: self.session.hold(call, seats[:quantity])

    def buying(self, hold: Hold, key: str, *, declined: bool = False) -> Callable[[Call], Answer[Order]]:
        """The verb that buys what is held."""
        return lambda call: self.session.pay(call, hold, key=key, declined_on_purpose=declined)

    def settle(self, order: Order) -> Order:
        """The order once it is no longer pending, where it can be looked up."""
        if Capability.LOOKUP not in self.platform.capabilities:
            return order
        ends_s = monotonic() + _SETTLES_WITHIN_S
        while True:
            found = self.need("look_up", lambda call: self.session.order(call, order.order_id))
            if found.order_id != order.order_id:
                self.stop("look_up", f"order {order.order_id} was asked for, and it returned {found.order_id}")
            if found.state in _SETTLED:
                return found
            if monotonic() > ends_s:
                self.stop("look_up", f"the order is {found.state} for more than {_SETTLES_WITHIN_S:g} s")
            gevent.sleep(_PAUSE_S)

    # Verbs.

    def need(self, name: str, verb: Callable[[Call], Answer[T]]) -> T:
        """Its value. Raises `Stopped` when it does not succeed in a few tries."""
        return self._value(name, self._insist(verb))

    def _insist(self, verb: Callable[[Call], Answer[T]]) -> Answer[T]:
        """How it ended in a few tries. What was wrong with the first of them is kept: the others follow from it."""
        answer = self.ask(verb)
        for _ in range(_TRIES - 1):
            if answer.outcome is Outcome.OK or answer.final:
                break
            gevent.sleep(min(answer.retry_after_s or _PAUSE_S, 5.0))
            first = self._failure
            answer = self.ask(verb, retry_of=answer.op)
            self._failure = first
        return answer

    def _value(self, name: str, answer: Answer[T]) -> T:
        if answer.outcome is not Outcome.OK:
            first, last = self._failure.how, f"{answer.outcome.value}, {answer.error!r}"
            then = f" (tried again: {last})" if first and first != last else ""
            self.stop(name, f"it ended as {first or last}", detail=True, then=then)
        return answer.value  # type: ignore[return-value]

    def ask(self, verb: Callable[[Call], Answer[T]], retry_of: int | None = None) -> Answer[T]:
        """How it ended. Raises `Stopped` for a fault of the adapter."""
        self._begun_s = monotonic()
        self._rows = self.platform.recorder.buffers["requests"].rows
        self._failure = _NONE
        try:
            with interrupting(self):
                return verb(Call(t_intended_s=self._begun_s, retry_of=retry_of))
        except AdapterFault as fault:
            self.problems.append(Problem(str(fault), fault.where, last=self.last_answer()))
            raise Stopped from None

    def stop(self, verb: str, what: str, *, detail: bool = False, then: str = "") -> None:
        """Note the problem and end the walk."""
        self.problem(verb, what, detail=detail, then=then)
        raise Stopped

    def problem(self, verb: str, what: str, *, detail: bool = False, then: str = "") -> None:
        """Note what is wrong with a verb: at the line where it failed, or else where the verb is.

        `then`: what came of trying again.
        """
        failure = self._failure
        if detail and failure.detail:
            what = f"{what}: {failure.detail}"
        place = failure.where or place_of_verb(self.platform, verb)
        self.problems.append(Problem(what + then, place, verb, failure.answer or self.last_answer()))

    def last_answer(self) -> str:
        """The last thing that this fan was answered."""
        return shown(self.session.shopper.browser.last)

    def _wait_until_admitted(self) -> None:
        ends_s = monotonic() + ADMITTED_WITHIN_S
        while True:
            self._begun_s = monotonic()
            stream = self._follow()
            try:
                with interrupting(self):
                    for news in stream:
                        if news.kind is QueueNewsKind.ADMITTED:
                            return
                        if news.kind is QueueNewsKind.REFUSED:
                            self._turned_away(news.error)
                        self._begun_s = monotonic()
                        if monotonic() > ends_s:
                            self.stop("place", f"the fan was not called in within {ADMITTED_WITHIN_S:g} s")
            except AdapterFault as fault:
                self.problems.append(Problem(str(fault), fault.where, last=self.last_answer()))
                raise Stopped from None
            finally:
                stream.close()
            if monotonic() > ends_s:
                self.stop("place", "the queue was lost again and again", detail=True)
            gevent.sleep(_PAUSE_S)

    def _follow(self) -> QueueStream:
        answer = self._insist(self.session.positions)
        if answer.final:
            self._turned_away(answer.error)
        return self._value("place", answer)

    def _turned_away(self, error: str) -> None:
        if error == NOT_DRAWN:
            raise NotDrawn
        self.stop("place", f"the fan was turned away, {error!r}", detail=True)

    def _note(self, verb: str, how: Ended[Any] | AdapterFault) -> None:
        rows = [row for row in self._rows if isinstance(row, RequestRow)]
        own = [row for row in rows if row.actor == self.person.actor and row.t_end_s >= self._begun_s]
        asked = tuple(
            TriedRequest(row.page, row.status, round((row.t_end_s - row.t_start_s) * 1000.0, 1), row.error)
            for row in own
        )
        ms = round((monotonic() - self._begun_s) * 1000.0, 1)
        if isinstance(how, AdapterFault):
            self.told.append(TriedVerb(verb, self.person.actor, "fault", ms, asked, "adapter", str(how), how.where))
            return
        if how.outcome is not Outcome.OK:
            what = f"{how.outcome.value}, {how.error!r}"
            self._failure = _Failure(what, how.where, how.detail, self.last_answer())
        told = TriedVerb(verb, self.person.actor, how.outcome.value, ms, asked, how.error, how.detail, how.where)
        self.told.append(told)


@contextmanager
def interrupting(walk: Walk) -> Iterator[None]:
    """A verb that keeps the process busy is interrupted too: a signal reaches it where no other greenlet runs."""

    def look(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal's protocol
        browser = walk.session.shopper.browser
        if monotonic() > browser.deadline_s + _BLOCKED_S:
            browser.deadline_s = float("inf")
            raise VerbHung("it keeps the process busy")

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _BLOCKED_S, _BLOCKED_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def most_free(pools: tuple[Pool, ...]) -> Pool:
    """The pool with the most left; of those that show nothing the first."""
    return max(pools, key=lambda pool: -1 if pool.free is None else pool.free)


def accessible_seats_wrong(venue: Venue, capabilities: Collection[str]) -> str:
    """How what is declared of accessible seats and what the layout tells contradict each other; "": they do not."""
    tells, declares = bool(wheelchair_places(venue)), Capability.ACCESSIBLE in capabilities
    if tells and not declares:
        return "it tells accessible seats, and the adapter does not declare Capability.ACCESSIBLE: nobody audits them"
    if declares and not tells:
        return "it tells no accessible seats (Section.accessible), and the adapter declares Capability.ACCESSIBLE"
    return ""


def free_seats(venue: Venue, seat_map: SeatMap) -> tuple[str, ...]:
    """The names of the seats that a map shows free, without those that are kept for a need."""
    kept = wheelchair_places(venue)
    return tuple(
        seat
        for section in venue.sections
        for seat, state in zip(
            (seat for row in section.rows for seat in row), seat_map.states.get(section.name, ""), strict=False
        )
        if state == "0" and seat not in kept
    )


def shown(page: Page | None) -> str:
    """A page on one line, for a problem."""
    if page is None:
        return ""
    return f"{page.asked} " + (
        f"was answered {page.status}: {page.excerpt(_LAST_SHOWN)}" if page.status else "got no answer"
    )


def place_of_verb(platform: ShopPlatform, verb: str) -> str:
    """file:line of a verb of the adapter: of its customers, or of its operator."""
    owner = type(platform).shopper if hasattr(type(platform).shopper, verb) else type(platform)
    found = getattr(owner, verb, None)
    return defined_at(found) if found is not None else ""
