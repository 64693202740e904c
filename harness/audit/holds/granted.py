"""Checks `granted_as_asked`: a hold is granted for the seats that were asked for, and for the time that is declared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from harness.amounts import amount
from harness.audit.history import Evidence
from harness.audit.holds.late import REFUSED
from harness.audit.operations import Operation, SeatsValue
from harness.audit.spec import specified
from harness.audit.tally import Tally, during
from harness.record.schema import FaultRun

TOLD_OFF_MAX_S: Final = 0.5
"""A fan may be told of so much less or more than the declared time to live: answers are rounded, and clocks differ."""


def granted_as_asked(evidence: Evidence) -> Tally:
    """A granted hold has the seats that its fan asked for, no more, no fewer and no others, for the declared time.

    Its id is no other fan's: with the id a hold is paid for or given back. A fan who asks for the same seats again may
    be told of the same hold again, which ends when it was to end.

    The time to live is declared for the reference booking system only (`on_sale.hold_ttl_s`). A fan whose first answer
    was lost, and who asks for the same seats again, is told what is left: their time runs from the first request on.
    A hold that is promised for less is a broken rule of the sale even where the platform keeps that promise, which is
    for `no_early_expiry` to judge.
    """
    tally = Tally(evidence, unknowns=evidence.holds.unknowns)
    declared_s = evidence.on_sale.hold_ttl_s if evidence.on_sale else None
    attempts = _Attempts(declared_s or 0.0, evidence.record.faults.faults)
    unsaid = 0
    holders: dict[str, Operation[SeatsValue]] = {}
    for hold in evidence.holds:
        first_s = attempts.first_s(hold)
        if not hold.ok:
            continue
        asked = hold.value.asked
        if hold.value.pool:
            pass  # tickets without seats: `bought_as_told` compares how many
        elif asked is None:
            unsaid += 1
        else:
            tally.checked += 1
            if sorted(asked) != sorted(hold.value.seats):
                _report_seats(hold, asked, tally)
        told_s = hold.value.ttl_s
        if declared_s is not None and told_s is not None:
            short_s = declared_s - (hold.t_end_s + told_s - first_s)
            if max(short_s, told_s - declared_s) > TOLD_OFF_MAX_S:
                _report_time(hold, told_s, declared_s, tally)
        if hold.key:
            _same_hold(holders.setdefault(hold.key, hold), hold, tally)
    if unsaid and not tally.checked:
        tally.hidden = "the adapter does not say which seats were asked for"
    elif unsaid:
        tally.undecided, tally.note = True, f"of {unsaid} granted holds nobody knows which seats were asked for"
    elif not tally.checked:
        tally.note = "no hold was granted"
    return tally


class _Attempts:
    """Since when each fan may have had the seats that they ask for."""

    def __init__(self, ttl_s: float, faults: Iterable[FaultRun]) -> None:
        self._ttl_s = ttl_s
        self._faults = [fault.may_be_in_force_s for fault in faults]
        self._asked: dict[tuple[str, frozenset[str]], _Asked] = {}

    def first_s(self, hold: Operation[SeatsValue]) -> float:
        """When the fan of this hold first asked for its seats, so that a hold of then may still be there."""
        key = (hold.actor, frozenset(hold.value.seats))
        earlier = self._asked.get(key)
        first_s = hold.t_invoke_s
        if earlier is not None and hold.t_invoke_s <= earlier.begins_by_s + self._ttl_s:
            first_s = earlier.first_s
        if hold.error not in REFUSED:
            begins_by_s = max(self._begins_by_s(hold), earlier.begins_by_s if earlier else 0.0)
            self._asked[key] = _Asked(first_s, begins_by_s)
        return first_s

    def _begins_by_s(self, hold: Operation[SeatsValue]) -> float:
        """When a hold that was asked for has begun at the latest: what was on its way in a fault may come after it."""
        met = [end_s for start_s, end_s in self._faults if start_s <= hold.t_end_s and hold.t_invoke_s <= end_s]
        return max([hold.t_end_s, *(end_s + TOLD_OFF_MAX_S for end_s in met)])


class _Asked(NamedTuple):
    """Since when a fan asks for some seats, and until when a hold of these requests may have begun."""

    first_s: float
    begins_by_s: float


def _report_seats(hold: Operation[SeatsValue], asked: tuple[str, ...], tally: Tally) -> None:
    wanted, given = ", ".join(asked), ", ".join(hold.value.seats) or "nothing"
    granted = during(hold, f"{hold.actor} asked for {wanted} and was granted {given}")
    tally.violated(f"{hold.actor} asked for {wanted} and was granted {given}", granted)


def _report_time(hold: Operation[SeatsValue], told_s: float, declared_s: float, tally: Tally) -> None:
    seats = ", ".join(hold.value.seats)
    granted = during(hold, f"{hold.actor} was granted {seats} for {told_s:g} s, asked at {hold.t_invoke_s:.3f} s")
    summary = f"{hold.actor} was granted {seats} for {told_s:g} s, where the on-sale declares {declared_s:g} s"
    tally.violated(summary, granted)


def _same_hold(first: Operation[SeatsValue], hold: Operation[SeatsValue], tally: Tally) -> None:
    """Compares a grant with the first of its id."""
    if first.actor != hold.actor:
        _report_id(first, hold, tally)
    elif tally.evidence.on_sale is not None and _longer_s(first, hold) > TOLD_OFF_MAX_S:
        _report_longer(first, hold, tally)


def _longer_s(first: Operation[SeatsValue], again: Operation[SeatsValue]) -> float:
    """By how much more than it may have been promised until at first one hold is promised until later."""
    if first.value.ttl_s is None or again.value.ttl_s is None:
        return 0.0
    return (again.t_invoke_s + again.value.ttl_s) - (first.t_end_s + first.value.ttl_s)


def _report_longer(first: Operation[SeatsValue], again: Operation[SeatsValue], tally: Tally) -> None:
    seats = ", ".join(again.value.seats)
    granted = (during(one, f"{one.actor} was granted {seats} for {one.value.ttl_s:g} s") for one in (first, again))
    longer = amount(_longer_s(first, again), "s")
    tally.violated(f"{again.actor} asked for {seats} again, and the hold was made {longer} longer", *granted)


def _report_id(holder: Operation[SeatsValue], hold: Operation[SeatsValue], tally: Tally) -> None:
    granted = (during(one, f"{one.actor} was granted {', '.join(one.value.seats)}") for one in (holder, hold))
    tally.violated(f"{holder.actor} and {hold.actor} were given one hold, {hold.key}", *granted)


GRANTED_AS_ASKED: Final = specified("granted_as_asked", granted_as_asked)
