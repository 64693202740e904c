"""Checks `map_honest`: a seat map shows no held or sold seat as free, unless the map says that it is stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from harness.amounts import amount
from harness.audit.history import NO_RULES, Evidence
from harness.audit.operations import LookValue, Operation
from harness.audit.seats.claims import GrantedHold, Sale, promises, sales
from harness.audit.seats.late import RECOVERY_S
from harness.audit.seats.shown import ShownSeats, States, layout_seats
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, during
from harness.record.schema import PROBE_ACTOR
from harness.record.seat_states import FREE, HELD, SOLD

STALE_RATIO_MAX: Final = 0.1
"""Of the maps that are looked at in undisturbed times so many, and one more, may be marked stale."""
_SOON_S: Final = 1.0  # a fault may have an effect before its canary sees it
_TAKEN: Final = (ord(HELD), ord(SOLD))
_KNOWN: Final = (ord(FREE), *_TAKEN)
_NEVER_S: Final = float("-inf")


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A seat that is surely not free from `t_from_s` to `t_until_s`: by then a fan had been told so."""

    seat: str
    t_from_s: float
    t_until_s: float
    why: GrantedHold | Sale

    def moment(self) -> Moment:
        """It as a step of a history."""
        if isinstance(self.why, Sale):
            return during(self.why.told, self.why.words)
        return during(self.why.hold, self.why.granted(self.seat))


def map_honest(evidence: Evidence) -> Tally:
    """A seat that was acked as held or sold longer ago than the stated bound is not shown free on a map that is fresh.

    A map that was asked for at a, answered at b, and may be m old shows a moment in [a − m, b]: a seat that was surely
    taken all that time must not be free on it. A hold is surely there from its ack until its fan may have lost it (see
    `no_early_expiry`), a sale from when it was told. Each seat that is surely taken at a look is a chance.

    A seat that nobody asked for in the whole run, and that is free at rest, is not shown taken. Where a map does not
    show how surely taken seats stand, nothing is decided.

    A map that says that it is stale is no lie, and no proof either. Where more than a few were marked so though no
    fault was in force, nor had been for `RECOVERY_S`, nothing is decided.
    """
    tally = Tally(evidence, chances=0)
    rules = evidence.rules
    if rules is None:
        tally.hidden = NO_RULES
        return tally
    taken = sorted(_taken(evidence), key=lambda one: one.t_from_s)
    seats = sorted({one.seat for one in taken})
    shown = ShownSeats(evidence.looks, seats)
    sweep = _Sweep(tally, taken, seats, rules.map_late_max_s + evidence.clock_margin_s)
    untouched = _Untouched(evidence, tally)
    quiet = stale = 0
    for look in evidence.looks:
        of_fan = look.ok and not look.actor.startswith(PROBE_ACTOR)
        if of_fan and not evidence.faults_between(look.t_invoke_s - RECOVERY_S, look.t_end_s + _SOON_S):
            quiet, stale = quiet + 1, stale + look.value.stale
        states = shown.at(look)
        if states is not None:
            tally.checked += 1
            sweep.look(look, states)
            untouched.look(look)
    if not tally.checked:
        tally.note = "no look at a fresh seat map is in the record with its seats"
    else:
        tally.note = f"a fresh map may be {rules.map_late_max_s:g} s old ({rules.where}.map_late_max_s)"
    if sweep.unshown:
        tally.undecided = True
        tally.note = f"{sweep.unshown} maps did not show how seats stand that were surely taken"
    if stale > STALE_RATIO_MAX * quiet + 1 or (stale and not tally.chances):
        tally.undecided = True
        tally.note = f"{stale} of {quiet} seat maps were marked stale though no fault was in force"
    return tally


