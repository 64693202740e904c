"""A seat map that an adapter shows seat by seat, as layout and as states."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from harness.adapter.checking.walk import accessible_seats_wrong
from harness.adapter.values import ShownSeat, WrongTypeError, checked, seat_map_of, venue_of
from harness.platform import SeatMap, Section, Venue


def seat(name: str, state: str = "free", cents: int | None = 4500) -> ShownSeat:
    section, row, _ = name.split("-")
    return ShownSeat(section=section, row=row, seat=name, state=state, cents=cents)


def test_seats_come_by_section_and_row_in_the_order_in_which_these_come_first() -> None:
    shown = [seat("B-1-1"), seat("A-2-1", "sold"), seat("B-2-1", "held"), seat("A-2-2"), seat("B-1-2", "sold")]
    assert venue_of(shown) == Venue(
        sections=(
            Section(name="B", rows=(("B-1-1", "B-1-2"), ("B-2-1",))),
            Section(name="A", rows=(("A-2-1", "A-2-2"),)),
        ),
        prices_cents=dict.fromkeys(("B-1-1", "B-1-2", "B-2-1", "A-2-1", "A-2-2"), 4500),
    )
    assert seat_map_of(shown) == SeatMap(states={"B": "021", "A": "20"}, stale=False)


def test_a_price_that_is_not_shown_is_none() -> None:
    assert venue_of([seat("A-1-1", cents=None)]).prices_cents == {}


def test_a_state_that_is_none_is_named() -> None:
    with pytest.raises(WrongTypeError, match="shown_seats returned the state 'gone', not one of free, held, sold"):
        seat_map_of([seat("A-1-1", "gone")])


def test_accessible_seats_are_grouped_by_their_wheelchair_place() -> None:
    shown = [seat("A-1-1"), *(replace(seat(f"A-1-{n}"), wheelchair_place="A-1-3") for n in (2, 3, 4))]
    (section,) = venue_of(shown).sections
    assert section.accessible == (("A-1-3", "A-1-2", "A-1-4"),)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (((),), "an empty group of accessible seats of section 'A'"),
        ((("A-1-1", "B-1-1"),), "the accessible seat 'B-1-1', which is in no row of section 'A', or in two groups"),
        ((("A-1-1", "A-1-2"), ("A-1-2",)), "the accessible seat 'A-1-2', which is in no row of section 'A', or in two"),
    ],
)
def test_a_group_that_cannot_be_is_named(groups: tuple[tuple[str, ...], ...], said: str) -> None:
    section = Section(name="A", rows=(("A-1-1", "A-1-2"),), accessible=groups)
    with pytest.raises(WrongTypeError, match=f"venue returned {said}"):
        checked(Venue(sections=(section,)), Venue, "venue")
    good = replace(section, accessible=(("A-1-1", "A-1-2"),))
    assert checked(Venue(sections=(good,)), Venue, "venue").sections == (good,)


def test_accessible_seats_are_declared_where_the_layout_tells_some_and_nowhere_else() -> None:
    plain = Venue(sections=(Section(name="A", rows=(("A-1-1",),)),))
    kept = Venue(sections=(Section(name="A", rows=(("A-1-1",),), accessible=(("A-1-1",),)),))
    assert "does not declare" in accessible_seats_wrong(kept, {"seats"})
    assert "tells no accessible seats" in accessible_seats_wrong(plain, {"seats", "accessible"})
    assert accessible_seats_wrong(plain, {"seats"}) == accessible_seats_wrong(kept, {"seats", "accessible"}) == ""
