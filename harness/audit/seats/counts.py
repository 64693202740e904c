"""Compares the free seats of each section, as they were shown, with the seats that surely were taken, or surely free.

It is a part of `map_honest`. A count that was asked for at a, answered at b, and may be m old shows a moment in
[a − m, b]. It is at most the seats of the section without those that were surely taken all that time, and at least the
seats that nobody had asked for by b, and that are not sold or held for an unknown reason. A fan who is refused a seat
may have kept it from others for a moment, until the answer. Counts are made of a map and may be kept as long again, so
m is twice the age of a map. A count that may be of a time with a fault proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.audit.history import Evidence
from harness.audit.holds.late import RECOVERY_S, REFUSED, claims_on_seats, first_claimed_s
from harness.audit.operations import CountValue, Operation, clamped
from harness.audit.seats.shown import layout_seats
from harness.audit.seats.taken import TakenSeats
from harness.audit.tally import Tally, during

_SOON_S: Final = 1.0  # a fault may have an effect before its canary sees it
_AGAIN_S: Final = 0.1  # many look at once, and are shown the same
_OPEN_S: Final = float("inf")
_NEVER_S: Final = float("-inf")
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def check_counts(evidence: Evidence, tally: Tally, taken: TakenSeats, map_late_max_s: float) -> None:
    """Adds what the counts show. Chances: sections of a count of which some seat was surely taken."""
    free = {count.value.counts: count.value.free for count in evidence.counts.naming("free") if count.value.free}
    if not free:
        return
    sections = sorted({section for shown in free.values() for section in shown})
    seats = sorted(layout_seats(evidence.looks) | {seat for seat, _ in evidence.seats})
    places = _Places(sections, seats)
    sizes, of_taken = places.count(seats), places.of(taken.seats)
    first_s, of_seats, tries = _first_asked_s(evidence, seats), places.of(seats), _Tries(evidence, seats)
    late_max_s = 2 * map_late_max_s + evidence.clock_margin_s
    told: set[str] = set()
    for count in _telling(evidence, free.keys()):
        shown = free[count.value.counts] or {}
        tally.checked += 1
        surely = taken.between(count.t_invoke_s - late_max_s, count.t_end_s)
        gone = places.count_of(of_taken[surely])
        until_s = count.t_end_s + evidence.clock_margin_s
        untouched = (first_s > until_s) & ~tries.between(count.t_invoke_s - late_max_s, until_s)
        if count.t_invoke_s - late_max_s <= evidence.held_before_until_s:
            untouched = np.zeros_like(untouched)
        left = places.count_of(of_seats[untouched])
        numbers = np.array([clamped(shown.get(section, 0)) for section in sections], dtype=np.int64)
        is_shown = np.array([section in shown for section in sections], dtype=bool)
        tally.chance(int(np.count_nonzero(is_shown & (gone > 0))))
        wrong = is_shown & (sizes > 0) & ((numbers > sizes - gone) | (numbers < left))
        for at in np.flatnonzero(wrong).tolist():
            if sections[at] not in told:
                told.add(sections[at])
                bounds = int(left[at]), int(sizes[at] - gone[at])
                _report(tally, count, sections[at], shown[sections[at]], bounds)


def _telling(evidence: Evidence, named: Collection[str | None]) -> Iterator[Operation[CountValue]]:
    """Fresh counts of the run whose numbers are known, beside no fault; of those of one moment that are alike the
    first."""
    seen_s: dict[str | None, float] = {}
    for count in evidence.counts:
        name = count.value.counts
        if not count.ok or count.value.stale or name not in named or count.t_end_s > evidence.duration_s:
            continue
        if count.t_invoke_s < seen_s.get(name, _NEVER_S) + _AGAIN_S:
            continue
        if evidence.faults_between(count.t_invoke_s - RECOVERY_S, count.t_end_s + _SOON_S):
            continue
        seen_s[name] = count.t_invoke_s
        yield count


class _Places:
    """The section of each seat, by its number. A seat of section S is called S-…; where that may be said of two
    sections, which of them has it cannot be told, and neither is judged.
    """

    def __init__(self, sections: Sequence[str], seats: Collection[str]) -> None:
        self._sections = len(sections)
        number = {section: at for at, section in enumerate(sections)}
        heads = {seat: [number[one] for one in _heads(seat) if one in number] for seat in seats}
        unclear = {section for of_seat in heads.values() if len(of_seat) > 1 for section in of_seat}
        self._of = {seat: of[0] if of and of[0] not in unclear else -1 for seat, of in heads.items()}

    def of(self, seats: Collection[str]) -> Ints:
        """The section of each of them; −1 where it has none."""
        return np.array([self._of.get(seat, -1) for seat in seats], dtype=np.int64)

    def count(self, seats: Collection[str]) -> Ints:
        """How many of the seats each section has."""
        return self.count_of(self.of(seats))

    def count_of(self, sections: Ints) -> Ints:
        """How often each section is among these."""
        return np.bincount(sections[sections >= 0], minlength=self._sections)


class _Tries:
    """When somebody tried to get each of `seats` and was refused."""

    def __init__(self, evidence: Evidence, seats: Sequence[str]) -> None:
        number = {seat: at for at, seat in enumerate(seats)}
        tries = [
            (one.t_invoke_s, one.t_end_s, number[seat])
            for error in REFUSED
            for one in evidence.takings.failed_with(error)
            for seat in one.value.seats
            if seat in number
        ]
        self._from_s = np.array([t_from_s for t_from_s, _, _ in tries], dtype=np.float64)
        self._until_s = np.array([t_until_s for _, t_until_s, _ in tries], dtype=np.float64)
        self._seats = np.array([at for _, _, at in tries], dtype=np.int64)
        self._count = len(seats)

    def between(self, t_from_s: float, t_to_s: float) -> npt.NDArray[np.bool_]:
        """Whether there was such a try of each seat at some time of the interval."""
        found = np.zeros(self._count, dtype=bool)
        found[self._seats[(self._from_s <= t_to_s) & (self._until_s >= t_from_s)]] = True
        return found


def _heads(seat: str) -> list[str]:
    """What the seat's name may begin with."""
    parts = seat.split("-")
    return ["-".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def _first_asked_s(evidence: Evidence, seats: Sequence[str]) -> Floats:
    """When each seat may first have been anybody's: never where nobody asked for it and it is free at rest."""
    first = first_claimed_s(claims_on_seats(evidence, 0.0))
    first |= {seat: _NEVER_S for order in evidence.baseline_orders.values() for seat in order.seats}
    free = {seat for seat, state in evidence.seats if state == "free"}
    unknown = {seat for seat in seats if seat not in free and seat not in first}
    return np.array([_NEVER_S if seat in unknown else first.get(seat, _OPEN_S) for seat in seats])


def _report(tally: Tally, count: Operation[CountValue], section: str, shown: int, bounds: tuple[int, int]) -> None:
    """Each section is told of once."""
    least, most = bounds
    truth = f"at most {most} were" if shown > most else f"at least {least} were"
    summary = f"section {section} was shown to {count.actor} with {shown} free seats, and {truth}"
    seen = f"{count.actor} asked for the free seats of each section at {count.t_invoke_s:.3f} s: {section} has {shown}"
    tally.violated(summary, during(count, seen))
