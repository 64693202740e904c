"""Which instant is T0 on this process's clock, and how far its clock is from the master's.

Pure: instants come in as values. Offsets are estimated the way NTP does (RFC 5905 §8): of several round trips the
shortest is kept, the offset is taken at its middle, and half of it is the uncertainty.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class RoundTrip(msgspec.Struct, frozen=True):
    """One question to the master: sent and answered on the own clock, read on the master's, in seconds."""

    sent_s: float
    master_s: float
    received_s: float

    @property
    def length_s(self) -> float:
        """The whole round trip."""
        return self.received_s - self.sent_s


class ClockEstimate(msgspec.Struct, frozen=True):
    """`offset_s`: own clock minus the master's. The truth is within ± `uncertainty_s`, if the way there took any part
    of the round trip."""

    offset_s: float
    uncertainty_s: float

    def to_own(self, master_s: float) -> float:
        """An instant of the master's clock on the own one."""
        return master_s + self.offset_s


def estimate(trips: Iterable[RoundTrip]) -> ClockEstimate:
    """The estimate from the shortest of some round trips. Raises ValueError when there is none."""
    best = min(trips, key=lambda trip: trip.length_s)
    middle_s = (best.sent_s + best.received_s) / 2
    return ClockEstimate(middle_s - best.master_s, best.length_s / 2)


class ReleaseInstant(msgspec.Struct, frozen=True):
    """T0 on this process's monotonic clock, and as unix time."""

    monotonic_s: float
    wall_s: float
