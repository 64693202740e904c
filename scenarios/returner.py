"""A returner: holds as many seats as one may have, gives them back, and asks for as many again. It buys nothing.

What was given back, what ran out, and what was not paid for must not count for the purchase limit. Fans who give
seats back leave: without this nobody would ask again.
"""

from __future__ import annotations

from typing import Final

import gevent

from harness.platform import Call, FanSession, Hold, LimitsPasses, Person, Venue
from scenarios.late_payer import LATE_S, TTL_MAX_S, hold_least_wanted

_PAUSE_S: Final = 0.1
_ROUND_S: Final = 2.0


class Returner:
    """One session with a pass for so many seats."""

    def __init__(self, platform: LimitsPasses, person: Person, limit: int) -> None:
        self._limit = limit
        self._session: FanSession | None = platform.limited_session(person, limit)

    def go(self, venue: Venue) -> None:
        """Again and again, until killed: a fault may hide what one round shows."""
        session = self._session
        if session is None:
            return
        session.venue(Call.now())  # which has the prices
        while True:
            for give_back in (self._release, self._fail_to_pay, self._let_run_out):
                hold = hold_least_wanted(session, venue, self._limit, row=0)
                if hold is not None:
                    give_back(session, hold)
                gevent.sleep(_PAUSE_S)
            gevent.sleep(_ROUND_S)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()

    def _release(self, session: FanSession, hold: Hold) -> None:
        session.release(Call.now(), hold=hold)

    def _fail_to_pay(self, session: FanSession, hold: Hold) -> None:
        session.pay(Call.now(), hold, key=f"{hold.hold_id[-12:]}-back", declined_on_purpose=True)
        session.release(Call.now(), hold=hold)

    def _let_run_out(self, session: FanSession, hold: Hold) -> None:
        if hold.ttl_s is None or hold.ttl_s > TTL_MAX_S:
            session.release(Call.now(), hold=hold)
        else:
            gevent.sleep(hold.ttl_s + LATE_S)
