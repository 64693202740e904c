"""The arena: sections, rows, seats and prices, read from a file once and never changed afterwards.

A seat id is `<section>-<row>-<number>`; its index is its place in the venue: sections by id, then rows, then
numbers. The seat map in Redis has one character for each index.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from target.settings import SettingsError

VENUES: Final = Path(__file__).parent / "venues"
FILE_BYTES_MAX: Final = 1024 * 1024
CAPACITY_MAX: Final = 1_000_000

Positive = Annotated[int, Meta(ge=1)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the file's parts."""


class Band(_Part, frozen=True):
    """Rows up to and including `to_row` cost `price`."""

    to_row: Annotated[str, Meta(pattern="^[A-Z]$")]
    price: str


class Block(_Part, frozen=True):
    """Sections of one shape. Row lengths grow by one seat every `grow_every` rows."""

    ring: str
    sections: tuple[Annotated[str, Meta(pattern="^[A-Za-z0-9]+$")], ...]
    rows: Annotated[int, Meta(ge=1, le=26)]
    first_row_seats: Positive
    grow_every: Positive
    bands: tuple[Band, ...]


class VenueFile(_Part, frozen=True):
    """A venue file, as it is written."""

    title: str
    currency: str
    prices_cents: dict[str, Positive]
    blocks: tuple[Block, ...]


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row; its seats are numbered from 1.

    `accessible`: (wheelchair place, companion seat) for each place of the row, by their numbers.
    """

    id: str
    seats: int
    price: str
    accessible: tuple[tuple[int, int], ...] = ()


class Section(msgspec.Struct, frozen=True):
    """One section, its rows from the floor outwards."""

    id: str
    ring: str
    rows: tuple[Row, ...]


class Layout(msgspec.Struct, frozen=True):
    """The layout that clients get: every row of the venue."""

    event: str
    title: str
    currency: str
    capacity: int
    prices_cents: dict[str, int]
    sections: tuple[Section, ...]


class Venue:
    """The seats of one event: ids, indexes and prices.

    `slices`: section → (first, one past last) index. `seats`: index → seat id. `wheelchair_places`: accessible seat →
    the wheelchair place that it belongs to, which a place itself does too.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.seats: list[str] = []
        self.slices: dict[str, tuple[int, int]] = {}
        self.wheelchair_places: dict[str, str] = {}
        self._index: dict[str, int] = {}
        self._price_cents: list[int] = []
        for section in layout.sections:
            first = len(self.seats)
            for row in section.rows:
                self.seats.extend(f"{section.id}-{row.id}-{number}" for number in range(1, row.seats + 1))
                self._price_cents.extend([layout.prices_cents[row.price]] * row.seats)
                for place, companion in row.accessible:
                    for number in (place, companion):
                        self.wheelchair_places[f"{section.id}-{row.id}-{number}"] = f"{section.id}-{row.id}-{place}"
            self.slices[section.id] = (first, len(self.seats))
        self._index = {seat: index for index, seat in enumerate(self.seats)}
        self.document = msgspec.json.encode(layout)
        self.etag = f'"{hashlib.sha256(self.document).hexdigest()[:16]}"'

    @property
    def capacity(self) -> int:
        """How many seats there are."""
        return len(self.seats)

    def index(self, seat: str) -> int | None:
        """The seat's index in the map. None: there is no such seat."""
        return self._index.get(seat)

    def price_cents(self, seat: str) -> int:
        """The price of the seat. Raises KeyError for a seat that does not exist."""
        return self._price_cents[self._index[seat]]


def load(name_or_path: str, event: str, *, accessible_pairs: int = 0) -> Venue:
    """The venue of that name in target/seats/venues/, or of that file. Raises `SettingsError` when it cannot be
    used.

    `accessible_pairs`: so many wheelchair places, each with a companion seat beside it, are at the end of the last row
    of each section.
    """
    is_path = name_or_path.endswith(".toml")
    path = Path(name_or_path) if is_path else VENUES / f"{name_or_path}.toml"
    if not is_path and name_or_path not in (known := sorted(one.stem for one in VENUES.glob("*.toml"))):
        raise SettingsError(
            f"TARGET_VENUE={name_or_path!r}: no such venue (known: {', '.join(known)}, or a .toml file)"
        )
    try:
        file = msgspec.convert(tomllib.loads(_text(path)), VenueFile)
        return Venue(_layout(file, event, accessible_pairs))
    except OSError as error:
        raise SettingsError(f"TARGET_VENUE={name_or_path!r}: {error.strerror}: {path}") from error
    except (ValueError, KeyError, RecursionError) as error:
        raise SettingsError(f"TARGET_VENUE={name_or_path!r}: {path}: {error}") from error


def _text(path: Path) -> str:
    """What a regular file of bounded size holds. Raises OSError, ValueError."""
    if not path.is_file() and path.exists():
        raise ValueError("is no regular file")
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"is larger than {FILE_BYTES_MAX:,} bytes")
    return content.decode()


def _layout(file: VenueFile, event: str, accessible_pairs: int) -> Layout:
    sections = tuple(
        sorted(
            (
                Section(name, block.ring, _with_pairs(_rows(block, file.prices_cents), name, accessible_pairs))
                for block in file.blocks
                for name in block.sections
            ),
            key=lambda section: section.id,
        )
    )
    if len({section.id for section in sections}) != len(sections):
        raise ValueError("a section is listed twice")
    capacity = sum(row.seats for section in sections for row in section.rows)
    if capacity > CAPACITY_MAX:
        raise ValueError(f"{capacity:,} seats, and at most {CAPACITY_MAX:,} can be sold")
    return Layout(event, file.title, file.currency, capacity, file.prices_cents, sections)


def _rows(block: Block, prices_cents: dict[str, int]) -> tuple[Row, ...]:
    return tuple(
        Row(
            ascii_uppercase[n],
            block.first_row_seats + n // block.grow_every,
            _price(block, ascii_uppercase[n], prices_cents),
        )
        for n in range(block.rows)
    )


def _with_pairs(rows: tuple[Row, ...], section: str, count: int) -> tuple[Row, ...]:
    *others, last = rows
    if 2 * count > last.seats:
        raise ValueError(f"row {last.id} of section {section} has {last.seats} seats, too few for {count} pairs")
    first = last.seats - 2 * count + 1
    pairs = tuple((number, number + 1) for number in range(first, last.seats, 2))
    return (*others, msgspec.structs.replace(last, accessible=pairs))


def _price(block: Block, row: str, prices_cents: dict[str, int]) -> str:
    for band in block.bands:
        if row <= band.to_row:
            if band.price not in prices_cents:
                raise ValueError(f"price {band.price!r} is not among prices_cents")
            return band.price
    raise ValueError(f"no price band reaches row {row} of the sections of ring {block.ring!r}")
