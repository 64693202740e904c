"""Checks `map_honest`: maps and counts show no held or sold seat as free, unless they say that they are stale."""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.amounts import amount
from harness.audit.history import NO_RULES, Evidence
from harness.audit.holds.late import RECOVERY_S
from harness.audit.operations import LookValue, Operation
from harness.audit.seats.claims import Sale
from harness.audit.seats.counts import check_counts
from harness.audit.seats.shown import ShownSeats, States, layout_seats
from harness.audit.seats.taken import Taken, TakenSeats, surely_taken
from harness.audit.spec import specified
from harness.audit.tally import Tally, during
from harness.record.schema import PROBE_ACTOR
from harness.record.seat_states import FREE, HELD, SOLD

STALE_RATIO_MAX: Final = 0.1
"""Of the maps that are looked at in undisturbed times so many, and one more, may be marked stale."""
_SOON_S: Final = 1.0  # a fault may have an effect before its canary sees it
_TAKEN: Final = (ord(HELD), ord(SOLD))
_KNOWN: Final = (ord(FREE), *_TAKEN)


def map_honest(evidence: Evidence) -> Tally:
    """A seat that was acked as held or sold longer ago than the stated bound is not shown free on a map that is fresh.

    A map that was asked for at a, answered at b, and may be m old shows a moment in [a − m, b]: a seat that was surely
    taken all that time must not be free on it. A hold is surely there from its ack until its fan may have lost it (see
    `no_early_expiry`), a sale from when it was told. Each seat that is surely taken at a look is a chance.

    A seat that nobody asked for in the whole run, and that is free at rest, is not shown taken. Where a map does not
    show how surely taken seats stand, nothing is decided.

    The free seats of each section, where a platform tells them, are judged as well, see `harness.audit.seats.counts`.

    A map that says that it is stale is no lie, and no proof either. Where more than a few were marked so though no
    fault was in force, nor had been for `RECOVERY_S`, nothing is decided.
    """
    tally = Tally(evidence, chances=0)
    rules = evidence.rules
    if rules is None:
        tally.hidden = NO_RULES
        return tally
    taken = surely_taken(evidence)
    seats = sorted({one.seat for one in taken})
    shown = ShownSeats(evidence.looks, seats)
    late_max_s = rules.map_late_max_s + evidence.clock_margin_s
    sweep = _Sweep(tally, TakenSeats(taken, seats), late_max_s)
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
    check_counts(evidence, tally, TakenSeats(taken, seats), rules.map_late_max_s)
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


class _Sweep:
    """Walks the looks by time, and compares each with the seats that are surely taken."""

    def __init__(self, tally: Tally, taken: TakenSeats, late_max_s: float) -> None:
        self._tally = tally
        self._taken = taken
        self._late_max_s = late_max_s
        self._told: set[tuple[str, float]] = set()
        self.unshown = 0

    def look(self, look: Operation[LookValue], states: States) -> None:
        """The next look, and how it showed each of the seats."""
        surely = self._taken.between(look.t_invoke_s - self._late_max_s, look.t_end_s)
        known = np.isin(states[surely], _KNOWN)
        self.unshown += not np.all(known)
        self._tally.chances = (self._tally.chances or 0) + int(np.count_nonzero(known))
        for at in np.flatnonzero(surely & (states == ord(FREE))).tolist():
            self._report(look, self._taken.by(at))

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
        asked = {seat for field in ("seats", "asked") for seat in evidence.takings.names_in(field).to_pylist()}
        asked |= {seat for order in evidence.orders.values() for seat in order.seats}
        free = {seat for seat, state in evidence.seats if state == "free"}
        self._seats = sorted(free & layout_seats(evidence.looks) - asked)
        self._shown = ShownSeats(evidence.looks, self._seats)
        self._from_s = evidence.held_before_until_s + (evidence.rules.map_late_max_s if evidence.rules else 0.0)
        self._until_s = evidence.duration_s
        self._tally = tally
        self._told: set[int] = set()
        self._seen: set[str | None] = set()

    def look(self, look: Operation[LookValue]) -> None:
        """The next look; many see one map."""
        if look.value.map in self._seen or not self._from_s < look.t_invoke_s <= look.t_end_s <= self._until_s:
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
