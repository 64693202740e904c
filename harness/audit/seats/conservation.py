"""Checks `seat_conservation` and `no_leaked_hold` at rest: every seat exists once, and no hold outlives its time."""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness.audit.history import Evidence
from harness.audit.operations import LookValue, Operation, SeatsValue
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, at_rest, during
from harness.errors import InputError
from harness.record.seat_states import unpack_names

_NO_MAP = "the seat map could not be read at rest"


def seat_conservation(evidence: Evidence) -> Tally:
    """Sold + held + free = capacity: every seat of the venue exactly once, and sold as confirmed orders say.

    The capacity is the one that the platform publishes; every seat that a fan held or bought must be in the map too.
    """
    tally = Tally(evidence)
    if not evidence.seats:
        tally.note = _NO_MAP
        return tally
    tally.checked = len(evidence.seats)
    tally.chances = len(_changed_hands(evidence))
    for seat, times in Counter(seat for seat, _ in evidence.seats).items():
        if times > 1:
            tally.violated(f"seat {seat} is in the map {times} times", at_rest("seat map", f"seat {seat} × {times}"))
    _count(evidence, tally)
    _vanished(evidence, tally)
    _not_as_shown(evidence, tally)
    _sold_as_ordered(evidence, tally)
    return tally


def no_leaked_hold(evidence: Evidence) -> Tally:
    """At rest no seat is held, and every unsold seat that was swept could be held again.

    A sweep that was refused for another reason than a conflict says nothing about holds: it is counted as unknown, and
    where that is all of them, nothing is decided.
    """
    tally = Tally(evidence)
    if not evidence.seats:
        tally.note = _NO_MAP
        return tally
    tally.checked = len(evidence.seats) + len(evidence.sweeps)
    tally.chances = _unpaid_and_seen(evidence)
    leaks: dict[str, list[Moment]] = {}
    for seat, state in evidence.seat_states.items():
        if state == "held":
            leaks.setdefault(seat, []).append(at_rest("seat map", f"seat {seat} is still held"))
    for sweep in evidence.sweeps:
        if sweep.ok or evidence.seat_states.get(sweep.key) == "sold":
            continue
        if sweep.unknown or sweep.error not in ("conflict", ""):
            tally.unknowns += 1
        else:
            leaks.setdefault(sweep.key, []).append(during(sweep, f"seat {sweep.key} could not be held, though unsold"))
    last = _last_holds(evidence, leaks)
    for seat, moments in leaks.items():
        hold = last.get(seat)
        held = [during(hold, f"{hold.actor} held seat {seat} (hold {hold.key or 'unknown'})")] if hold else []
        tally.violated(f"seat {seat} stays held though nobody bought it", *held, *moments)
    if not evidence.sweeps:
        tally.note = "judged by the seat map alone: no seat was swept"
    elif tally.unknowns == len(evidence.sweeps):
        tally.undecided = True
        tally.note = "no seat could be swept: every try was refused for another reason than a conflict"
    return tally


def _changed_hands(evidence: Evidence) -> set[str]:
    """Seats of the map that were held during the sale or are sold."""
    held = set(evidence.takings.ok.names_in("seats").to_pylist())
    return {seat for seat, state in evidence.seat_states.items() if seat in held or state == "sold"}


def _unpaid_and_seen(evidence: Evidence) -> int:
    """Holds that were granted, and of whose seats one was looked at: unsold at rest and swept (or, where nobody swept,
    shown by the map), or sold to another fan, who could not have had it before the hold was over."""
    looked_at = {sweep.key for sweep in evidence.sweeps if sweep.ok or sweep.error == "conflict"}
    if not evidence.sweeps:
        looked_at = set(evidence.seat_states)
    unsold = {seat for seat in looked_at if evidence.seat_states.get(seat) != "sold"}
    buyers = {
        seat: order.fan for order in evidence.orders.values() if order.state == "confirmed" for seat in order.seats
    }

    def was_seen(hold: Operation[SeatsValue]) -> bool:
        return any(seat in unsold or buyers.get(seat, hold.actor) != hold.actor for seat in hold.value.seats)

    return sum(map(was_seen, evidence.holds.ok))


