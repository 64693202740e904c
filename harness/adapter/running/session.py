"""One fan's session on a platform of one's own: an adapter's verbs as operations of the history.

Fulfils `harness.platform.FanSession` and `StockSession`. A retry of a reservation or a purchase that ended unknown
first asks whether it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from harness.adapter.errors import AdapterFault
from harness.adapter.running.verbs import Ended, VerbRunner, verb_of
from harness.adapter.running.waiting import Noted, Notes, Waiting, polled, streamed
from harness.adapter.shopper import Shopper, is_written
from harness.adapter.values import Basket, Placed, WrongTypeError, checked, checked_list, checked_number
from harness.platform import (
    Admission,
    Answer,
    Call,
    Hold,
    Order,
    Person,
    Place,
    Pool,
    PreparedRequest,
    QueueStream,
    SeatMap,
    Stock,
    Venue,
)
from harness.record.schema import LOST_ON_PURPOSE, Function, Outcome
from harness.swarm.recording.recorder import OpenOperation, Recorder
from harness.swarm.recording.shown_maps import ShownMaps

T = TypeVar("T")

_EMPTY_VENUE: Final = Venue(sections=())


class _Doubtful(msgspec.Struct, frozen=True):
    """A deed that may have happened."""

    pool: str
    quantity: int
    seats: tuple[str, ...]
    resume: object
    error: str


class KitSession:
    """See the module. `shown`: the seat maps that the fans of this process were shown.

    `purchase_acts`: see `harness.platform.LosesAnswers`. `keeps_nothing`: what is chosen is not held.
    """

    def __init__(
        self,
        shopper: Shopper,
        recorder: Recorder,
        shown: ShownMaps,
        purchase_acts: int = 0,
        *,
        keeps_nothing: bool = False,
    ) -> None:
        self.shopper = shopper
        self.runner = VerbRunner(shopper.browser, shopper.person)
        self.orders: set[str] = set()  # that this fan was told of
        self._browser = shopper.browser
        self._recorder = recorder
        self._shown = shown
        self._notes = Notes(recorder, shopper.browser)
        self._venue = _EMPTY_VENUE
        self._prices_cents: dict[str, int] = {}
        self._baskets: dict[str, Basket] = {}
        self._bought: dict[str, Order] = {}  # by key
        self._doubtful_hold: _Doubtful | None = None
        self._doubtful_buy: dict[str, object] = {}  # key → resume
        self._is_in = False
        self._purchase_acts = purchase_acts
        self._loses_next = False
        self._chooses = Function.CHOOSE if keeps_nothing else Function.HOLD

    @property
    def first_send_s(self) -> float | None:
        """When the first byte was given to a socket."""
        return self._browser.first_send_s

    def arm(self, *, warm: bool) -> PreparedRequest | None:
        """Prepare the first page's request."""
        return self._browser.prepare(self.shopper.first_page) if warm else None

    def close(self) -> None:
        """Drop the connections; the cookies stay, for looking up orders at rest."""
        self._browser.close()

    # The queue.

    def queue_page(self, call: Call) -> Answer[None]:
        """Come to the sale."""
        return self.runner.run(self.shopper.open, "queue_page", call).answer()

    def join(self, call: Call) -> Answer[Place]:
        """Take a place."""
        operation = self._begin(Function.JOIN, call, key=self.shopper.person.actor)
        ended = self._run(
            verb_of(lambda: checked_number(self.shopper.join(), "join"), "join", self.shopper.join), "join", operation
        )
        self._is_in = ended.admitted
        value: dict[str, object] = {"epoch": "", "parked": False}
        if ended.value is not None:
            value["position"] = ended.value
        return self._end(operation, ended, value=value, result=Place(position=ended.value))

    def positions(self, call: Call) -> Answer[QueueStream]:
        """Follow one's place."""
        shopper, runner = self.shopper, self.runner
        if self._is_in:
            return Answer(outcome=Outcome.OK, t_end_s=call.t_intended_s, value=self._waiting((None, True), _never))
        if is_written(type(shopper), "positions"):
            stream = shopper.positions()
            first, following = streamed(runner, iter(stream), call, shopper.positions)
            leave = getattr(stream, "close", _nothing)
        else:
            first, following = polled(runner, shopper.place, call, shopper.poll_s)
            leave = _nothing
        if first.value is None:
            leave()
            if first.final:
                self._notes.note("refused", error=first.error)
            return first.answer()
        self._notes.note("connect")
        return first.answer(self._waiting(first.value, following, leave))

    def enter(self, call: Call) -> Answer[Admission]:
        """Go in."""
        operation = self._begin(Function.ENTER, call, key=self.shopper.person.actor)
        ended = self._run(
            verb_of(lambda: checked_number(self.shopper.enter(), "enter"), "enter", self.shopper.enter),
            "enter",
            operation,
        )
        value: dict[str, object] = {"epoch": ""}
        if ended.value is not None:
            value["admission_no"] = ended.value
        return self._end(operation, ended, value=value, result=Admission(admission_no=ended.value or 0))

    # What there is.

    def venue(self, call: Call) -> Answer[Venue]:
        """The layout."""
        ended = self.runner.run(_checking(self.shopper.venue, "venue", Venue), "venue", call)
        if ended.value is not None:
            self._venue = ended.value
        return ended.answer(ended.value)

    def section_counts(self, call: Call) -> Answer[dict[str, int]]:
        """Nothing is asked: the map says it."""
        return Answer(outcome=Outcome.OK, t_end_s=call.t_intended_s, value={})

    def seat_map(self, call: Call) -> Answer[SeatMap]:
        """Every seat."""
        operation = self._begin(Function.LOOK, call)
        ended = self._run(_checking(self.shopper.seats, "seats", SeatMap), "seat_map", operation)
        needs = self.shopper.person.needs_accessible
        value = None if ended.value is None else self._shown.note(self._venue, ended.value, needs_accessible=needs)
        return self._end(operation, ended, value=value, result=ended.value)

    def stock(self, call: Call) -> Answer[Stock]:
        """What is left of each pool."""
        operation = self._begin(Function.STOCK, call)
        left = verb_of(lambda: checked_list(self.shopper.left(), Pool, "left"), "left", self.shopper.left)
        ended = self._run(left, "stock", operation)
        pools = tuple(ended.value or ())
        prices = {pool.name: pool.price_cents for pool in pools if pool.price_cents is not None}
        self._prices_cents.update(prices)
        free = {pool.name: pool.free for pool in pools}
        value = {"pools": free, "prices_cents": prices, "stale": False}
        return self._end(operation, ended, value=value, result=Stock(pools=pools))

    # Holds.

    def hold(self, call: Call, seats: tuple[str, ...]) -> Answer[Hold]:
        """Keep seats."""
        return self._hold(call, "", 0, seats)

    def hold_stock(self, call: Call, pool: str, quantity: int) -> Answer[Hold]:
        """Keep so many tickets of a pool."""
        return self._hold(call, pool, quantity, ())

    def release(self, call: Call, hold: Hold) -> Answer[None]:
        """Give a hold back."""
        value = {"seats": hold.seats} if hold.seats else {"pool": hold.pool, "quantity": hold.quantity}
        operation = self._begin(Function.RELEASE, call, key=hold.hold_id, value=value)
        basket = self._baskets.get(hold.hold_id, Basket())
        ended = self._run(
            verb_of(lambda: self.shopper.give_back(basket), "give_back", self.shopper.give_back),
            "release",
            operation,
            doubted=True,
        )
        return self._end(operation, ended)

    def _hold(self, call: Call, pool: str, quantity: int, seats: tuple[str, ...]) -> Answer[Hold]:
        shopper, doubtful = self.shopper, self._doubtful_hold
        if doubtful is not None and not _can_resume_hold(shopper):
            return Answer(outcome=Outcome.UNKNOWN, t_end_s=call.t_intended_s, error=doubtful.error, final=True)
        asked: dict[str, object] = {"seats": seats} if seats else {"pool": pool, "quantity": quantity}
        if seats and shopper.person.needs_accessible:
            asked["declared"] = True
        operation = self._begin(self._chooses, call, value=asked)

        def reserve() -> tuple[Basket, bool]:
            if doubtful is not None:
                found = shopper.resume_reserve(doubtful.pool, doubtful.quantity, doubtful.resume)
                if found is not None:
                    return checked(found, Basket, "resume_reserve"), True
                self._doubtful_hold = None
            made = shopper.reserve_seats(seats) if seats else shopper.reserve(pool, quantity)
            return checked(made, Basket, name), False

        name = "reserve_seats" if seats else "reserve"
        place = shopper.reserve_seats if seats else shopper.reserve
        ended = self._run(verb_of(reserve, name, place), self._chooses.value, operation)
        if ended.value is None:
            if ended.outcome is Outcome.UNKNOWN:
                self._doubtful_hold = _Doubtful(pool, quantity, seats, ended.resume, ended.error)
            return self._end(operation, ended, value=asked)
        self._doubtful_hold = None
        basket, resumed = ended.value
        return self._kept(operation, ended, basket, asked, resumed=resumed)

    def _kept(
        self,
        operation: OpenOperation,
        ended: Ended[tuple[Basket, bool]],
        basket: Basket,
        asked: Mapping[str, object],
        *,
        resumed: bool,
    ) -> Answer[Hold]:
        """The hold of a basket. One that was looked up was granted some time ago: how long is left, it must say."""
        keeps = self._chooses is Function.HOLD
        ttl_s = basket.ttl_s if keeps else None
        hold_id = (basket.basket_id if keeps else "") or f"{self.shopper.person.actor}-{operation.op}"
        self._baskets[hold_id] = basket
        if "seats" in asked:
            seats = basket.seats or tuple(asked["seats"])  # type: ignore[arg-type]
            hold = Hold(hold_id=hold_id, seats=seats, ttl_s=ttl_s, shown_cents=self._shown_cents(basket, seats, 0))
            value: dict[str, object] = {**asked, "seats": seats, "asked": asked["seats"]}
        else:
            pool, quantity = basket.pool or str(asked["pool"]), int(str(asked["quantity"]))
            granted = quantity if basket.quantity is None else basket.quantity
            shown_cents = self._shown_cents(basket, (), granted, pool)
            hold = Hold(hold_id=hold_id, ttl_s=ttl_s, pool=pool, quantity=granted, shown_cents=shown_cents)
            value = {"pool": pool, "quantity": quantity, "granted": granted}
        if ttl_s is not None:
            value["ttl_s"] = ttl_s
        if resumed:
            value["resumed"] = True
        return self._end(operation, ended, key=hold_id, value=value, result=hold)

    def _shown_cents(self, basket: Basket, seats: tuple[str, ...], quantity: int, pool: str = "") -> int | None:
        """What the fan was shown that they cost together: in the basket, else by their prices and the declared fees."""
        if basket.cents is not None:
            return basket.cents
        if seats:
            prices = [self._venue.prices_cents.get(seat) for seat in seats]
        else:
            prices = [self._prices_cents.get(pool)] * quantity
        known = [price for price in prices if price is not None]
        if not known or len(known) < len(prices):
            return None
        rules = self._browser.site.rules
        return sum(known) + len(known) * rules.ticket_fee_cents + rules.order_fee_cents

    # The money.

    def lose_next_answer(self) -> None:
        """Drop the answer to the next purchase, if it may not be sent again and the adapter can look it up."""
        kind = type(self.shopper)
        self._loses_next = not kind.same_key_same_purchase and is_written(kind, "resume_buy")

    def pay(self, call: Call, hold: Hold, *, key: str, declined_on_purpose: bool) -> Answer[Order]:
        """Buy what is held."""
        shopper = self.shopper
        again = shopper.same_key_same_purchase
        if key in self._bought and not again:
            return Answer(outcome=Outcome.OK, t_end_s=call.t_intended_s, value=self._bought[key])
        in_doubt = key in self._doubtful_buy and not again
        resume = self._doubtful_buy.get(key)
        if in_doubt and not _can_resume_buy(shopper, resume):
            return Answer(outcome=Outcome.UNKNOWN, t_end_s=call.t_intended_s, error="unknown", final=True)
        value: dict[str, object] = {"hold_id": hold.hold_id, "declined_on_purpose": declined_on_purpose}
        value |= {"seats": hold.seats} if hold.seats else {"pool": hold.pool, "quantity": hold.quantity}
        if hold.shown_cents is not None:
            value["shown_cents"] = hold.shown_cents
        loses, self._loses_next = self._purchase_acts if self._loses_next else 0, False
        if loses:
            value[LOST_ON_PURPOSE] = True
        operation = self._begin(Function.PAY, call, key=key, value=value)
        basket = self._baskets.get(hold.hold_id, Basket())

        def buy() -> Placed:
            if in_doubt:
                found = shopper.resume_buy(basket, key, resume)
                if found is not None:
                    return checked(found, Placed, "resume_buy")
            placed = checked(shopper.buy(basket, key, declined=declined_on_purpose), Placed, "buy")
            if not self._browser.hops and placed.order_id not in self.orders:
                raise WrongTypeError(f"buy returned order {placed.order_id!r} and sent no request: what did it buy?")
            return placed

        self._browser.loses = loses or self._browser.loses
        ended = self._run(verb_of(buy, "buy", shopper.buy), "pay", operation, doubted=True)
        self._browser.loses = 0
        if ended.value is None:
            if ended.outcome is Outcome.UNKNOWN:
                self._doubtful_buy[key] = resume if ended.resume is None else ended.resume
            return self._end(operation, ended)
        placed = ended.value
        self._doubtful_buy.pop(key, None)
        self.orders.add(placed.order_id)
        order = self._bought[key] = Order(order_id=placed.order_id, state=placed.state)
        value |= {"order_id": placed.order_id, "state": placed.state}
        if placed.cents is not None:
            value["amount_cents"] = placed.cents
        if not hold.seats and placed.quantity is not None:
            value["bought"] = placed.quantity
        return self._end(operation, ended, value=value, result=order)

    def order(self, call: Call, order_id: str) -> Answer[Order]:
        """How an order stands."""
        return self.look_up(call, order_id, self.shopper.person, "order")

    def look_up(self, call: Call, order_id: str, person: Person, step: str) -> Answer[Order]:
        """The same in the name of `person`, as a request of that step."""
        operation = self._recorder.begin(person, Function.ORDER, call, key=order_id, value={})
        look = self.shopper.look_up
        verb = verb_of(lambda: checked(look(order_id), Placed, "look_up"), "look_up", look)
        ended = self._run(verb, step, operation)
        placed = ended.value
        if placed is None:
            return self._end(operation, ended)
        value: dict[str, object] = {"state": placed.state}
        if placed.seats:
            value["seats"] = placed.seats
        else:
            value |= {"pool": placed.pool}
            if placed.quantity is not None:
                value["quantity"] = placed.quantity
        if placed.cents is not None:
            value["amount_cents"] = placed.cents
        return self._end(operation, ended, value=value, result=Order(order_id=placed.order_id, state=placed.state))

    # Operations.

    def _begin(
        self, function: Function, call: Call, *, key: str = "", value: Mapping[str, object] | None = None
    ) -> OpenOperation:
        return self._recorder.begin(self.shopper.person, function, call, key=key, value=value or {})

    def _run(self, verb: Callable[[], T], step: str, operation: OpenOperation, *, doubted: bool = False) -> Ended[T]:
        return self.runner.run(verb, step, operation.call, operation=operation, doubted=doubted)

    def _end(
        self,
        operation: OpenOperation,
        ended: Ended[Any],
        *,
        key: str | None = None,
        value: Mapping[str, object] | None = None,
        result: T | None = None,
    ) -> Answer[T]:
        ok = ended.outcome is Outcome.OK
        operation.end(
            ended.outcome,
            error=ended.error,
            key=key if ok else None,
            value=value if ok else None,
            t_end_s=ended.t_end_s,
        )
        return ended.answer(result, op=operation.op)

    def _waiting(
        self, first: Noted, following: Callable[[], Ended[Noted]], leave: Callable[[], None] | None = None
    ) -> Waiting:
        return Waiting(self._notes, first, following, leave or _nothing)


def _checking(verb: Callable[[], T], name: str, kind: type[Any]) -> Callable[[], T]:
    return verb_of(lambda: checked(verb(), kind, name), name, verb)


def _can_resume_hold(shopper: Shopper) -> bool:
    kind = type(shopper)
    return is_written(kind, "resume_reserve") or is_written(kind, "basket")


def _can_resume_buy(shopper: Shopper, resume: object) -> bool:
    kind = type(shopper)
    return is_written(kind, "resume_buy") or (is_written(kind, "look_up") and isinstance(resume, str) and resume != "")


def _nothing() -> None:
    """There is nothing to leave."""


def _never() -> Ended[Noted]:
    raise AdapterFault("nothing follows an admission")
