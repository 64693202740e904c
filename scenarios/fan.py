"""A fan: queue page, queue, pass, seat map, hold, payment. Written against the verbs of `harness.platform`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import ClassVar, Final, TypeVar, cast

import gevent
from msgspec import Struct
from msgspec.structs import replace

from harness.platform import (
    Answer,
    Call,
    CanLose,
    FanSession,
    HasTabs,
    HasTwin,
    Hold,
    Order,
    Person,
    PreparedRequest,
    QueueNews,
    QueueNewsKind,
    QueueStream,
    SeatMap,
    ShowsTicket,
    Stock,
    StockSession,
    Venue,
)
from harness.record.schema import NOT_DRAWN, TURNED_AWAY, WITHHELD, Outcome
from harness.scenario.codes import INVENTED, read_codes
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import Dice, FanPlan, Reload, fan_plan
from harness.swarm.users.user import DONE, Pace, RehearsalUser
from scenarios.offer import REFERENCE, Offer
from scenarios.pool_choice import choose_pool
from scenarios.seat_choice import choose, choose_accessible, choose_apart, choose_fewer
from scenarios.watcher import MapWatch

T = TypeVar("T")

GAVE_UP: Final = "gave up"
LEFT: Final = "left"
DECLINED: Final = "declined"
TAKEN: Final = "taken"
SOLD_OUT: Final = "sold out"
LOST_THE_DRAW: Final = "not drawn"
NO_PLACE: Final = "turned away"
_HOLD_TRIES: Final = 6
_EMPTY_LOOKS: Final = 2  # nothing was left so often: who does not wait for returns leaves
_JOIN_AGAIN: Final = 2
_BACK_OFF_S: Final = (0.25, 5.0)
_ORDER_POLL_S: Final = (0.4, 3.0)
_SETTLED_STATES: Final = frozenset({"confirmed", "declined", "refunded", "expired"})


class _Purchase(Struct, frozen=True):
    """What is paid for, and under which idempotency key."""

    hold: Hold
    key: str
    declined_on_purpose: bool

    def post(self, session: FanSession, call: Call) -> Answer[Order]:
        """Post the payment over this session."""
        return session.pay(call, self.hold, key=self.key, declined_on_purpose=self.declined_on_purpose)


class _Choice(Struct, frozen=True):
    """What a fan goes for: its names, to be avoided once refused, and the verb that keeps it."""

    names: frozenset[str]
    hold: Callable[[Call], Answer[Hold]]


class OutOfPatienceError(Exception):
    """The fan leaves: it takes too long, or what they came for cannot be had."""


class SoldOutError(OutOfPatienceError):
    """The fan leaves: nothing is left of what they came for."""


class NotDrawnError(OutOfPatienceError):
    """The fan leaves: lots were drawn, and theirs was not among them."""


class TurnedAwayError(OutOfPatienceError):
    """The fan leaves: their access code, or who they are, has let another fan in."""


class FanUser(RehearsalUser):
    """One fan, from the queue page to the ticket."""

    kind: ClassVar[str] = "fan"
    session: FanSession | None = None

    @property
    def first_send_s(self) -> float | None:
        """When the first request went out."""
        return self.session.first_send_s if self.session else None

    def prepare(self, user: int) -> None:
        """Draw the plan, begin a session."""
        worker_context = self.worker_context
        self.plan = fan_plan(worker_context.scenario.load.journey, worker_context.seed, user)
        self.offer = Offer.of(worker_context.platform.capabilities, worker_context.scenario)
        identity = self.offer.identity_of(self.plan)
        code = self.code_of(self.plan)
        person = Person(
            user=user,
            kind=self.kind,
            actor=self.plan.actor,
            identity=identity,
            code=code,
            needs_accessible=self.plan.needs_accessible,
        )
        self.session = worker_context.platform.fan_session(person)

    def arm(self, user: int) -> PreparedRequest | None:  # noqa: ARG002 - as all users have it
        """Open the connection of the first request, unless cold connects were asked for."""
        assert self.session is not None  # noqa: S101 - prepared before it is armed
        return self.session.arm(warm=self.worker_context.scenario.load.connect == "warm")

    def code_of(self, plan: FanPlan) -> str:
        """The access code that the user comes with, "" where nobody needs one."""
        codes = self.worker_context.scenario.codes_shown
        if not codes:
            return ""
        return INVENTED if plan.code_no is None else read_codes(codes)[plan.code_no]

    def journey(self, t0: ReleaseInstant) -> str:
        """From T0 to the ticket, or to giving up."""
        assert self.session is not None  # noqa: S101 - armed before it is released
        try:
            watch = MapWatch.of(self.worker_context.scenario, t0.monotonic_s - self.arrival.after_s)
            return Visit(self.session, self.plan, t0.monotonic_s, self.at, watch, self.offer).run()
        except SoldOutError:
            return SOLD_OUT
        except NotDrawnError:
            return LOST_THE_DRAW
        except TurnedAwayError:
            return NO_PLACE
        except OutOfPatienceError:
            return GAVE_UP

    def leave(self) -> None:
        """Close the connection."""
        if self.session is not None:
            self.session.close()


class Visit:
    """One fan's way through the platform. `at` tells which step the fan is at."""

    def __init__(
        self,
        session: FanSession,
        plan: FanPlan,
        t0_s: float,
        at: Callable[[str], None],
        watch: MapWatch | None = None,
        offer: Offer = REFERENCE,
    ) -> None:
        self._watch = watch
        self._offer = offer
        self._wish = offer.first_wish(plan)
        self._session = session
        self._plan = plan
        self._at = at
        self._pace = Pace(t0_s)
        self._dice = Dice(plan.rolls)
        self._thinks = Dice(plan.thinks_s)
        self._leaves_s = t0_s + plan.patience_s
        self._drops_stream = plan.drops_stream
        self._reloads = iter(plan.page_reloads)
        self._reload: Reload | None = None
        self._reload_at_s = 0.0
        self._reloads_now = False
        self._tries = 0  # to hold or choose
        self._misuses_accessible = plan.misuses_accessible  # until that is refused
        self._chosen: frozenset[str] = frozenset()
        self._refused: frozenset[str] = frozenset()  # of what was chosen

    def run(self) -> str:
        """The whole visit; returns how it ended. Raises `OutOfPatienceError`."""
        self._at("queue_page")
        self._insist(self._session.queue_page, self._pace.at_once())
        if self._offer.has_queue:
            self._queue()
        self._leaves_s = monotonic() + self._plan.patience_s
        ended = TAKEN
        while ended == TAKEN:
            ended = self._buy()
        return ended

    def _buy(self) -> str:
        """Choose and pay; returns how it ended. `TAKEN`: what was chosen went before it was bought."""
        hold = self._hold_stock() if self._offer.sells_standing_to(self._plan) else self._hold(self._look_around())
        if self._plan.abandons:
            self._look_again(hold)
            return LEFT
        if self._plan.releases and self._offer.takes_back:
            self._at("release")
            self._insist(partial(self._session.release, hold=hold), self._think())
            return LEFT
        return self._pay(hold)

    # The queue.

    def _queue(self) -> None:
        for _ in range(_JOIN_AGAIN + 1):
            self._at("join")
            pause_s = self._plan.join_pause_s
            self._insist(self._session.join, self._pace.after(pause_s) if pause_s else self._pace.at_once())
            with self._in_tabs():
                called_in = self._is_called_in()
            if not called_in:
                continue
            self._at("enter")
            entered = self._try(self._session.enter, self._pace.at_once())
            if entered.value is not None:
                if self._plan.repeats_payment and self._offer.repeats_entry:
                    self._session.enter(self._pace.at_once())
                return
            if entered.error != "expired":
                break
        raise OutOfPatienceError

    def _is_called_in(self) -> bool:
        """Follow the positions to the end; a lost stream is opened again, the place is kept. False: it has expired."""
        self._at("positions")
        self._begin_to_wait()
        call = self._pace.at_once()
        while True:
            answer = self._session.positions(call)
            lost_s, asked_s = answer.t_end_s, answer.retry_after_s
            refused = answer.error if answer.final else ""
            if answer.value is not None:
                last = self._last_news(answer.value)
                if last is not None and last.kind is QueueNewsKind.ADMITTED:
                    return True
                if self._reloads_now:
                    call = self._load_again()
                    continue
                refused = last.error if last is not None else ""
                lost_s, asked_s = monotonic(), answer.value.reconnect_s
                call = Call(t_intended_s=lost_s)
            if refused:
                self._pace.completed(lost_s)
                if refused != "expired":
                    raise _leaving(refused)
                return False
            pause_s = self._back_off_s(asked_s, call.attempt)
            self._require_patience(lost_s + pause_s)
            gevent.sleep(pause_s)
            call = replace(call, attempt=call.attempt + 1)

    def _last_news(self, stream: QueueStream) -> QueueNews | None:
        """The admission or the refusal that ended the waiting; null: the stream was lost or left."""
        try:
            for news in stream:
                if news.kind in {QueueNewsKind.ADMITTED, QueueNewsKind.REFUSED}:
                    self._pace.completed(monotonic())
                    return news
                if news.kind is QueueNewsKind.SOLD_OUT and self._plan.looks_again_s is None:
                    raise SoldOutError
                self._require_patience(monotonic())
                self._reloads_now = self._reload is not None and monotonic() >= self._reload_at_s
                if self._drops_stream or self._reloads_now:
                    self._drops_stream = False
                    break
        finally:
            stream.close()
        return None

    def _begin_to_wait(self) -> None:
        """Until the fan loses patience with the page, if they do."""
        self._reloads_now, self._reload = False, next(self._reloads, None)
        if self._reload is not None:
            self._reload_at_s = monotonic() + self._reload.after_s

    def _load_again(self) -> Call:
        """The page once more, which asks for the place again, without the ticket where it is lost; then the stream."""
        reload, session = self._reload, self._session
        self._pace.completed(monotonic())
        self._at("queue_page")
        self._insist(session.queue_page, self._pace.at_once())
        forgets = reload is not None and reload.forgets
        again = session.join if forgets else session.join_again if isinstance(session, ShowsTicket) else None
        if again is not None:
            self._at("join")
            self._insist(again, self._pace.at_once())
        self._at("positions")
        self._begin_to_wait()
        return self._pace.at_once()

    @contextmanager
    def _in_tabs(self) -> Iterator[None]:
        """With the queue open in further tabs, where the fan has some and the session can; they only look on."""
        session = self._session
        tabs = [session.tab() for _ in range(self._plan.tabs)] if isinstance(session, HasTabs) else []
        looking = [gevent.spawn(_look_on, tab) for tab in tabs]
        try:
            yield
        finally:
            gevent.killall(looking)
            for tab in tabs:
                tab.close()

    # The seats.

    def _look_around(self) -> Venue:
        self._at("venue")
        venue = self._insist(self._session.venue, self._pace.at_once())
        self._at("section_counts")
        self._insist(self._session.section_counts, self._pace.at_once())
        return venue

    def _hold(self, venue: Venue) -> Hold:
        """Look at the map, choose seats and hold them."""

        def choice(seat_map: SeatMap, refused: frozenset[str]) -> _Choice | None:
            seats = self._seats(venue, seat_map, refused)
            return _Choice(frozenset(seats), partial(self._session.hold, seats=seats)) if seats else None

        return self._take("seat_map", self._session.seat_map, choice)

    def _seats(self, venue: Venue, seat_map: SeatMap, refused: frozenset[str]) -> tuple[str, ...]:
        """What the fan goes for of what the map shows free; empty when nothing suits them."""
        plan, wish, dice = self._plan, self._wish, self._dice
        if plan.needs_accessible:
            return choose_accessible(venue, seat_map, wish, dice, avoid=refused)
        if self._misuses_accessible:
            wanted = choose_accessible(venue, seat_map, max(wish, 2), dice, avoid=refused)[-wish:]
            if wanted:
                return wanted
        seats = choose(venue, seat_map, wish, dice, aims_hot=plan.aims_hot, avoid=refused)
        if not seats and plan.sits_apart:
            seats = choose_apart(venue, seat_map, wish, dice, avoid=refused)
        if not seats and plan.takes_fewer:
            seats = choose_fewer(venue, seat_map, wish, dice, avoid=refused)
        return seats

    def _hold_stock(self) -> Hold:
        """Look at what is left, choose a pool and hold."""
        session = cast("StockSession", self._session)

        def choice(stock: Stock, refused: frozenset[str]) -> _Choice | None:
            pool = choose_pool(stock, self._wish, self._dice, aims_hot=self._plan.aims_hot, avoid=refused)
            if pool is None:
                return None
            return _Choice(frozenset({pool.name}), partial(session.hold_stock, pool=pool.name, quantity=self._wish))

        return self._take("stock", session.stock, choice)

    def _take(
        self, step: str, look: Callable[[Call], Answer[T]], choice: Callable[[T, frozenset[str]], _Choice | None]
    ) -> Hold:
        """Look, choose and hold; on a conflict look again and choose others. Raises `SoldOutError` when nothing is
        left and the fan does not wait for what comes back."""
        retry_of: int | None = None
        looks = 0
        while self._tries < _HOLD_TRIES:
            self._at(step)
            chosen = choice(self._insist(look, self._look_call(looks)), self._refused)
            if chosen is None:
                looks += 1
                continue
            self._tries, looks = self._tries + 1, 0
            self._at("choose" if self._offer.keeps_nothing else "hold")
            answer = self._try(chosen.hold, replace(self._think(), retry_of=retry_of))
            self._chosen = chosen.names
            if answer.value is not None:
                return answer.value
            self._refused, retry_of = self._refused | chosen.names, answer.op
            if not self._asks_again(answer):
                break
        raise OutOfPatienceError

    def _look_call(self, looks: int) -> Call:
        """The next look, after so many that showed nothing. Raises `SoldOutError` when the fan looks no more."""
        pause_s = self._plan.looks_again_s
        if not looks or (pause_s is None and looks < _EMPTY_LOOKS):
            return self._think()
        if pause_s is None or monotonic() + pause_s > self._leaves_s:
            raise SoldOutError
        return self._pace.after(pause_s)

    def _asks_again(self, answer: Answer[Hold]) -> bool:
        """After a refusal: for others after a conflict, for fewer where it was too many."""
        if answer.error == "limit" and self._wish > self._plan.party_size:
            self._wish = self._plan.party_size
            return True
        if answer.error == WITHHELD and self._misuses_accessible:
            self._misuses_accessible = False
            return True
        return answer.error == "conflict" or not answer.final

    def _look_again(self, hold: Hold) -> None:
        """Whoever leaves a hold alone comes to see whether its seats are back, if the run lasts so long."""
        pause_s = self._watch.pause_s(hold, monotonic()) if self._watch else None
        if pause_s is not None:
            self._at("stock" if hold.pool else "seat_map")
            call = self._pace.after(pause_s)
            if hold.pool:
                self._insist(cast("StockSession", self._session).stock, call)
            else:
                self._insist(self._session.seat_map, call)

    # The money.

    def _pay(self, hold: Hold) -> str:
        self._at("pay")
        key = f"{self._plan.actor}-{blake2b(hold.hold_id.encode(), digest_size=6).hexdigest()}"
        purchase = _Purchase(hold=hold, key=key, declined_on_purpose=self._plan.card_declined)
        pay = partial(purchase.post, self._session)
        call = self._think()
        if self._plan.repeats_payment and isinstance(self._session, CanLose):
            self._session.lose_next_answer()
        with self._posted_twice(purchase, call) if self._plan.repeats_payment else nullcontext():
            paid = self._try(pay, call)
        if paid.error == "conflict" and self._offer.keeps_nothing:
            self._refused |= self._chosen
            return TAKEN
        if self._plan.repeats_payment:  # `_try` ends with an answer, or the fan has left
            self._try(pay, Call(t_intended_s=paid.t_end_s, retry_of=paid.op))
        if paid.value is None:
            return DECLINED if paid.error == "declined" else GAVE_UP
        if self._offer.shows_orders:
            self._at("order")
            self._follow(paid.value)
        return DONE

    @contextmanager
    def _posted_twice(self, purchase: _Purchase, call: Call) -> Iterator[None]:
        """Post the payment over a connection of its own too, at the same instant, where the adapter has a second one.

        What it is answered is in the history; the fan goes by the first answer.
        """
        second = self._session.twin() if isinstance(self._session, HasTwin) else None
        if second is None:
            yield
            return
        posting = gevent.spawn(purchase.post, second, replace(call, late_s=0.0))
        try:
            yield
            posting.join()
        finally:
            posting.kill()
            second.close()

    def _follow(self, order: Order) -> None:
        """Ask for the order until it is settled, and once more than needed: fans do look at their tickets."""
        pause_s, longest_s = _ORDER_POLL_S
        while True:
            look_up = partial(self._session.order, order_id=order.order_id)
            asked = self._insist(look_up, self._pace.after(pause_s))
            if asked.state in _SETTLED_STATES:
                return
            pause_s = min(longest_s, pause_s * 1.5) * (0.75 + 0.5 * self._dice.roll())
            self._require_patience(monotonic() + pause_s)

    # Time and patience.

    def _think(self) -> Call:
        return self._pace.after(self._thinks.roll())

    def _insist(self, verb: Callable[[Call], Answer[T]], call: Call) -> T:
        """Try until it works. Raises `OutOfPatienceError` when that is hopeless or takes too long."""
        answer = self._try(verb, call)
        if answer.outcome is not Outcome.OK:
            raise _leaving(answer.error)
        return answer.value  # type: ignore[return-value]

    def _try(self, verb: Callable[[Call], Answer[T]], call: Call) -> Answer[T]:
        """Try until there is an answer that another try would not change. Retries count from the first intention."""
        while True:
            answer = verb(call)
            self._pace.completed(answer.t_end_s)
            if answer.outcome is Outcome.OK or answer.final:
                return answer
            pause_s = self._back_off_s(answer.retry_after_s, call.attempt)
            self._require_patience(monotonic() + pause_s)
            gevent.sleep(pause_s)
            call = replace(call, attempt=call.attempt + 1, retry_of=answer.op)

    def _back_off_s(self, asked_s: float | None, attempt: int) -> float:
        """What the platform asks for and up to half as much again, but never nothing; without that, exponential and
        jittered."""
        shortest_s, longest_s = _BACK_OFF_S
        roll = self._dice.roll()
        if asked_s is not None:
            return max(shortest_s * (0.5 + roll), asked_s * (1.0 + 0.5 * roll))
        return float(min(longest_s, shortest_s * 2 ** (attempt - 1)) * (0.5 + roll))

    def _require_patience(self, until_s: float) -> None:
        if until_s > self._leaves_s:
            raise OutOfPatienceError


def _look_on(tab: FanSession) -> None:
    """Follow the queue in another tab until its stream ends; nobody opens it again."""
    answer = tab.positions(Call.now())
    if answer.value is None:
        return
    try:
        for news in answer.value:
            if news.kind in {QueueNewsKind.ADMITTED, QueueNewsKind.REFUSED}:
                return
    finally:
        answer.value.close()


def _leaving(error: str) -> OutOfPatienceError:
    """Why the fan leaves whom the platform refuses with this word."""
    kinds = {NOT_DRAWN: NotDrawnError, TURNED_AWAY: TurnedAwayError}
    return kinds.get(error, OutOfPatienceError)()
