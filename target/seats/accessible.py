"""Accessible seats: wheelchair places, each with a companion seat, kept to the end for fans who declare the need. Pure.

As US law has it (28 CFR 36.302(f)), who asks for one is asked whether it is for a person who needs it, and for no
proof. A companion seat goes with its wheelchair place alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from target.http.tickets import Access


def withheld(wheelchair_places: Mapping[str, str], seats: Sequence[str], access: Access) -> tuple[str, ...]:
    """Those of `seats` that the bearer of a pass cannot be granted together. `wheelchair_places`: see `Venue`."""
    if access is Access.OPERATOR or not wheelchair_places:
        return ()
    return tuple(
        seat
        for seat in seats
        if seat in wheelchair_places and not (access is Access.DECLARED and wheelchair_places[seat] in seats)
    )
