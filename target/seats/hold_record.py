"""The record of one hold in Redis: a few lines of text under a short name. Pure.

The fan gets a signed token of some 180 characters as its id; the last characters, the signature, name the hold within
Redis. A seat id never begins with `MARK`, so that seats and holds can be fields of one hash.
"""

from __future__ import annotations

from typing import Final

import msgspec

from target.seats.store import HoldOwner, Places

MARK: Final = "#"
NAME_LENGTH: Final = 21  # 126 bits of the signature

ALIVE: Final = ("held", "locked")


def reference(hold_id: str) -> str:
    """The hold's name in Redis."""
    return MARK + hold_id[-NAME_LENGTH:]


class HoldRecord(msgspec.Struct, frozen=True):
    """One hold. `state`: held, locked, sold, released or expired. `locked`: its payment is under way.

    A locked hold lives until its extended `expires_us`; `lapses_us` is the end that the fan was promised. Both are unix
    µs. `indexes` are those of `seats` in the venue. Names and ids contain no white space.
    """

    state: str
    expires_us: int
    lapses_us: int
    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]
    indexes: tuple[int, ...]

    @property
    def places(self) -> Places:
        """Seats with their indexes."""
        return tuple(zip(self.seats, self.indexes, strict=True))

    @property
    def text(self) -> str:
        """The record as text: a line for each field."""
        return f"{self.state}\n{self.expires_us}{_tail(self)}"


def begun(state: str, hold_id: str, owner: HoldOwner, places: Places, expires_us: int) -> HoldRecord:
    """A new hold of these places."""
    seats, indexes = tuple(seat for seat, _ in places), tuple(index for _, index in places)
    return HoldRecord(state, expires_us, 0, hold_id, owner.fan, owner.identity, seats, indexes)


def tail(hold_id: str, owner: HoldOwner, places: Places) -> str:
    """The text after the expiry of a new hold, for the script that knows the time."""
    return _tail(begun("held", hold_id, owner, places, 0))


def parse(text: bytes) -> HoldRecord:
    """The record of this text."""
    state, expires_us, lapses_us, hold_id, fan, identity, seats, indexes = text.decode().split("\n")
    numbers = tuple(int(index) for index in indexes.split())
    end_us = _moment_us(expires_us)
    return HoldRecord(state, end_us, int(lapses_us), hold_id, fan, identity, tuple(seats.split()), numbers)


def _moment_us(text: str) -> int:
    """Unix µs; or the end of a new hold as the script writes it: unix s, µs, and µs from then on."""
    first, *more = map(int, text.split())
    return first * 10**6 + sum(more) if more else first


def _tail(hold: HoldRecord) -> str:
    seats, indexes = " ".join(hold.seats), " ".join(map(str, hold.indexes))
    return f"\n{hold.lapses_us}\n{hold.hold_id}\n{hold.fan}\n{hold.identity}\n{seats}\n{indexes}"
