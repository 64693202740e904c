"""The arena as it is shipped, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.audit.rules import reference_rules
from harness.scenario import OnSale
from target.seats import load
from target.seats.venue import VENUES
from target.settings import SettingsError

ARENA = load("arena", "e1")


def test_the_arena_is_a_real_one() -> None:
    assert 17_500 <= ARENA.capacity <= 18_500
    assert {section.ring for section in ARENA.layout.sections} == {"lower", "club", "upper"}
    assert len(ARENA.layout.sections) == 60
    assert len({row.seats for section in ARENA.layout.sections for row in section.rows}) > 5
    assert {row.price for section in ARENA.layout.sections for row in section.rows} == set(ARENA.layout.prices_cents)


def test_prices_are_in_the_currency_that_reports_show() -> None:
    venues = [load(path.stem, "e1") for path in VENUES.glob("*.toml")]
    assert {venue.layout.currency for venue in venues} == {reference_rules(OnSale()).currency}


def test_ids_indexes_and_slices_agree() -> None:
    assert len(set(ARENA.seats)) == ARENA.capacity == ARENA.layout.capacity
    assert all(ARENA.index(seat) == index for index, seat in enumerate(ARENA.seats))
    for section, (first, end) in ARENA.slices.items():
        assert all(seat.startswith(f"{section}-") for seat in ARENA.seats[first:end])
    assert sum(end - first for first, end in ARENA.slices.values()) == ARENA.capacity


def test_prices_follow_the_rows() -> None:
    assert ARENA.price_cents("101-A-1") > ARENA.price_cents("101-C-1") > ARENA.price_cents("301-P-1")
    assert ARENA.index("101-A-99") is None
    with pytest.raises(KeyError):
        ARENA.price_cents("101-A-99")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"101", "102"', '"101", "101"', "twice"),
        ("rows = 8", "rows = 9", "no price band reaches row I"),
        ('price = "club"', 'price = "gold"', "gold"),
        ("rows = 8", "rows = 99", "rows"),
        ("grow_every = 4", "grow = 4", "grow"),
        ("title", "title ]", ""),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "v.toml"
    text = (VENUES / "arena.toml").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SettingsError, match=f"v.toml.*{said}"):
        load(str(path), "e1")


def test_accessible_pairs_are_at_the_end_of_each_last_row() -> None:
    hall = load("hall", "e1", accessible_pairs=2)
    plain = load("hall", "e1")
    assert (plain.wheelchair_places, b"accessible" in plain.document) == ({}, False)
    assert hall.seats == plain.seats
    assert {seat: place for seat, place in hall.wheelchair_places.items() if seat.startswith("B1-")} == {
        "B1-F-10": "B1-F-10",
        "B1-F-11": "B1-F-10",
        "B1-F-12": "B1-F-12",
        "B1-F-13": "B1-F-12",
    }
    assert len(hall.wheelchair_places) == 4 * len(hall.layout.sections)


def test_a_row_that_is_too_short_for_them_is_named() -> None:
    with pytest.raises(SettingsError, match="row F of section C1 has 13 seats, too few for 7 pairs"):
        load("hall", "e1", accessible_pairs=7)
