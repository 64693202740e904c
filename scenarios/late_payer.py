"""A late payer: pays for a hold that is over, while somebody else has its seat. Both are probes, and buy nothing.

A platform that takes such a payment in sells the next fan's seat, or charges for nothing. Fans hardly ever come so
late: without this it would be left to chance whether a run shows it.
"""

from __future__ import annotations

from typing import Final

import gevent
from msgspec.structs import replace

from harness.platform import Call, FanSession, Hold, Person, Platform, Venue
from scenarios.seat_choice import least_wanted

TTL_MAX_S: Final = 30.0
"""A run that shows the end of a longer hold is no rehearsal of this one."""
LATE_S: Final = 1.3  # after its time is over, a hold may live for as long as the platform says, usually 1 s
_ROUNDS: Final = 2
_TRIES: Final = 3
_PAUSE_S: Final = 0.5


class LatePayer:
    """Two sessions that the operator has given a pass."""

    def __init__(self, platform: Platform, person: Person) -> None:
        first, second = (replace(person, actor=f"{person.actor}-{which}") for which in ("late", "next"))
        self._late = platform.probe_session(replace(first, identity=first.actor))
        self._next = platform.probe_session(replace(second, identity=second.actor))

    def go(self, venue: Venue) -> None:
        """What the platform answers goes into the history. Gives up where a seat cannot be had.

        Once; again where the payment was neither refused nor done, for the sale may come after the seat is given back.
        """
        if self._late is None or self._next is None:
            return
        self._late.venue(Call.now())  # which has the prices
        for _ in range(_ROUNDS):
            if not self._is_left_open(self._late, self._next, venue):
                return

    def _is_left_open(self, late: FanSession, other: FanSession, venue: Venue) -> bool:
        hold = hold_least_wanted(late, venue)
        if hold is None or hold.ttl_s is None or hold.ttl_s > TTL_MAX_S:
            return False
        gevent.sleep(hold.ttl_s + LATE_S)
        taken = other.hold(Call.now(), seats=hold.seats)
        paid = late.pay(Call.now(), hold, key=f"{hold.hold_id[-12:]}-late", declined_on_purpose=False)
        if taken.value is not None:
            gevent.sleep(_PAUSE_S)  # so that the sale, if it was one, surely came before the seat was given back
            other.release(Call.now(), hold=taken.value)
        return paid.value is not None and paid.value.state == "pending"

    def close(self) -> None:
        """Close the connections."""
        for session in (self._late, self._next):
            if session is not None:
                session.close()


def hold_least_wanted(session: FanSession, venue: Venue, count: int = 1, *, row: int = -1) -> Hold | None:
    """So many free seats side by side, of those that are wanted least; null where none can be had in a few tries.

    `row`: which of the section's rows with so many; probes that hold at one time take different ones.
    """
    for _ in range(_TRIES):
        seat_map = session.seat_map(Call.now()).value
        seats = least_wanted(venue, seat_map, count) if seat_map else []
        if seats and (held := session.hold(Call.now(), seats=seats[row % len(seats)]).value) is not None:
            return held
        gevent.sleep(_PAUSE_S)
    return None
