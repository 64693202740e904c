"""Fans choose seats that are free and next to each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.platform import SeatMap, Section, Venue
from harness.swarm.users.plan import Dice
from scenarios.seat_choice import (
    HOT_SHARE,
    choose,
    choose_accessible,
    choose_apart,
    choose_fewer,
    free_blocks,
    least_wanted,
)

ROWS = tuple(tuple(f"101-{row}-{n}" for n in range(1, size + 1)) for row, size in (("A", 4), ("B", 6), ("C", 5)))
SECTION = Section(name="101", rows=ROWS)
VENUE = Venue(
    sections=tuple(Section(name=f"s{n}", rows=(tuple(f"s{n}-A-{k}" for k in range(1, 9)),)) for n in range(10))
)


@given(st.text("012", min_size=15, max_size=15), st.integers(1, 4))
def test_blocks_are_adjacent_free_seats_of_one_row(states: str, party_size: int) -> None:
    flat = [seat for row in ROWS for seat in row]
    for block in free_blocks(SECTION, states, party_size):
        at = flat.index(block[0])
        assert block == tuple(flat[at : at + party_size])
        assert states[at : at + party_size] == "0" * party_size
        assert len({seat.split("-")[1] for seat in block}) == 1


def test_a_block_never_spans_two_rows() -> None:
    assert free_blocks(SECTION, "1110" + "011111" + "11111", 2) == []


def test_seats_that_were_just_refused_are_left_alone() -> None:
    assert free_blocks(SECTION, "0" * 15, 4, frozenset({"101-A-2"}))[0] == ("101-B-1", "101-B-2", "101-B-3", "101-B-4")


def test_who_aims_for_the_hot_sections_gets_them() -> None:
    free = SeatMap(states={section.name: "0" * 8 for section in VENUE.sections}, stale=False)
    hot = {section.name for section in VENUE.sections[: int(10 * HOT_SHARE)]}
    for first in range(100):
        (seat,) = choose(VENUE, free, 1, Dice((first / 100, 0.5)), aims_hot=True)
        assert seat.split("-")[0] in hot


def test_a_sold_out_house_offers_nothing() -> None:
    sold = SeatMap(states={section.name: "2" * 8 for section in VENUE.sections}, stale=False)
    assert choose(VENUE, sold, 2, Dice((0.1, 0.6, 0.9)), aims_hot=False) == ()


def test_the_same_dice_choose_the_same_seats() -> None:
    free = SeatMap(states={section.name: "0" * 8 for section in VENUE.sections}, stale=False)
    rolls = (0.3, 0.7, 0.2)
    assert choose(VENUE, free, 3, Dice(rolls), aims_hot=False) == choose(VENUE, free, 3, Dice(rolls), aims_hot=False)


@given(st.text("012", min_size=15, max_size=15), st.integers(1, 4), st.floats(0, 0.999))
def test_who_sits_apart_takes_any_free_seats_of_one_section(states: str, party_size: int, roll: float) -> None:
    flat = [seat for row in ROWS for seat in row]
    venue = Venue(sections=(SECTION, Section(name="102", rows=(("102-A-1",),))))
    shown = SeatMap(states={"101": states, "102": "0"}, stale=False)
    avoid = frozenset({"101-A-1"})
    seats = choose_apart(venue, shown, party_size, Dice((roll, roll)), avoid=avoid)
    free = [seat for seat, state in zip(flat, states, strict=True) if state == "0" and seat not in avoid]
    assert len(seats) == len(set(seats)) == (party_size if len(free) >= party_size or party_size == 1 else 0)
    assert set(seats) <= {*free, "102-A-1"}
    assert len({seat.split("-")[0] for seat in seats}) <= 1


ACCESSIBLE = Section(
    name="s0",
    rows=(("s0-A-1", "s0-A-2", "s0-A-3", "s0-A-4", "s0-A-5", "s0-A-6"),),
    accessible=(("s0-A-3", "s0-A-4"), ("s0-A-5", "s0-A-6")),
)


def of_accessible(states: str) -> tuple[Venue, SeatMap]:
    return Venue(sections=(ACCESSIBLE,)), SeatMap(states={"s0": states}, stale=False)


@given(st.text("012", min_size=6, max_size=6), st.integers(1, 4), st.floats(0, 0.999))
def test_who_needs_one_takes_a_wheelchair_place_and_its_companion_seat(states: str, party: int, roll: float) -> None:
    venue, seat_map = of_accessible(states)
    seats = choose_accessible(venue, seat_map, party, Dice((roll,)))
    open_groups = [
        tuple(seat for seat in group if states[int(seat[-1]) - 1] == "0")[:party]
        for group in ACCESSIBLE.accessible
        if states[int(group[0][-1]) - 1] == "0"
    ]
    assert seats in open_groups if open_groups else seats == ()


@given(st.text("012", min_size=6, max_size=6), st.integers(1, 4), st.floats(0, 0.999))
def test_others_leave_accessible_seats_alone(states: str, party: int, roll: float) -> None:
    venue, seat_map = of_accessible(states)
    for choice in (choose, choose_fewer):
        hot = {"aims_hot": True} if choice is choose else {}
        assert set(choice(venue, seat_map, party, Dice((roll,)), **hot)) <= {"s0-A-1", "s0-A-2"}  # type: ignore[operator]
    assert set(choose_apart(venue, seat_map, party, Dice((roll,)))) <= {"s0-A-1", "s0-A-2"}
    assert {seat for block in least_wanted(venue, seat_map, 1) for seat in block} <= {"s0-A-1", "s0-A-2"}
