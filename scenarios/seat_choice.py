"""Which seats a fan goes for: adjacent ones in a row, most often in the sections that everybody wants, or what is left.

Accessible seats are for fans who need them.
Pure.
"""

from __future__ import annotations

from typing import Final

from harness.platform import SeatMap, Section, Venue
from harness.swarm.users.plan import Dice

HOT_SHARE: Final = 0.2  # of the sections
_SECTIONS_TRIED: Final = 6
_FREE: Final = "0"


def choose(
    venue: Venue, seat_map: SeatMap, party_size: int, dice: Dice, *, aims_hot: bool, avoid: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Adjacent free seats for the whole party, empty when there are none. `avoid`: seats that were just refused.

    The fan looks at a few sections that they would like, and then at all others.
    """
    if not venue.sections:
        return ()
    for _ in range(_SECTIONS_TRIED):
        section = _section(venue, dice.roll(), aims_hot=aims_hot)
        if blocks := _blocks(section, seat_map, party_size, avoid):
            return blocks[int(len(blocks) * dice.roll() ** 2)]  # squared: rather near the front
    for section in _all_sections(venue, dice):
        if blocks := _blocks(section, seat_map, party_size, avoid):
            return blocks[int(len(blocks) * dice.roll())]
    return ()


def choose_fewer(
    venue: Venue, seat_map: SeatMap, party_size: int, dice: Dice, *, avoid: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """As many adjacent free seats as there are, fewer than the party; empty when nothing is free."""
    for size in range(party_size - 1, 0, -1):
        if seats := choose(venue, seat_map, size, dice, aims_hot=False, avoid=avoid):
            return seats
    return ()


def choose_apart(
    venue: Venue, seat_map: SeatMap, party_size: int, dice: Dice, *, avoid: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Free seats of one section for the whole party, wherever they are; empty when no section has as many."""
    if not venue.sections:
        return ()
    for section in _all_sections(venue, dice):
        states = seat_map.states.get(section.name, "")
        closed = avoid.union(*section.accessible)
        free = [
            seat for seat, state in zip(_seats(section), states, strict=False) if state == _FREE and seat not in closed
        ]
        if len(free) >= party_size:
            at = int((len(free) - party_size + 1) * dice.roll())
            return tuple(free[at : at + party_size])
    return ()


def choose_accessible(
    venue: Venue, seat_map: SeatMap, party_size: int, dice: Dice, *, avoid: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """A free wheelchair place with as many of its free companion seats as the party has others; empty when there is
    none."""
    free = {
        seat
        for section in venue.sections
        if section.accessible
        for seat, state in zip(_seats(section), seat_map.states.get(section.name, ""), strict=False)
        if state == _FREE and seat not in avoid
    }
    groups = [group for section in venue.sections for group in section.accessible if group[0] in free]
    if not groups:
        return ()
    place, *companions = groups[int(len(groups) * dice.roll() ** 2)]
    return (place, *[seat for seat in companions if seat in free][: party_size - 1])


def _seats(section: Section) -> tuple[str, ...]:
    return tuple(seat for row in section.rows for seat in row)


def least_wanted(venue: Venue, seat_map: SeatMap, count: int) -> list[tuple[str, ...]]:
    """The blocks of so many free adjacent seats in the last section that has any; empty when none has."""
    blocks = (_blocks(section, seat_map, count, frozenset()) for section in reversed(venue.sections))
    return next(filter(None, blocks), [])


def _all_sections(venue: Venue, dice: Dice) -> tuple[Section, ...]:
    """From one of them on, and round to it."""
    first = int(len(venue.sections) * dice.roll())
    return (*venue.sections[first:], *venue.sections[:first])


def _blocks(section: Section, seat_map: SeatMap, party_size: int, avoid: frozenset[str]) -> list[tuple[str, ...]]:
    return free_blocks(section, seat_map.states.get(section.name, ""), party_size, avoid)


def free_blocks(
    section: Section, states: str, party_size: int, avoid: frozenset[str] = frozenset()
) -> list[tuple[str, ...]]:
    """For each row the first block of free adjacent seats, front rows first, without gaps between its seats; none of
    them accessible."""
    if _FREE * party_size not in states:
        return []
    if section.accessible:
        avoid = avoid.union(*section.accessible)
    blocks: list[tuple[str, ...]] = []
    at = 0
    for row in section.rows:
        free = "".join(
            _FREE if state == _FREE and seat not in avoid else "-"
            for seat, state in zip(row, states[at : at + len(row)], strict=False)
        )
        first = free.find(_FREE * party_size)
        if first >= 0:
            blocks.append(row[first : first + party_size])
        at += len(row)
    return blocks


def _section(venue: Venue, roll: float, *, aims_hot: bool) -> Section:
    """Sections come with the most wanted first; among the hot ones, the hotter the likelier."""
    sections = venue.sections
    hot = max(1, int(len(sections) * HOT_SHARE))
    if aims_hot:
        return sections[int(hot * roll**2)]
    return sections[int(len(sections) * roll)]
