"""An intruder: asks for a seat without a pass, all the time, and should never get past the entrance.

What is tried once after the run does not show an entrance that stood open for a second.
"""

from __future__ import annotations

from typing import Final

import gevent

from harness.platform import Call, Person, Platform, TriesWithoutPass, Venue

PERIOD_S: Final = 0.3


class Intruder:
    """One session without a pass."""

    def __init__(self, platform: Platform, person: Person) -> None:
        self._session = platform.fan_session(person)

    def go(self, venue: Venue) -> None:
        """Again and again, until killed. Whether the seat is free does not matter: a pass is looked at first."""
        session = self._session
        seat = next((seat for section in venue.sections for row in section.rows for seat in row), "")
        if not seat or not isinstance(session, TriesWithoutPass):
            return
        while True:
            session.try_to_hold(Call.now(), (seat,))
            gevent.sleep(PERIOD_S)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
