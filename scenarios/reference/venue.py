"""What all fans of one worker process share of the venue: the parsed layout, and which seat maps were noted already."""

from __future__ import annotations

from harness.platform import SeatMap, Venue
from harness.swarm.client.documents import decode
from harness.swarm.recording.shown_maps import ShownCounts, ShownMaps
from scenarios.reference import api


class SharedVenue:
    """The layout never changes, so its 18,000 seats are unrolled once for all fans of this process."""

    def __init__(self) -> None:
        self._layout = b""
        self._venue = Venue(sections=())
        self._shown = ShownMaps()
        self._counts = ShownCounts()

    def read(self, layout: bytes) -> Venue:
        """The layout, as it was answered. Raises `msgspec.DecodeError`."""
        if layout != self._layout:
            self._venue = api.venue_of(decode(layout, api.VenueAnswer))
            self._layout = layout
        return self._venue

    def note_counts(self, free: dict[str, int], *, stale: bool) -> dict[str, object]:
        """The value of a COUNT operation."""
        return self._counts.note(free, stale=stale)

    def note(self, shown: SeatMap, *, needs_accessible: bool) -> dict[str, object]:
        """The value of a LOOK operation."""
        return self._shown.note(self._venue, shown, needs_accessible=needs_accessible)
