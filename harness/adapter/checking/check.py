"""`adapter check`: one fan through every verb, then two at once, without load; what an adapter promises is tried.

Each trial is a function that notes what is wrong, or why it could not be tried.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final

import gevent

from harness.adapter.checking.report import Problem, TrialReport, TrialSpec
from harness.adapter.checking.trial import Trial, charged_otherwise, noted, require_declared
from harness.adapter.checking.walk import NotDrawn, Stopped, Walk, most_free
from harness.adapter.errors import AdapterFault
from harness.adapter.running.feed import KitSpectator
from harness.adapter.running.verbs import defined_at
from harness.adapter.shopper import is_written
from harness.adapter.values import Snapshot
from harness.platform import Answer, Call, FinalOrder, FinalReads, Hold, Order, Person
from harness.record.schema import Outcome
from harness.registry.capabilities import Capability

_TWO: Final = 2
_SHOWN_WITHIN_S: Final = 6.0
_PAUSE_S: Final = 0.5
_EXPIRY_MAX_S: Final = 20.0
_BOUGHT: Final = frozenset({"confirmed", "pending"})


class Check:
    """The trials of one adapter, one after another."""

    def __init__(self, trial: Trial) -> None:
        assert trial.platform is not None  # noqa: S101 - asked only where there is one
        self._trial = trial
        self._platform = trial.platform
        self._has = self._platform.capabilities.__contains__
        self._keeps_nothing = self._has(Capability.NO_HOLD)

    def run(self) -> None:
        """All of them. A fan whose first steps fail ends it: everything else would fail of that."""
        self._trial.read_as_operator()
        if self._trial.problems:
            return
        walk = self._trial.new_walk()
        acted: list[int] = []
        if not self._whole(walk, lambda: acted.extend(self._a_purchase(walk))):
            return
        for attempt in (self._give_back, self._over_limit, self._sold_out, self._expired):
            self._another(attempt)
        reserve_acts, buy_acts = acted
        self._another(lambda fan: self._lost_reservation(fan, reserve_acts))
        self._another(lambda fan: self._lost_purchase(fan, buy_acts))
        self._another(self._declined)
        self._two_at_once()
        self._feed()

    def _another(self, attempt: Callable[[Walk], None]) -> None:
        """Another fan tries it."""
        walk = self._trial.new_walk()
        self._whole(walk, lambda: attempt(walk))

    def _at_once(self, attempts: list[Callable[[], None]]) -> None:
        """All of them; one that is stopped stops no other."""

        def attempt(one: Callable[[], None]) -> None:
            with suppress(Stopped):
                one()

        gevent.joinall([gevent.spawn(attempt, one) for one in attempts], raise_error=True)

    def _whole(self, walk: Walk, attempt: Callable[[], object]) -> bool:
        try:
            attempt()
        except NotDrawn:
            self._note(f"{walk.person.actor} was not drawn by lot, and tried nothing")
            return False
        except Stopped:
            return False
        finally:
            walk.session.close()
        return True

    # One fan.

    def _a_purchase(self, walk: Walk) -> tuple[int, int]:
        """Two tickets, as everybody is to see them. Returns how many requests of `reserve` and of `buy` act."""
        walk.come_in()
        pool, seats = walk.choose()
        require_declared(self._trial, walk)
        before, shown = self._counted(pool), walk.shown.get(pool)
        hold = walk.take(pool, seats, _TWO)
        reserve_acts = walk.session.shopper.browser.acted
        if not self._keeps_nothing:
            self._falls(walk, pool, before, hold)
        elif before is not None and self._counted(pool) != before:
            what = f"{self._size(hold)} were chosen, and what is free went from {before} to {self._counted(pool)}"
            walk.problem("reserve" if pool else "reserve_seats", f"{what}: NO_HOLD is declared, and it keeps them")
        self._require_size(walk, hold, _TWO)
        order = walk.need("buy", walk.buying(hold, self._key(walk)))
        if self._keeps_nothing:
            self._falls(walk, pool, before, hold)
        buy_acts = walk.session.shopper.browser.acted
        walk.settle(order)
        self._appears(walk, order, hold)
        self._is_shown(walk, pool, shown, hold)
        return reserve_acts, buy_acts

    def _falls(self, walk: Walk, pool: str, before: int | None, hold: Hold) -> None:
        """The stock falls by what is held, or bought where choosing keeps nothing, once it is shown."""
        if before is None:
            deed = "purchase" if self._keeps_nothing else "hold"
            self._note(f"stock of a pool is not shown to the operator: whether it falls with a {deed} was not tried")
            return
        wanted = before - self._size(hold)
        if self._soon(lambda: self._counted(pool) == wanted):
            return
        left, done = self._counted(pool), "bought" if self._keeps_nothing else "held"
        what = f"{self._size(hold)} were {done}, and what is free went from {before} to {left}"
        if left == before and not self._keeps_nothing:
            what = f"{what}: where a basket keeps nothing until it is bought, declare Capability.NO_HOLD"
        walk.problem("stock" if pool else "reserve_seats", what)

    def _is_shown(self, walk: Walk, pool: str, before: int | None, hold: Hold) -> None:
        """What fans are shown falls too, within `rules.map_late_max_s`. If it does not, a note says so."""
        if before is None:
            return
        within_s = self._platform.rules.map_late_max_s
        ends_s = monotonic() + within_s
        while (left := self._shown(walk, pool)) is None or left > before - self._size(hold):
            if left is None or monotonic() > ends_s:
                what = f"left() still shows {left} of {pool}, as before {self._size(hold)} were reserved"
                self._note(f"{what}: {within_s:g} s later (rules.map_late_max_s) fans act by an old number")
                return
            gevent.sleep(_PAUSE_S)

    def _shown(self, walk: Walk, pool: str) -> int | None:
        """Tickets of the pool that are left as a fan is shown them; null: no number."""
        return next((one.free for one in walk.need("left", walk.session.stock).pools if one.name == pool), None)

    def _appears(self, walk: Walk, order: Order, hold: Hold) -> None:
        """The export has the order as that fan's, with that many tickets."""
        if not self._has(Capability.ORDER_EXPORT):
            return
        if not self._soon(lambda: bool(self._rows_of(order.order_id))):
            walk.problem("orders", f"the export has no order {order.order_id}, which {walk.person.actor} was given")
            return
        rows = self._rows_of(order.order_id)
        tickets = sum(row.quantity for row in rows)
        if tickets != self._size(hold):
            walk.problem("orders", f"{self._size(hold)} were bought, and the export shows {tickets}")
        if {row.fan for row in rows} != {walk.person.actor}:
            fans = ", ".join(sorted({row.fan for row in rows}))
            what = f"the export shows the order of {walk.person.actor} as that of {fans or 'nobody'}"
            walk.problem("orders", f"{what}: give the shop self.email, or a value of the fan's row, and yield that")
        if otherwise := charged_otherwise(hold, rows):
            walk.problem("orders", otherwise)

    def _give_back(self, walk: Walk) -> None:
        if not self._has(Capability.HOLD_RELEASE):
            return
        walk.come_in()
        pool, seats = walk.choose()
        before = self._counted(pool)
        hold = walk.take(pool, seats, 1)
        walk.need("give_back", lambda call: walk.session.release(call, hold))
        if before is not None and not self._soon(lambda: self._counted(pool) == before):
            walk.problem("give_back", f"one was given back, and {self._counted(pool)} are free instead of {before}")

    def _over_limit(self, walk: Walk) -> None:
        limit = self._platform.rules.tickets_at_once
        if not limit:
            self._note("rules.purchase_limit and order_limit are not given: what a fan over them is told was not tried")
            return
        walk.come_in()
        pool, seats = walk.choose()
        if seats and len(seats) <= limit:
            self._note("fewer seats are free than the limit: what a fan over it is told was not tried")
            return
        self._refused(walk, pool, seats, limit + 1, "limit")

    def _sold_out(self, walk: Walk) -> None:
        limit = self._platform.rules.tickets_at_once
        if not self._has(Capability.STOCK):
            self._taken_seat(walk)
            return
        walk.come_in()
        free = most_free(walk.need("left", walk.session.stock).pools)
        if free.free is None or (limit and free.free >= limit):
            self._note(f"more is left than one fan may have: what is said when {free.name} is sold out was not tried")
            return
        self._refused(walk, free.name, (), free.free + 1, "conflict", unless="limit")

    def _taken_seat(self, walk: Walk) -> None:
        walk.come_in()
        _, seats = walk.choose()
        hold = walk.take("", seats, 1)
        if self._keeps_nothing:
            walk.need("buy", walk.buying(hold, self._key(walk)))
        other = self._trial.new_walk()
        try:
            other.come_in()
            self._refused(other, "", hold.seats, 1, "conflict")
        finally:
            other.session.close()

    def _refused(
        self, walk: Walk, pool: str, seats: tuple[str, ...], quantity: int, word: str, unless: str = ""
    ) -> None:
        """Keeping so many is refused with that word, or else buying them is. `unless`: another word decides nothing."""
        name, verb = walk.holding(pool, seats, quantity)
        answer = walk.ask(verb)
        if unless and answer.error == unless:
            self._note(f"{quantity} at once are refused as {unless!r}: what is said when all are sold was not tried")
            return
        if answer.value is not None and self._size(answer.value) >= quantity:
            name, hold = "buy", answer.value
            bought = walk.ask(walk.buying(hold, self._key(walk)))
            self._require_word(walk, name, bought, word, f"{quantity} were sold")
            self._begins_anew(walk, pool, seats)
        elif answer.value is None:
            self._require_word(walk, name, answer, word, f"{quantity} were kept")

    def _begins_anew(self, walk: Walk, pool: str, seats: tuple[str, ...]) -> None:
        """Fans whose purchase was refused choose again: they must get what they then ask for, and no more."""
        if not seats and most_free(walk.need("left", walk.session.stock).pools).free != 0:
            again = walk.ask(walk.holding(pool, seats, 1)[1])
            if again.value is not None:
                self._require_size(walk, again.value, 1)

    def _require_word(self, walk: Walk, verb: str, answer: Answer[Order] | Answer[Hold], word: str, sold: str) -> None:
        if answer.outcome is Outcome.OK:
            walk.problem(verb, f"{sold} to one fan, where it should be refused as {word!r}")
        elif answer.error != word:
            walk.problem(verb, f"it ended as {_how(answer)}, and should be refused as {word!r}")

    def _expired(self, walk: Walk) -> None:
        rules = self._platform.rules
        if self._keeps_nothing:
            return
        if rules.hold_ttl_s is None or rules.hold_ttl_s + rules.hold_late_max_s > _EXPIRY_MAX_S:
            self._note(f"rules.hold_ttl_s is not given, or above {_EXPIRY_MAX_S:g} s: no basket was let expire")
            return
        walk.come_in()
        pool, seats = walk.choose()
        hold = walk.take(pool, seats, 1)
        gevent.sleep(rules.hold_ttl_s + rules.hold_late_max_s)
        bought = walk.ask(walk.buying(hold, self._key(walk)))
        self._require_word(walk, "buy", bought, "expired", "an expired basket was sold")

    def _declined(self, walk: Walk) -> None:
        """A card that the provider declines buys nothing, and the fan can begin anew."""
        if not self._trial.spec.declines:
            self._note("load.journey.declined_card_ratio is 0: no card was declined")
            return
        walk.come_in()
        pool, seats = walk.choose()
        before = self._counted(pool)
        hold = walk.take(pool, seats, 1)
        bought = walk.ask(walk.buying(hold, self._key(walk), declined=True))
        if bought.value is not None:
            order = walk.settle(bought.value) if bought.value.state == "pending" else bought.value
            if order.state == "confirmed":
                walk.problem("buy", "a card that is to be declined paid: declined=True asks for such a card")
        elif bought.error != "declined":
            walk.problem("buy", f"it ended as {_how(bought)}, and should be refused as 'declined'", detail=True)
        elif before is not None:
            left = before - (0 if self._keeps_nothing else 1)  # the basket may be full still
            if not self._soon(lambda: (self._counted(pool) or 0) >= left):
                walk.problem("buy", f"it was declined, and what is free went from {before} to {self._counted(pool)}")
        self._begins_anew(walk, pool, seats)

    # Lost answers.

    def _lost_reservation(self, walk: Walk, acts: int) -> None:
        """The answer to the last request that acts is lost; the fan tries again and must have what was asked for."""
        walk.come_in()
        pool, seats = walk.choose()
        before = self._counted(pool)
        walk.session.shopper.browser.loses = acts
        name, verb = walk.holding(pool, seats, 1)
        first = walk.ask(verb)
        if not self._is_lost(walk, name, first):
            return
        again = walk.ask(verb, retry_of=first.op)
        if again.value is None:
            self._gave_up(walk, name, again, ("basket", "resume_reserve"), "basket() or resume_reserve()")
            return
        self._require_size(walk, again.value, 1)
        gone = 0 if self._keeps_nothing else 1
        if before is not None and not self._soon(lambda: self._counted(pool) == before - gone):
            what = f"one was reserved, its answer lost, and {before - (self._counted(pool) or 0)} are gone"
            walk.problem(name, what)

    def _lost_purchase(self, walk: Walk, acts: int) -> None:
        """The same for a purchase: there must be one order."""
        walk.come_in()
        pool, seats = walk.choose()
        hold = walk.take(pool, seats, 1)
        walk.session.shopper.browser.loses = acts
        buy = walk.buying(hold, self._key(walk))
        first = walk.ask(buy)
        if not self._is_lost(walk, "buy", first):
            return
        again = walk.ask(buy, retry_of=first.op)
        if again.value is None:
            self._gave_up(walk, "buy", again, ("resume_buy",), "resume_buy() or same_key_same_purchase")
        if not self._has(Capability.ORDER_EXPORT):
            self._note("without ORDER_EXPORT nobody can see whether a purchase sent again was made twice")
            return
        if not self._soon(lambda: bool(self._orders_of(walk))):
            walk.problem("buy", "the answer to a purchase was lost, and the export has no order of that fan")
        elif len(orders := self._orders_of(walk)) > 1:
            named = ", ".join(sorted(orders))
            walk.problem("buy", f"one purchase, whose answer was lost, became {len(orders)} orders: {named}")

    def _is_lost(self, walk: Walk, verb: str, first: Answer[Hold] | Answer[Order]) -> bool:
        walk.session.shopper.browser.loses = 0
        if first.outcome is Outcome.UNKNOWN:
            return True
        if first.outcome is Outcome.OK:
            self._note(f"no request of {verb} changes anything: losing its answer was not tried")
        else:
            walk.problem(verb, f"its answer was lost, and it ended as {_how(first)}", detail=True)
        return False

    def _gave_up(
        self, walk: Walk, verb: str, again: Answer[Hold] | Answer[Order], looks: tuple[str, ...], mend: str
    ) -> None:
        """`looks`: the verbs of an adapter that look whether it happened."""
        written = [one for one in looks if is_written(type(walk.session.shopper), one)]
        if again.outcome is Outcome.UNKNOWN and again.final and written:
            self._note(f"a fan whose {verb} got no answer gives up: {written[-1]}() looked, and cannot tell")
        elif again.outcome is Outcome.UNKNOWN and again.final:
            self._note(f"a fan whose {verb} got no answer gives up, since the adapter cannot look: write {mend}")
        else:
            walk.problem(verb, f"the retry after a lost answer ended as {_how(again)}", detail=True)

    # Two fans.

    def _two_at_once(self) -> None:
        """Each gets an order of their own. Nobody buys before both have what they asked for."""
        fans = [self._trial.new_walk() for _ in range(_TWO)]
        holds: dict[str, Hold] = {}
        orders: dict[str, Order] = {}

        def take(walk: Walk, number: int) -> None:
            walk.come_in()
            pool, seats = walk.choose()
            hold = walk.take(pool, seats[number:], 1)
            self._require_size(walk, hold, 1)
            holds[walk.person.actor] = hold

        def buy(walk: Walk) -> None:
            hold = holds[walk.person.actor]
            orders[walk.person.actor] = walk.settle(walk.need("buy", walk.buying(hold, self._key(walk))))

        try:
            self._at_once([partial(take, walk, number) for number, walk in enumerate(fans)])
            self._at_once([partial(buy, walk) for walk in fans if walk.person.actor in holds])
        finally:
            for walk in fans:
                walk.session.close()
        if len(orders) == _TWO and len({order.order_id for order in orders.values()}) < _TWO:
            fans[0].problem("buy", "two fans at once were given the same order: do they share a browser or a cookie?")
        if not self._has(Capability.ORDER_EXPORT) or len(orders) < _TWO:
            return
        for walk in fans:
            order_id = orders[walk.person.actor].order_id
            self._soon(lambda order_id=order_id: bool(self._rows_of(order_id)))  # type: ignore[misc]
            owners = {row.fan for row in self._rows_of(order_id)}
            if owners and owners != {walk.person.actor}:
                what = f"of two fans at once, the order of {walk.person.actor} is that of {', '.join(sorted(owners))}"
                walk.problem("buy", f"{what}: do they share a browser or a cookie?")

    # What the operator sees.

    def _require_size(self, walk: Walk, hold: Hold, quantity: int) -> None:
        """A basket holds what this fan asked for."""
        size = self._size(hold)
        if size != quantity:
            what = f"{quantity} were asked for, and the basket holds {size}"
            walk.problem("reserve", f"{what}: is it another fan's too?" if size > quantity else what)

    def _size(self, hold: Hold) -> int:
        return len(hold.seats) or hold.quantity

    def _counted(self, pool: str) -> int | None:
        """Tickets of the pool, or seats, that are free as the operator sees them; null: not shown."""
        reads = self._reads()
        if pool:
            found = [row for row in reads.stock or () if row.pool == pool]
            return found[0].free if found else None
        return None if reads.seats is None else sum(seat.state == "free" for seat in reads.seats)

    def _rows_of(self, order_id: str) -> list[FinalOrder]:
        return [row for row in self._reads().orders or () if row.order_id == order_id]

    def _orders_of(self, walk: Walk) -> set[str]:
        return {
            row.order_id for row in self._reads().orders or () if row.fan == walk.person.actor and row.state in _BOUGHT
        }

    def _feed(self) -> None:
        """A spectator is told a snapshot first: what changes later is counted from there."""
        if not self._has(Capability.FEED):
            return
        actor = "spectator-check"
        spectator = self._platform.spectator_session(Person(user=0, kind="spectator", actor=actor, identity=actor))
        if not isinstance(spectator, KitSpectator):
            return
        place = defined_at(type(self._platform).shopper.feed)
        try:
            answer = spectator.connect(Call.now())
            if answer.outcome is not Outcome.OK:
                self._trial.problems.append(Problem(f"it told nothing: {answer.error}", place, "feed"))
            elif not isinstance(spectator.first, Snapshot):
                what = f"it told {type(spectator.first).__name__} first, not a Snapshot"
                self._trial.problems.append(Problem(what, place, "feed"))
        except AdapterFault as fault:
            self._trial.problems.append(Problem(str(fault), fault.where))
        finally:
            spectator.close()

    def _reads(self) -> FinalReads:
        reads = self._platform.reads_now()
        self._trial.problems += map(noted, reads.notes)
        return reads

    def _soon(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds, given the time that caches and background work may take."""
        for _ in range(int(_SHOWN_WITHIN_S / _PAUSE_S)):
            if holds():
                return True
            gevent.sleep(_PAUSE_S)
        return holds()

    def _key(self, walk: Walk) -> str:
        return f"{walk.person.actor}-check"

    def _note(self, line: str) -> None:
        self._trial.notes.append(line)


def _how(answer: Answer[Hold] | Answer[Order]) -> str:
    return f"{answer.outcome.value}, {answer.error!r}"


def check(spec: TrialSpec) -> TrialReport:
    """Try everything. Raises `InputError` when the adapter cannot be loaded, or lacks something of its environment."""
    trial = Trial(spec)
    if trial.platform is not None:
        with suppress(Stopped):
            Check(trial).run()
    return trial.report()
