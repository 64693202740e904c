"""A stranger: tries to give back, and to buy, what somebody else holds. Both are probes, and should get nothing.

Whoever learns the name of a hold must not be able to do with it what only its fan may. No honest fan tries. The owner
asks for the same seats once more, as a fan does whose answer was lost: that must not make the hold last longer.
"""

from __future__ import annotations

from typing import Final

import gevent
from msgspec.structs import replace

from harness.platform import Call, Person, Platform, TriesOthersHolds, Venue
from scenarios.late_payer import hold_least_wanted

_ROUND_S: Final = 2.5
_AGAIN_AFTER_S: Final = 1.0  # by so much a hold that begins anew is longer, and what a fan is told may be off by half


class Stranger:
    """Two sessions that the operator has given a pass."""

    def __init__(self, platform: Platform, person: Person) -> None:
        first, second = (replace(person, actor=f"{person.actor}-{which}") for which in ("owner", "stranger"))
        self._owner = platform.probe_session(replace(first, identity=first.actor))
        self._stranger = platform.probe_session(replace(second, identity=second.actor))

    def go(self, venue: Venue) -> None:
        """Again and again, until killed: a fault may hide what one round shows."""
        owner, stranger = self._owner, self._stranger
        if owner is None or not isinstance(stranger, TriesOthersHolds):
            return
        while True:
            hold = hold_least_wanted(owner, venue, row=1)
            if hold is not None:
                stranger.try_to_release(Call.now(), hold)
                stranger.try_to_buy(Call.now(), hold, key=f"{hold.hold_id[-12:]}-other")
                if hold.ttl_s is not None and hold.ttl_s > 2 * _AGAIN_AFTER_S:
                    gevent.sleep(_AGAIN_AFTER_S)
                    owner.hold(Call.now(), seats=hold.seats)
                owner.release(Call.now(), hold=hold)
            gevent.sleep(_ROUND_S)

    def close(self) -> None:
        """Close the connections."""
        for session in (self._owner, self._stranger):
            if session is not None:
                session.close()