def _count(evidence: Evidence, tally: Tally) -> None:
    facts = evidence.run.seat_map_at_rest
    if facts is None or facts.capacity is None:
        tally.note = "the platform publishes no capacity: judged by the seats that fans held or bought"
        return
    counts = Counter(evidence.seat_states.values())
    if counts.total() != facts.capacity:
        parts = f"{counts['sold']} sold + {counts['held']} held + {counts['free']} free = {counts.total()}"
        summary = f"the map has {parts} seats, the venue has {facts.capacity}"
        tally.violated(summary, at_rest("seat map", parts), at_rest("venue", f"{facts.capacity} seats"))


def _vanished(evidence: Evidence, tally: Tally) -> None:
    seen: dict[str, Operation[SeatsValue]] = {}
    missing = set(evidence.takings.ok.names_in("seats").to_pylist()) - evidence.seat_states.keys()
    for hold in evidence.takings.ok if missing else ():
        seen |= {seat: hold for seat in hold.value.seats if seat not in evidence.seat_states}
    for seat, hold in seen.items():
        held = during(hold, f"{hold.actor} held seat {seat}")
        tally.violated(f"seat {seat} is missing from the map", held, at_rest("seat map", f"no seat {seat}"))


def _not_as_shown(evidence: Evidence, tally: Tally) -> None:
    """Seats that a map of the sale had and the one at rest has not, whatever capacity the platform publishes."""
    gone: dict[str, Operation[LookValue]] = {}
    for look in evidence.looks.naming("layout"):
        for seat in _names(look.value.layout or "") - evidence.seat_states.keys():
            gone.setdefault(seat, look)
    for seat, look in gone.items():
        seen = during(look, f"{look.actor} was shown seat {seat}")
        tally.violated(f"seat {seat} was on the map and is no longer", seen, at_rest("seat map", f"no seat {seat}"))


def _names(layout: str) -> set[str]:
    try:
        return set(unpack_names(layout))
    except ValueError as error:
        raise InputError(f"a layout: {error}", file="operations", key="value") from error


def _sold_as_ordered(evidence: Evidence, tally: Tally) -> None:
    if not evidence.record.has("final_orders"):
        return
    live = (*evidence.orders.values(), *evidence.baseline_orders.values())
    owned = {seat for order in live if order.state in ("confirmed", "mixed") for seat in order.seats}
    for seat, state in evidence.seat_states.items():
        if state == "sold" and seat not in owned:
            shown = at_rest("seat map", f"seat {seat} is sold")
            nobody = at_rest("order export", f"no confirmed order has seat {seat}")
            tally.violated(f"seat {seat} is sold to nobody", shown, nobody)
    for order in evidence.orders.values():
        unsold = [seat for seat in order.seats if evidence.seat_states.get(seat) in ("free", "held")]
        for seat in unsold if order.state == "confirmed" else ():
            owner = at_rest("order export", f"order {order.order_id} of {order.fan} is confirmed for seat {seat}")
            shown = at_rest("seat map", f"seat {seat} is {evidence.seat_states[seat]}")
            tally.violated(f"seat {seat} is sold, but the map has it {evidence.seat_states[seat]}", owner, shown)


def _last_holds(evidence: Evidence, wanted: dict[str, list[Moment]]) -> dict[str, Operation[SeatsValue]]:
    """The last hold of each wanted seat that succeeded or may have."""
    last: dict[str, Operation[SeatsValue]] = {}
    if wanted:
        for hold in evidence.holds:
            if hold.ok or hold.unknown:
                last |= {seat: hold for seat in hold.value.seats if seat in wanted}
    return last


SEAT_CONSERVATION: Final = specified("seat_conservation", seat_conservation)

NO_LEAKED_HOLD: Final = specified("no_leaked_hold", no_leaked_hold)
