"""Each map that the users of a worker were shown is noted once, and can be read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.platform import SeatMap, Section, Venue
from harness.record.seat_states import pack, pack_names, unpack, unpack_names
from harness.swarm.recording.shown_maps import ShownCounts, ShownMaps

VENUE = Venue(
    sections=(
        Section(name="102", rows=(("102-A-1", "102-A-2"), ("102-B-1",))),
        Section(name="101", rows=(("101-A-1", "101-A-2"),)),
    )
)


def shown(states: dict[str, str], *, stale: bool = False) -> SeatMap:
    return SeatMap(states=states, stale=stale)


def test_the_first_look_carries_the_layout_and_the_states_in_its_order() -> None:
    value = ShownMaps().note(VENUE, shown({"101": "12", "102": "001"}))
    assert unpack_names(str(value["layout"])) == ("102-A-1", "102-A-2", "102-B-1", "101-A-1", "101-A-2")
    assert unpack(str(value["states"])) == "00112"
    assert (value["free"], value["stale"]) == (2, False)


def test_counts_are_noted_whole_once_and_named_again() -> None:
    counts = ShownCounts()
    first, second = counts.note({"101": 2, "102": 3}, stale=False), counts.note({"102": 3, "101": 2}, stale=True)
    other = counts.note({"101": 2, "102": 2}, stale=False)
    assert (first["free"], first["stale"]) == ({"101": 2, "102": 3}, False)
    assert (second["counts"], second["stale"], "free" in second) == (first["counts"], True, False)
    assert other["counts"] != first["counts"]
    assert other["free"] == {"101": 2, "102": 2}


def test_a_map_that_was_noted_is_only_named_again() -> None:
    maps = ShownMaps()
    first = maps.note(VENUE, shown({"101": "12", "102": "001"}))
    second = maps.note(VENUE, shown({"101": "12", "102": "000"}))
    third = maps.note(VENUE, shown({"101": "12", "102": "001"}, stale=True))
    assert second["map"] != first["map"] == third["map"]
    assert "states" in second
    assert not {"states", "layout"} & third.keys()
    assert third["stale"] is True


def test_another_layout_is_another_map() -> None:
    maps = ShownMaps()
    first = maps.note(VENUE, shown({"101": "12", "102": "001"}))
    other = Venue(sections=VENUE.sections[::-1])
    second = maps.note(other, shown({"101": "12", "102": "001"}))
    assert second["map"] != first["map"]
    assert {"states", "layout"} <= second.keys()


@pytest.mark.parametrize(("states", "noted"), [({"101": "1"}, "???1?"), ({"101": "11222", "102": "000"}, "00011")])
def test_seats_that_the_map_leaves_out_or_has_too_many_of(states: dict[str, str], noted: str) -> None:
    assert unpack(str(ShownMaps().note(VENUE, shown(states))["states"])) == noted


def test_without_a_layout_only_the_counts_are_noted() -> None:
    assert ShownMaps().note(Venue(sections=()), shown({"101": "12"})) == {"free": 0, "stale": False}


@given(st.text())
def test_what_was_packed_is_unpacked(text: str) -> None:
    assert unpack(pack(text)) == text


@pytest.mark.parametrize("packed", ["", "no base64!", "bm90IHBhY2tlZA==", pack_names(["101-A-1"] * 50)[:-8]])
def test_anything_else_is_refused(packed: str) -> None:
    with pytest.raises(ValueError, match=r"packed|base64|padding|base-64|data"):
        unpack(packed)


def test_where_seats_are_kept_for_a_need_a_look_says_which_and_how_many_are_for_this_fan() -> None:
    venue = Venue(sections=(Section(name="1", rows=(("a", "b", "c", "d"),), accessible=(("c", "d"),)),))
    maps = ShownMaps()
    first = maps.note(venue, shown({"1": "0000"}))
    assert (first["accessible"], first["free"], first["theirs"]) == ({"c": "c", "d": "c"}, 4, 2)
    left = {state: maps.note(venue, shown({"1": state}), needs_accessible=True) for state in ("0000", "0020", "2202")}
    assert {state: value["theirs"] for state, value in left.items()} == {"0000": 1, "0020": 0, "2202": 1}
    assert maps.note(venue, shown({"1": "2200"}))["theirs"] == 0
    assert not any("accessible" in value for value in left.values())
    assert "theirs" not in ShownMaps().note(VENUE, shown({"101": "12", "102": "001"}))


@pytest.mark.parametrize("names", [(), ("",), ("Row\n1", "Row", "1"), ("[", '"', "\\n", "\u202eZoë\x1f")])
def test_a_layout_keeps_whatever_seats_are_called(names: tuple[str, ...]) -> None:
    assert unpack_names(pack_names(names)) == names
