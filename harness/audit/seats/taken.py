"""Seats that are surely not free: from when a fan was told of a hold or a sale until that fan may have lost it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness.audit.history import Evidence
from harness.audit.seats.claims import GrantedHold, Sale, promises, sales
from harness.audit.tally import Moment, during

_NEVER_S: Final = float("-inf")
Bools = npt.NDArray[np.bool_]


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A seat that is surely not free from `t_from_s` to `t_until_s`: by then a fan had been told so."""

    seat: str
    t_from_s: float
    t_until_s: float
    why: GrantedHold | Sale

    def moment(self) -> Moment:
        """It as a step of a history."""
        if isinstance(self.why, Sale):
            return during(self.why.told, self.why.words)
        return during(self.why.hold, self.why.granted(self.seat))


def surely_taken(evidence: Evidence) -> list[Taken]:
    """All of them, by when they begin."""
    margin_s = evidence.clock_margin_s
    found = [
        Taken(seat, promise.hold.t_end_s, promise.t_until_s - margin_s, promise)
        for promise in promises(evidence)
        if promise.told_in_time
        for seat in promise.hold.value.seats
    ]
    found += [Taken(seat, sale.told.t_end_s, float("inf"), sale) for sale in sales(evidence) for seat in sale.seats]
    return sorted(found, key=lambda one: one.t_from_s)


class TakenSeats:
    """Which of `seats` are surely taken, asked for one time after another; `taken` is by when it begins."""

    def __init__(self, taken: Sequence[Taken], seats: Sequence[str]) -> None:
        self.seats = seats
        self._taken = taken
        self._number = {seat: at for at, seat in enumerate(seats)}
        self._next = 0
        self._until_s = np.full(len(seats), _NEVER_S)
        self._by: dict[int, Taken] = {}

    def between(self, t_from_s: float, t_to_s: float) -> Bools:
        """Whether each was surely taken all that time. `t_from_s` never goes back."""
        while self._next < len(self._taken) and self._taken[self._next].t_from_s <= t_from_s:
            one = self._taken[self._next]
            at = self._number[one.seat]
            if one.t_until_s > self._until_s[at]:
                self._until_s[at], self._by[at] = one.t_until_s, one
            self._next += 1
        surely: Bools = self._until_s > t_to_s
        return surely

    def by(self, at: int) -> Taken:
        """What last took the seat of this number."""
        return self._by[at]