def _taken(evidence: Evidence) -> Iterator[Taken]:
    margin_s = evidence.clock_margin_s
    for promise in promises(evidence):
        if promise.told_in_time:
            for seat in promise.hold.value.seats:
                yield Taken(seat, promise.hold.t_end_s, promise.t_until_s - margin_s, promise)
    for sale in sales(evidence):
        for seat in sale.seats:
            yield Taken(seat, sale.told.t_end_s, float("inf"), sale)


class _Sweep:
    """Walks the looks by time, and knows at each which seats are surely taken, and by whom."""

    def __init__(self, tally: Tally, taken: list[Taken], seats: list[str], late_max_s: float) -> None:
        self._tally = tally
        self._taken = taken
        self._seats = seats
        self._late_max_s = late_max_s
        self._number = {seat: at for at, seat in enumerate(seats)}
        self._next = 0
        self._until_s = np.full(len(seats), _NEVER_S)
        self._by: dict[int, Taken] = {}
        self._told: set[tuple[str, float]] = set()
        self.unshown = 0

    def look(self, look: Operation[LookValue], states: States) -> None:
        """The next look, and how it showed each of the seats."""
        self._advance(look.t_invoke_s - self._late_max_s)
        surely = self._until_s > look.t_end_s
        known = np.isin(states[surely], _KNOWN)
        self.unshown += not np.all(known)
        self._tally.chances = (self._tally.chances or 0) + int(np.count_nonzero(known))
        for at in np.flatnonzero(surely & (states == ord(FREE))).tolist():
            self._report(look, self._by[at])

    def _advance(self, t_s: float) -> None:
        """Take in what was told until then."""
        while self._next < len(self._taken) and self._taken[self._next].t_from_s <= t_s:
            one = self._taken[self._next]
            at = self._number[one.seat]
            if one.t_until_s > self._until_s[at]:
                self._until_s[at], self._by[at] = one.t_until_s, one
            self._next += 1

    def _report(self, look: Operation[LookValue], one: Taken) -> None:
        """Each seat that somebody has is told of once, however many maps show it free."""
        if (one.seat, one.t_from_s) in self._told:
            return
        self._told.add((one.seat, one.t_from_s))
        what = "sold" if isinstance(one.why, Sale) else "held"
        late_s = look.t_invoke_s - one.t_from_s
        summary = f"seat {one.seat} was shown free to {look.actor}, {amount(late_s, 's')} after it was {what}"
        seen = during(look, f"{look.actor} asked for the seat map at {look.t_invoke_s:.3f} s: {one.seat} is free")
        self._tally.violated(summary, one.moment(), seen)


class _Untouched:
    """Seats that nobody asked for in the whole run, and that are free at rest: no map shows them taken."""

    def __init__(self, evidence: Evidence, tally: Tally) -> None:
        asked = {seat for hold in evidence.takings for seat in (*hold.value.seats, *(hold.value.asked or ()))}
        asked |= {seat for order in evidence.orders.values() for seat in order.seats}
        free = {seat for seat, state in evidence.seats if state == "free"}
        self._seats = sorted(free & layout_seats(evidence.looks) - asked)
        self._shown = ShownSeats(evidence.looks, self._seats)
        self._until_s = evidence.duration_s
        self._tally = tally
        self._told: set[int] = set()
        self._seen: set[str | None] = set()

    def look(self, look: Operation[LookValue]) -> None:
        """The next look; many see one map."""
        if look.value.map in self._seen or look.t_end_s > self._until_s:
            return
        self._seen.add(look.value.map)
        states = self._shown.at(look)
        if states is None:
            return
        for at in np.flatnonzero(np.isin(states, _TAKEN)).tolist():
            if at not in self._told:
                self._told.add(at)
                seen = during(look, f"{look.actor} asked for the seat map at {look.t_invoke_s:.3f} s: it is taken")
                summary = f"seat {self._seats[at]} was shown taken to {look.actor}, and nobody ever asked for it"
                self._tally.violated(summary, seen)


MAP_HONEST: Final = specified("map_honest", map_honest)
