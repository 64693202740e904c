"""Notes which seat maps and counts the users of one worker were shown, each once: looks of a moment share them."""

from __future__ import annotations

from harness.platform import SeatMap, Venue, wheelchair_places
from harness.record.seat_states import FREE, UNKNOWN, digest, pack, pack_names


class ShownMaps:
    """Those of one worker process. A look's note names its map; the map itself goes with the first look at it."""

    def __init__(self) -> None:
        self._venue: Venue | None = None
        self._layout = ""
        self._noted: set[str] = set()
        self._wheelchair_places: dict[str, str] = {}
        self._accessible: dict[str, list[tuple[int, bool]]] = {}
        self._last: dict[str, str] | None = None
        self._last_name = ""

    def note(self, venue: Venue, shown: SeatMap, *, needs_accessible: bool = False) -> dict[str, object]:
        """The value of a LOOK operation. Without a layout seats have no names, and their states are not noted."""
        value: dict[str, object] = {"free": sum(states.count(FREE) for states in shown.states.values())}
        value["stale"] = shown.stale
        if not venue.sections:
            return value
        if venue is not self._venue:
            seats = [seat for section in venue.sections for row in section.rows for seat in row]
            self._venue, self._last, self._layout = venue, None, digest("\n".join(seats))
            value["layout"] = pack_names(seats)
            self._learn_accessible(venue)
            if self._wheelchair_places:
                value["accessible"] = self._wheelchair_places
        if self._wheelchair_places:
            value["theirs"] = self._theirs(shown, needs_accessible=needs_accessible)
            value |= {"declared": True} if needs_accessible else {}
        if shown.states != self._last:
            text = _in_order(venue, shown.states)
            self._last, self._last_name = shown.states, f"{self._layout}-{digest(text)}"
            if self._last_name not in self._noted:
                self._noted.add(self._last_name)
                value["states"] = pack(text)
        value["map"] = self._last_name
        return value

    def _learn_accessible(self, venue: Venue) -> None:
        self._wheelchair_places = wheelchair_places(venue)
        self._accessible = {}
        for section in venue.sections:
            seats = [seat for row in section.rows for seat in row] if section.accessible else []
            places = [(at, self._wheelchair_places.get(seat)) for at, seat in enumerate(seats)]
            self._accessible[section.name] = [(at, seats[at] == place) for at, place in places if place]

    def _theirs(self, shown: SeatMap, *, needs_accessible: bool) -> int:
        """Free wheelchair places for who needs one, free seats that are not accessible for others."""
        places = kept = 0
        for section, accessible in self._accessible.items():
            states = shown.states.get(section, "")
            free = [is_place for at, is_place in accessible if states[at : at + 1] == FREE]
            places, kept = places + sum(free), kept + len(free)
        everything = sum(states.count(FREE) for states in shown.states.values())
        return places if needs_accessible else everything - kept


class ShownCounts:
    """Free seats of each section as the users of one worker process were shown them, each set of counts once."""

    def __init__(self) -> None:
        self._noted: set[str] = set()

    def note(self, free: dict[str, int], *, stale: bool) -> dict[str, object]:
        """The value of a COUNT operation."""
        name = digest("\n".join(f"{section}={count}" for section, count in sorted(free.items())))
        value: dict[str, object] = {"counts": name, "stale": stale}
        if name not in self._noted:
            self._noted.add(name)
            value["free"] = free
        return value


def _in_order(venue: Venue, states: dict[str, str]) -> str:
    """A character for each seat of the layout, whatever the map left out or has too much of."""
    parts = []
    for section in venue.sections:
        size = sum(len(row) for row in section.rows)
        parts.append(states.get(section.name, "")[:size].ljust(size, UNKNOWN))
    return "".join(parts)
