"""The seat maps that users saw, read from the record: the state of each seat that a checker asks about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.audit.operations import LookValue, Operation, Operations
from harness.errors import InputError
from harness.record.seat_states import UNKNOWN, unpack, unpack_names

States = npt.NDArray[np.uint8]
_KEPT: Final = 32  # maps that are unpacked at once: looks of a moment share one


class ShownSeats:
    """What each look showed of `seats`, in that order. Raises InputError for a record that packs them otherwise."""

    def __init__(self, looks: Operations[LookValue], seats: Sequence[str]) -> None:
        self._packed: dict[str, str] = {}
        self._places: dict[str, npt.NDArray[np.int64]] = {}
        self._recent: dict[str, States] = {}
        for look in looks.naming("layout"):
            if look.value.layout is not None and look.value.map is not None:
                self._places[_layout_of(look.value.map)] = _places(look.value.layout, seats)
        for look in looks.naming("states"):
            if look.value.states is not None and look.value.map is not None:
                self._packed.setdefault(look.value.map, look.value.states)

    def shows(self, look: Operation[LookValue]) -> bool:
        """Whether it saw a map that does not say that it is stale, and whose states were noted."""
        return look.ok and not look.value.stale and look.value.map in self._packed

    def at(self, look: Operation[LookValue]) -> States | None:
        """A character code for each seat; null where it `shows` none."""
        name = look.value.map
        if name is None or not self.shows(look):
            return None
        if name not in self._recent:
            if len(self._recent) >= _KEPT:
                self._recent.pop(next(iter(self._recent)))
            self._recent[name] = self._unpacked(name)
        return self._recent[name]

    def _unpacked(self, name: str) -> States:
        places = self._places.get(_layout_of(name))
        if places is None:
            raise InputError(f"the layout of map {name} is missing", file="operations", key="value")
        try:
            states = np.frombuffer((unpack(self._packed[name]) + UNKNOWN).encode(), dtype=np.uint8)
        except ValueError as error:
            raise InputError(f"the states of map {name}: {error}", file="operations", key="value") from error
        return states[np.minimum(places, len(states) - 1)]


def layout_seats(looks: Operations[LookValue]) -> set[str]:
    """Every seat that any map had."""
    return {seat for look in looks.naming("layout") for seat in _names(look.value.layout or "")}


def _names(layout: str) -> list[str]:
    try:
        return list(unpack_names(layout))
    except ValueError as error:
        raise InputError(f"a layout: {error}", file="operations", key="value") from error


def _layout_of(name: str) -> str:
    return name.partition("-")[0]


def _places(layout: str, seats: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where each seat stands in the layout; of those that it does not have, behind its end."""
    where = {seat: at for at, seat in enumerate(_names(layout))}
    return np.array([where.get(seat, len(where)) for seat in seats], dtype=np.int64)
