"""A newcomer: opens the feed of seats as if for the first time, again and again, to see the whole state in mid-sale.

Spectators come before the sale and then hear of changes only. So nobody else is told a state that is worth comparing
with the sum of the changes.
"""

from __future__ import annotations

from typing import Final

import gevent
from msgspec.structs import replace

from harness.platform import Call, Glances, Person, Platform, Venue
from harness.record.schema import Outcome

_PERIOD_S: Final = 1.0
_SEATS_PER_S: Final = 1000.0  # each is a row of the record


class Newcomer:
    """See the module."""

    def __init__(self, platform: Platform, person: Person) -> None:
        self._platform = platform
        self._person = person
        self._looks = 0

    def go(self, _venue: Venue) -> None:
        """Until killed."""
        while True:
            seats = self._glance()
            gevent.sleep(max(_PERIOD_S, seats / _SEATS_PER_S))

    def close(self) -> None:
        """There is nothing to close: each look closes its connection."""

    def _glance(self) -> int:
        """How many seats were not free."""
        self._looks += 1  # the user number says which node is asked: each in turn
        session = self._platform.spectator_session(replace(self._person, user=self._person.user - self._looks))
        try:
            if not isinstance(session, Glances):
                return 0
            answer = session.connect(Call.now())
            return session.glance() if answer.outcome is Outcome.OK else 0
        finally:
            session.close()
