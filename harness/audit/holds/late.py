"""Checks `no_late_expiry`: while the sale goes on, the seats of an unpaid hold come back within the stated bound."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from harness.amounts import amount
from harness.audit.history import NO_RULES, Evidence
from harness.audit.holds.expiry import lived_to_their_end
from harness.audit.holds.freed import Freed, freed_seats
from harness.audit.operations import LookValue, Operation, SeatsValue
from harness.audit.seats.claims import EXPIRED, promises
from harness.audit.seats.shown import ShownSeats
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, during
from harness.record.schema import WITHHELD
from harness.record.seat_states import HELD, SOLD
from harness.record.standstills import Standstill, standstills

RECOVERY_S: Final = 5.0
"""After a fault has healed a platform may need so long, until its breakers are closed, to end holds that were due."""
_BESIDE: Final = ("payments", "feed", "postgres", "postgres-replica")
"""Components whose faults do not keep the reference system from ending holds: the store of the holds is up."""
_NOTICED_WITHIN_S: Final = 2.0
"""A dead process is looked for once a second."""
_OPEN_S: Final = float("inf")
_NEVER_S: Final = float("-inf")
_CONFLICT: Final = "conflict"
REFUSED: Final = (_CONFLICT, "limit", WITHHELD)
"""A hold, or a purchase where choosing keeps nothing, that ended so surely took nothing."""
_UNDONE: Final = ("declined", EXPIRED)  # a purchase that ended so kept its seats no longer


class SeatClaim(msgspec.Struct, frozen=True, gc=False):
    """Somebody may have a seat from `t_from_s` until `t_until_s`; without end where nobody knows what became of it.

    `t_over_s`: when the time of its hold is over, or the fan has given it back; null: it has no end.
    """

    seat: str
    t_from_s: float
    t_until_s: float
    hold: Operation[SeatsValue] | None = None
    t_over_s: float | None = None


def first_claimed_s(claims: Iterable[SeatClaim]) -> dict[str, float]:
    """Seat → when somebody may first have had it, of those that anybody may have had."""
    first_s: dict[str, float] = {}
    for claim in claims:
        first_s[claim.seat] = min(claim.t_from_s, first_s.get(claim.seat, _OPEN_S))
    return first_s


class Sighting(msgspec.Struct, frozen=True):
    """At some time in [t_from_s, t_to_s] somebody saw that a seat was held. A conflict names `seats`, one of which was;
    a look is kept as it is; of a change of the feed `seats` is the one seat that only then became free."""

    t_from_s: float
    t_to_s: float
    seats: tuple[str, ...] = ()
    look: Operation[LookValue] | None = None
    moment: Moment | None = None


def no_late_expiry(evidence: Evidence) -> Tally:
    """While the run goes on, no seat is seen taken when every hold of it was over by more than the stated bound.

    Seen: a conflict over seats none of which anybody could have, a fresh map that shows it held, or sold where it is
    free at rest, a change of the feed that frees it (by the platform's own clock, corrected by the smallest delay).

    A hold may be there until its ack + TTL + bound, or until the answer to its release + bound unless a fault may have
    lost that. It has no known end if its fan tried to pay and was neither declined nor told that it is gone, for then
    it may be kept for the payment. A hold that was due while a fault was in force may live until the fault had healed,
    and `RECOVERY_S`, and the bound. Time in which the load generator stood still, which shares the machine of the
    reference system, does not count. Holds and payments of unknown outcome have no end either.
    """
    tally = Tally(evidence, unknowns=evidence.holds.unknowns, chances=0)
    rules = evidence.rules
    if rules is None:
        tally.hidden = NO_RULES
        return tally
    claims = sorted(_claims(evidence, rules.hold_late_max_s, _given_back_s(evidence)), key=lambda claim: claim.t_from_s)
    seats = sorted({claim.seat for claim in claims})
    shown = ShownSeats(evidence.looks, seats)
    freed = freed_seats(evidence, frozenset(seats))
    sightings = [
        *_conflicts(evidence),
        *_looks(evidence, shown, rules.map_late_max_s),
        *(Sighting(one.t_s, one.t_s, (one.seat,), moment=one.moment()) for one in freed),
    ]
    within = (one for one in sightings if one.t_to_s <= evidence.duration_s)
    sweep = _Sweep(tally, claims, seats, shown)
    for sighting in sorted(within, key=lambda one: one.t_to_s):
        tally.checked += 1
        sweep.see(sighting)
    tally.chances = _chances(evidence, claims, sightings, freed)
    if not tally.checked:
        tally.note = "nobody looked at the seats while the sale went on"
    else:
        tally.note = f"a hold may outlive its time by {rules.hold_late_max_s:g} s ({rules.where}.hold_late_max_s)"
    return tally


def claims_on_seats(evidence: Evidence, late_max_s: float) -> list[SeatClaim]:
    """What may keep each seat from others, by when it begins: holds, or purchases where choosing keeps nothing, and
    orders that no fan paid for."""
    return sorted(_claims(evidence, late_max_s, {}), key=lambda claim: claim.t_from_s)


def _given_back_s(evidence: Evidence) -> dict[str, float]:
    """Hold id → when its fan was first told that it is given back."""
    found: dict[str, float] = {}
    for release in evidence.releases.ok:
        found.setdefault(release.key, release.t_end_s)
    return found


def _claims(evidence: Evidence, late_max_s: float, given_back_s: Mapping[str, float]) -> Iterator[SeatClaim]:
    """`given_back_s`: hold id → when it was given back; of others it is not looked at."""
    beside = _BESIDE if evidence.on_sale is not None else ()
    due = _Due(evidence, late_max_s, beside, _standstills(evidence))
    over_s = {
        hold.key: _over_s(evidence, hold.t_end_s + hold.value.ttl_s, given_back_s.get(hold.key, _OPEN_S), late_max_s)
        for hold in map(evidence.timed, evidence.holds.ok)
        if hold.value.ttl_s is not None
    }
    due_s = {hold_id: due.by(t_s) for hold_id, t_s in over_s.items()}
    kept_until_s = _kept_for_payments(evidence, late_max_s, due_s)
    for hold in map(evidence.timed, evidence.holds):
        if hold.error in REFUSED:
            continue
        until_s, ends_s = _OPEN_S, None
        if hold.ok and hold.value.ttl_s is not None:
            until_s, ends_s = max(due_s[hold.key], kept_until_s.get(hold.key, _NEVER_S)), over_s[hold.key]
        for seat in hold.value.seats:
            yield SeatClaim(seat, hold.t_invoke_s, until_s, hold, ends_s)
    for buy in evidence.takings if evidence.keeps_nothing else ():
        until_s = buy.t_end_s + late_max_s if buy.error in _UNDONE else _OPEN_S
        for seat in buy.value.seats if buy.error not in REFUSED else ():
            yield SeatClaim(seat, buy.t_invoke_s, until_s, buy)
    keys = set(evidence.pays.keys.to_pylist())
    for order in evidence.orders.values():
        if order.idempotency_key not in keys:
            for seat in order.seats:
                yield SeatClaim(seat, _NEVER_S, _OPEN_S)


def _over_s(evidence: Evidence, runs_out_s: float, given_back_s: float, late_max_s: float) -> float:
    """When a hold is over: when it runs out, or sooner when it was given back and no fault may have lost that."""
    if given_back_s >= runs_out_s or evidence.unrest:
        return runs_out_s
    lost = evidence.faults_between(given_back_s - RECOVERY_S, runs_out_s + late_max_s)
    return runs_out_s if lost else given_back_s


def _kept_for_payments(evidence: Evidence, late_max_s: float, due_s: dict[str, float]) -> dict[str, float]:
    """Hold id → until when it may be kept because its fan tried to pay, by when it was due: then nothing was left to
    keep. A payment that was taken in all the same, or may have been, counts whenever it began."""
    kept: dict[str, float] = {}
    for pay in evidence.pays:
        refused = not (pay.ok or pay.unknown)
        if refused and pay.t_invoke_s > due_s.get(pay.value.hold_id, _OPEN_S) + evidence.clock_margin_s:
            continue
        over = pay.error in ("declined", EXPIRED)
        until_s = pay.t_end_s + late_max_s if over else _OPEN_S
        kept[pay.value.hold_id] = max(until_s, kept.get(pay.value.hold_id, _NEVER_S))
    return kept


class _Due:
    """When a hold must have ended at the latest: after its time and the bound, but not while a fault keeps it. Time in
    which the machine stood still does not count. Once a part has died on its own nobody may be left who ends holds."""

    def __init__(
        self, evidence: Evidence, late_max_s: float, beside: Collection[str], still: Sequence[Standstill]
    ) -> None:
        self._late_max_s = late_max_s
        self._windows = sorted(
            (start_s, end_s + RECOVERY_S)
            for fault in evidence.record.faults.faults
            if fault.component not in beside
            for start_s, end_s in [fault.may_be_in_force_s]
        )
        self._still = still
        died_s = (one.t_s or 0.0 for one in evidence.run.anomalies if one.is_death)
        self._whole_until_s = min(died_s, default=_OPEN_S) - _NOTICED_WITHIN_S

    def by(self, over_s: float) -> float:
        """The instant for a hold whose time is over then."""
        for start_s, end_s in self._windows:
            if start_s <= over_s + self._late_max_s and over_s < end_s:
                over_s = end_s
        due_s = over_s + self._late_max_s
        for one in self._still:
            if one.t_from_s <= due_s and over_s < one.t_to_s:
                due_s += one.length_s
        return due_s if due_s < self._whole_until_s else _OPEN_S


def _standstills(evidence: Evidence) -> list[Standstill]:
    """When the load generator stood still: the platform that we raised shares its machine, and may have stood too."""
    if evidence.own_platform is not None or not evidence.record.has("generator"):
        return []
    return standstills(evidence.record.table("generator"))


def _conflicts(evidence: Evidence) -> Iterator[Sighting]:
    for hold in evidence.holds.failed_with(_CONFLICT):
        if not hold.value.seats:
            continue
        asked = f"{hold.actor} asked for {', '.join(hold.value.seats)} at {hold.t_invoke_s:.3f} s and was refused"
        yield Sighting(hold.t_invoke_s, hold.t_end_s, hold.value.seats, moment=during(hold, asked))


def _looks(evidence: Evidence, shown: ShownSeats, map_late_max_s: float) -> Iterator[Sighting]:
    for look in evidence.looks:
        if shown.shows(look):
            yield Sighting(look.t_invoke_s - map_late_max_s, look.t_end_s, look=look)


class _Sweep:
    """Walks the sightings by time, and knows of each seat until when anybody may have it."""

    def __init__(self, tally: Tally, claims: list[SeatClaim], seats: list[str], shown: ShownSeats) -> None:
        self._tally = tally
        self._margin_s = tally.evidence.clock_margin_s
        self._claims = claims
        self._seats = seats
        self._shown = shown
        self._number = {seat: at for at, seat in enumerate(seats)}
        self._next = 0
        self._until_s = np.full(len(seats), _NEVER_S)
        self._last: dict[int, SeatClaim] = {}
        resting = tally.evidence.seat_states
        self._is_unsold = np.array([resting.get(seat) == "free" for seat in seats], dtype=np.bool_)
        self._told: set[int] = set()

    def see(self, sighting: Sighting) -> None:
        """The next sighting."""
        self._advance(sighting.t_to_s + self._margin_s)
        since_s = sighting.t_from_s - self._margin_s
        if sighting.look is not None:
            self._see_map(sighting.look, since_s)
            return
        places = [self._number.get(seat) for seat in sighting.seats]
        if all(at is None or self._until_s[at] < since_s for at in places):
            late = [at for at in places if at is not None and self._until_s[at] > _NEVER_S]
            if late and sighting.moment is not None:
                self._report(late[0], sighting.t_from_s, sighting.moment)

    def _see_map(self, look: Operation[LookValue], since_s: float) -> None:
        states = self._shown.at(look)
        if states is None:
            return
        taken = (states == ord(HELD)) | ((states == ord(SOLD)) & self._is_unsold)
        late = taken & (self._until_s < since_s) & (self._until_s > _NEVER_S)
        for at in np.flatnonzero(late).tolist():
            how = "held" if states[at] == ord(HELD) else "sold"
            text = f"{look.actor} asked for the seat map at {look.t_invoke_s:.3f} s: {self._seats[at]} is {how}"
            self._report(at, look.t_invoke_s, during(look, text))

    def _advance(self, t_s: float) -> None:
        while self._next < len(self._claims) and self._claims[self._next].t_from_s <= t_s:
            claim = self._claims[self._next]
            at = self._number[claim.seat]
            if claim.t_until_s > self._until_s[at]:
                self._until_s[at], self._last[at] = claim.t_until_s, claim
                self._told.discard(at)
            self._next += 1

    def _report(self, at: int, seen_s: float, moment: Moment) -> None:
        """Each hold that outlived its time is told of once."""
        claim, seat = self._last[at], self._seats[at]
        hold, over_s = claim.hold, claim.t_over_s
        if at in self._told or hold is None or over_s is None:
            return
        self._told.add(at)
        granted = f"{hold.actor} was granted {seat} for {hold.value.ttl_s:g} s, told at {hold.t_end_s:.3f} s"
        back = self._given_back(hold, over_s)
        how = "was given back" if back else "was over"
        summary = f"seat {seat} was still held {amount(seen_s - over_s, 's')} after {hold.actor}'s hold {how}"
        self._tally.violated(summary, during(hold, granted), *back, moment)

    def _given_back(self, hold: Operation[SeatsValue], t_s: float) -> list[Moment]:
        return [
            during(release, f"{release.actor} gave back {release.value.words}")
            for release in self._tally.evidence.releases.of_keys([hold.key])
            if release.ok and release.t_end_s == t_s
        ]


def _chances(evidence: Evidence, claims: list[SeatClaim], sightings: list[Sighting], freed: list[Freed]) -> int:
    """Unpaid holds that lived to their end, of which somebody could have seen that they were late."""
    until_s = {claim.hold.key: claim.t_until_s for claim in claims if claim.hold is not None and claim.hold.ok}
    open_from_s: dict[str, float] = {}
    for claim in claims:
        if claim.t_until_s == _OPEN_S:
            open_from_s.setdefault(claim.seat, claim.t_from_s)
    looked_s = max((one.t_from_s for one in sightings if one.look is not None), default=_NEVER_S)
    asked_s: dict[str, float] = {}
    for hold in evidence.holds:
        if hold.ok or hold.error == _CONFLICT:
            asked_s |= dict.fromkeys(hold.value.seats, hold.t_invoke_s)
    freed_s = {one.seat: one.t_s for one in sorted(freed, key=lambda one: one.t_s)}
    return sum(
        any(
            open_from_s.get(seat, _OPEN_S) > late_s
            and (max(looked_s, asked_s[seat]) > late_s or freed_s.get(seat, _NEVER_S) > promise.hold.t_end_s)
            for seat in promise.hold.value.seats
        )
        for promise in lived_to_their_end(evidence, promises(evidence))
        if (late_s := until_s.get(promise.hold.key, _OPEN_S)) <= evidence.duration_s  # none of tickets without seats
    )


NO_LATE_EXPIRY: Final = specified("no_late_expiry", no_late_expiry)
