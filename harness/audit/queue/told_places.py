"""Compares the place that each fan was told with their admission: it came at the time that the place allows, or not.

Within an epoch nobody is put in before others. So a fan who is at place p when a fans have been admitted is admitted as
no. a + p, or sooner where somebody before them was silent for too long. How many have been admitted by an instant is
bounded: at most the burst and the rate of the on-sale allow, or the highest number that anybody had come in with by
then; at least that number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import EnterValue, Operation
from harness.audit.queue.admission import limit_of
from harness.audit.queue.epochs import line_of
from harness.scenario import OnSale

RECOVERY_S: Final = 5.0
NEAR_S: Final = (5.0, 60.0)
STILL_MAX_S: Final = (3.0, 8.0, 23.0)
"""The reference system looks up every second a fan whose turn is at most 5 s away, every 5 s one whose turn is at most
a minute away, and the others at least every 20 s. So long after the line moved the fan may go without hearing of it.
"""
_NEVER_S: Final = float("-inf")
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ToldPlace:
    """A place that a fan was told: row `at` of what is compared, and what shows that it was wrong."""

    at: int
    summary: str
    admitted: Operation[EnterValue] | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """An array of each property of the places that were told, and of the calls to come in.

    `t_from_s`: when it was looked up at the earliest, `t_to_s`: at the latest. `is_call`: it is not a place, but the
    news that the fan is admitted. `follows`: nothing came between it and the row before, of the same fan.
    """

    actors: pa.Array
    epochs: pa.Array
    actor: Ints
    epoch: Ints
    value: Ints
    t_from_s: Floats
    t_to_s: Floats
    is_call: Bools
    follows: Bools

    @classmethod
    def of(
        cls, actors: pa.Array, epochs: pa.Array, actor: Ints, epoch: Ints, value: Ints, t_s: Floats, sent_s: Floats,
        asked_s: Floats, *, told: Bools, is_call: Bools,
    ) -> Places:  # fmt: skip
        """From everything that fans were told, by fan and time. `sent_s`, `asked_s`: NaN where it has none.

        Streams are looked up one after another: what one says was looked up after what it said before was sent, and
        after the fan's join was answered.
        """
        is_join = np.isfinite(asked_s)
        ahead_s = min(0.0, float(np.nanmin(t_s - sent_s))) if np.any(np.isfinite(sent_s)) else 0.0
        known_s = np.where(is_join, t_s, np.nan_to_num(sent_s + ahead_s, nan=_NEVER_S))
        t_from_s = np.where(is_join, asked_s, _before(actor, known_s))
        called = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(is_call)))[:-1] if len(t_s) else np.zeros(0)
        first = np.searchsorted(actor, actor, side="left") if len(t_s) else np.zeros(0, dtype=np.int64)
        not_yet = called == (called[first] if len(t_s) else called)
        rows = np.flatnonzero((told & not_yet) | is_call)
        follows = np.concatenate((np.zeros(min(1, len(rows)), dtype=bool), np.diff(rows) == 1))
        follows &= np.concatenate((np.zeros(min(1, len(rows)), dtype=bool), np.diff(actor[rows]) == 0))
        return cls(
            actors, epochs, actor[rows], epoch[rows], value[rows], t_from_s[rows], t_s[rows], is_call[rows], follows
        )


class Truth:
    """Judges the places of the fans who were called in once, and came in with one number, of the reference system."""

    def __init__(self, evidence: Evidence, on_sale: OnSale, places: Places) -> None:
        self._evidence = evidence
        self._places = places
        self._rate_per_s, self._burst = limit_of(on_sale)
        self._grace_s = on_sale.place_grace_s
        self._margin_s = evidence.clock_margin_s
        self._enters = [enter for enter in evidence.enters.ok if enter.value.admission_no is not None]
        self._asked_s = np.sort(list(evidence.joins.first_invoked_s.values()))
        self._number_of = self._numbers()
        self._epochs = sorted({enter.value.epoch for enter in self._number_of.values()})
        calls = Counter(places.actor[places.is_call].tolist())
        epoch_of = dict(zip(places.actor[places.is_call].tolist(), places.epoch[places.is_call].tolist(), strict=True))
        numbers = [
            self._number_of[name].value.admission_no
            if calls[at] == 1 and name in self._number_of and self._is_of_call(name, epoch_of[at])
            else None
            for at, name in enumerate(places.actors.to_pylist())
        ]
        none = np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)
        called = np.array([epoch_of.get(at, -1) for at in range(len(numbers))], dtype=np.int64)
        self._number = none[places.actor] if len(none) else np.zeros(0)
        self._comparable = (
            ~places.is_call
            & np.isfinite(self._number)
            & (called[places.actor] == places.epoch if len(called) else np.zeros(0, dtype=bool))
        )

    def _is_of_call(self, fan: str, epoch: int) -> bool:
        """Whether the fan came in with the number of that call: after a loss of the queue's data it is another one."""
        return line_of(self._places.epochs[epoch].as_py()) == line_of(self._number_of[fan].value.epoch)

    @property
    def compared(self) -> int:
        """How many places could be compared with an admission number."""
        return int(np.count_nonzero(self._comparable))

    def wrong(self) -> Iterator[ToldPlace]:
        """The places that cannot have been so."""
        places = self._places
        for epoch in self._epochs:
            yield from self._wrong_of(epoch)
        joined = pc.is_in(places.actors, value_set=pa.array(list(self._evidence.joins.first_invoked_s), pa.string()))
        ours = joined.to_numpy(zero_copy_only=False)[places.actor] if len(places.actors) else np.zeros(0, dtype=bool)
        most = np.searchsorted(self._asked_s, places.t_to_s + self._margin_s, side="right")
        for at in np.flatnonzero(~places.is_call & ours & (places.value > most)).tolist():
            yield ToldPlace(at, f"was told position {places.value[at]}, when {most[at]} had asked for a place")

    def unheard(self) -> tuple[int, int]:
        """How many fans' places surely moved while they listened, and how many of those heard of it too late."""
        places, due, late = self._places, 0, 0
        for epoch in self._epochs:
            entered_s, highest = self._entered(epoch)
            rows = self._rows_of(epoch)
            rows = rows[(rows + 1 < len(places.actor))]
            rows = rows[places.follows[rows + 1]]
            if not len(rows) or not len(highest):
                continue
            moved = np.searchsorted(highest, self._number[rows] - places.value[rows], side="right")
            known = moved < len(highest)
            rows, moved = rows[known], moved[known]
            moved_s = np.maximum(entered_s[moved], places.t_to_s[rows])
            heard_s = places.t_to_s[rows + 1]
            listened = (highest[moved] < self._number[rows]) & (heard_s > moved_s)
            for at in np.flatnonzero(listened).tolist():
                listened[at] = not self._disturbed(float(moved_s[at]), float(heard_s[at]))
            band = np.searchsorted(np.array(NEAR_S) * self._rate_per_s, places.value[rows])
            due += int(np.count_nonzero(listened))
            late += int(np.count_nonzero(listened & (heard_s - moved_s > np.array(STILL_MAX_S)[band])))
        return due, late

    def _wrong_of(self, epoch: str) -> Iterator[ToldPlace]:
        places, rows = self._places, self._rows_of(epoch)
        entered_s, highest = self._entered(epoch)
        begins_s = float(self._asked_s[0]) if len(self._asked_s) else 0.0
        allowed = self._burst + self._rate_per_s * np.maximum(places.t_to_s[rows] - begins_s + self._margin_s, 0.0)
        most = np.maximum(np.floor(allowed), _highest_by(entered_s, highest, places.t_to_s[rows] + self._margin_s))
        least = _highest_by(entered_s, highest, places.t_from_s[rows] - self._margin_s)
        number, value = self._number[rows], places.value[rows]
        last_s = begins_s + self._grace_s
        late, early = number > most + value, number < least + value
        for at, so_many in zip(rows[late].tolist(), most[late].tolist(), strict=True):
            yield self._told(at, f"by then at most {so_many:g} had been admitted")
        for at, so_many in zip(rows[early].tolist(), least[early].tolist(), strict=True):
            if self._places.value[at] > 0 and self._enter(at).t_end_s < last_s:
                yield self._told(at, f"{so_many:g} had been admitted before that")

    def _told(self, at: int, why: str) -> ToldPlace:
        value, number = self._places.value[at], self._number[at]
        return ToldPlace(at, f"was told position {value}, and admitted as no. {number:g}: {why}", self._enter(at))

    def _enter(self, at: int) -> Operation[EnterValue]:
        return self._number_of[self._places.actors[int(self._places.actor[at])].as_py()]

    def _rows_of(self, epoch: str) -> Ints:
        """The comparable places of those who came in with a number of this epoch."""
        fans = [name for name, enter in self._number_of.items() if enter.value.epoch == epoch]
        ours = pc.is_in(self._places.actors, value_set=pa.array(fans, pa.string())).to_numpy(zero_copy_only=False)
        return np.flatnonzero(self._comparable & ours[self._places.actor]) if len(ours) else np.zeros(0, dtype=np.int64)

    def _numbers(self) -> dict[str, Operation[EnterValue]]:
        """Fan → how they came in, of those who have one number only and a ticket of their own."""
        found: dict[str, Operation[EnterValue]] = {}
        several = set()
        for enter in self._enters:
            first = found.setdefault(enter.actor, enter)
            if first.value != enter.value:
                several.add(enter.actor)
        return {name: enter for name, enter in found.items() if name not in several | self._evidence.showed_forged}

    def _entered(self, epoch: str) -> tuple[Floats, Floats]:
        """When fans had come in, in order, and the highest number that anybody had come in with by then."""
        known = sorted(
            (enter.t_end_s, enter.value.admission_no or 0) for enter in self._enters if enter.value.epoch == epoch
        )
        entered_s = np.array([t_s for t_s, _ in known], dtype=np.float64)
        return entered_s, np.maximum.accumulate(np.array([number for _, number in known], dtype=np.float64))

    def _disturbed(self, t_from_s: float, t_to_s: float) -> bool:
        return bool(self._evidence.faults_between(t_from_s - RECOVERY_S, t_to_s + 1.0))


def _before(actor: Ints, known_s: Floats) -> Floats:
    """For each row the latest instant of the rows before it of the same fan; rows come by fan."""
    latest = np.full(len(known_s), _NEVER_S)
    by_time = np.argsort(known_s, kind="stable")
    rank = np.empty(len(known_s), dtype=np.int64)
    rank[by_time] = np.arange(len(known_s))
    highest = np.maximum.accumulate(actor.astype(np.int64) * len(known_s) + rank) % max(len(known_s), 1)
    same = np.flatnonzero(np.diff(actor) == 0)
    latest[same + 1] = known_s[by_time[highest[same]]]
    return latest


def _highest_by(entered_s: Floats, highest: Floats, t_s: Floats) -> Floats:
    at = np.searchsorted(entered_s, t_s, side="right") - 1
    if not len(highest):
        return np.zeros(len(t_s))
    return np.where(at >= 0, highest[np.maximum(at, 0)], 0.0)
