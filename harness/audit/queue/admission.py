"""Checks `admission_rate`: over any stretch of time the platform admits no more fans than its rate and burst allow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import JoinValue, Operations, V
from harness.audit.queue.places import doubt_numbers
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally
from harness.scenario import OnSale

_NEVER_S: Final = float("-inf")
_TICKS_PER_S: Final = 1_000_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Admissions:
    """Admissions by epoch and number, an array of each property. Admission i lies in [waiting_s[i], told_s[i]]: the fan
    surely still waited, and surely was admitted. `joined_s`: when the fan was first told of a place, +∞: never.

    `epochs`: numbers 0, 1, 2 … in the order in which the epochs followed one another.
    """

    actors: pa.Array
    epochs: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    joined_s: Floats
    waiting_s: Floats
    told_s: Floats

    @property
    def tell_an_order(self) -> bool:
        """Every number was given once in its epoch."""
        return bool(np.all((np.diff(self.numbers) > 0) | (np.diff(self.epochs) > 0)))

    @property
    def epochs_follow(self) -> bool:
        """Of two epochs in a row, somebody was surely admitted in the first while somebody waited for the second."""
        starts = np.flatnonzero(np.diff(self.epochs, prepend=-1))
        if len(starts) < 2:
            return True
        first_told_s = np.minimum.reduceat(self.told_s, starts)
        last_waiting_s = np.maximum.reduceat(self.waiting_s, starts)
        return bool(np.all(first_told_s[:-1] <= last_waiting_s[1:]))


@dataclass(frozen=True, slots=True)
class Stretch:
    """The admissions from `first` to `last`, by index: so many, within so long, where so many are allowed."""

    first: int
    last: int
    length_s: float
    allowed: float

    @property
    def count(self) -> int:
        """How many admissions."""
        return self.last - self.first + 1


def admission_rate(evidence: Evidence) -> Tally:
    """In no stretch of time more fans are admitted than rate × length + burst: 1, 10, 60 s, and any other.

    When a fan was admitted is not seen, but bounded: not before the last-but-one position event was sent (by the
    platform's stamp; the last one may have been looked up before), and at the latest when they were told. Admission
    numbers give the order, so that each bound holds for all who come after, or before; where they begin again in
    another epoch, all of the one come before all of the other. A stretch is flagged only if even the widest reading of
    its ends leaves too many in it. With an adaptive rate the ceiling is the limit.

    Chances: fans who surely waited already when the burst-th fan before them was let in. At once they were too many.
    """
    tally = Tally(evidence, unknowns=evidence.enters.unknowns, chances=0)
    if evidence.on_sale is None:
        tally.hidden = "how fast fans may be let in is not declared"
        return tally
    seen = _admissions(evidence)
    tally.checked = len(seen.actors)
    if not seen.tell_an_order:
        tally.undecided = True
        tally.note = "admission numbers were given twice, so they tell no order"
        return tally
    if not seen.epochs_follow:
        tally.undecided = True
        tally.note = "the numbers began again, and nobody saw which epoch came first"
        return tally
    narrowed = _narrowed(seen)
    if np.any(narrowed.waiting_s > narrowed.told_s + evidence.clock_margin_s):
        tally.undecided = True
        tally.note = "admission numbers contradict what fans were told when, so they tell no order"
        return tally
    rate_per_s, burst = limit_of(evidence.on_sale)
    tally.chances = int(np.count_nonzero(narrowed.joined_s[burst:] <= narrowed.waiting_s[: -burst or None]))
    worst = _worst(narrowed, rate_per_s, burst)
    if worst is None:
        tally.checked = 0
        tally.note = "nobody is known to have waited and then been admitted with an admission number"
        return tally
    found = f"{worst.count} fans were admitted within {worst.length_s:.2f} s"
    promised = f"at {rate_per_s:g} per s and a burst of {burst} at most {int(worst.allowed)} may be"
    if worst.count > worst.allowed:
        tally.violated(f"{found}; {promised}", *_moments(narrowed, worst))
    else:
        tally.note = f"at the closest {found}; {promised}"
    doubt_numbers(evidence, tally)
    return tally


def limit_of(on_sale: OnSale) -> tuple[float, int]:
    """The highest rate per s and the burst at which the on-sale lets fans in."""
    fixed = on_sale.admission == "fixed"
    return on_sale.admission_rate_per_s if fixed else on_sale.admission_ceiling_per_s, on_sale.admission_burst


def _worst(admitted: Admissions, rate_per_s: float, burst: int) -> Stretch | None:
    """The stretch nearest to its limit, or furthest beyond; null where no instant is known. One pass.

    A stretch from a to b is beyond its limit by (b + 1 − rate × told_b) − (a − rate × waiting_a) − burst: for each
    end the start that costs least so far is best.
    """
    index = np.arange(len(admitted.actors))
    cost = index - rate_per_s * admitted.waiting_s
    cheapest = np.minimum.accumulate(cost)
    beyond = index + 1 - rate_per_s * admitted.told_s - cheapest
    if not np.any(np.isfinite(beyond)):
        return None
    last = int(np.argmax(np.where(np.isfinite(beyond), beyond, _NEVER_S)))
    first = int(np.argmin(cost[: last + 1]))
    length_s = float(admitted.told_s[last] - admitted.waiting_s[first])
    return Stretch(first, last, length_s, rate_per_s * length_s + burst)


def _narrowed(seen: Admissions) -> Admissions:
    """Each interval as narrow as the order of the numbers makes it."""
    waiting_s = np.maximum.accumulate(seen.waiting_s)
    told_s = np.minimum.accumulate(seen.told_s[::-1])[::-1]
    return Admissions(seen.actors, seen.epochs, seen.numbers, seen.joined_s, waiting_s, told_s)


def _admissions(evidence: Evidence) -> Admissions:
    """One for each fan and admission number. A forged ticket has the number of its owner, and is left out."""
    enters = evidence.enters.ok
    forged = pa.array(sorted(evidence.showed_forged), pa.string())
    actors, entered_s = enters.actors, enters.t_end_s
    numbers: Floats = pc.fill_null(enters.column("admission_no").cast(pa.float64(), safe=False), math.nan).to_numpy()
    epochs = _in_order(enters.column("epoch"), entered_s)
    owner = pc.dictionary_encode(actors).indices.to_numpy()
    counted = np.flatnonzero(np.isfinite(numbers) & ~_is_in(actors, forged))
    # stable: the first of each stays the first
    counted = counted[np.lexsort((owner[counted], numbers[counted], epochs[counted]))]
    same = [np.diff(column[counted]) == 0 for column in (epochs, numbers, owner)]
    counted = counted[~np.concatenate((np.zeros(min(1, len(counted)), dtype=bool), np.all(same, axis=0)))]
    actors, entered_s = actors.take(pa.array(counted)), entered_s[counted]
    waiting_s, told_s = _streamed(evidence, actors, entered_s)
    joins = evidence.joins
    waiting_s = np.maximum(_of(actors, joins.first_invoked, "t_invoke_s", _NEVER_S), waiting_s)
    joined_s = _of(actors, _first_acked(joins.ok), "t_acked_s", np.inf)
    told_s = np.minimum(entered_s, told_s)
    return Admissions(actors, epochs[counted], numbers[counted].astype(np.int64), joined_s, waiting_s, told_s)


def _in_order(epochs: pa.Array, entered_s: Floats) -> npt.NDArray[np.int64]:
    """For each exchange the number of its epoch, in the order in which they were first seen, or else of their names."""
    if not len(epochs):
        return np.zeros(0, dtype=np.int64)
    named = pc.dictionary_encode(epochs)
    codes: npt.NDArray[np.int64] = np.argsort(np.argsort(named.dictionary.to_pylist()))[named.indices.to_numpy()]
    first_s = np.full(codes.max() + 1, np.inf)
    np.minimum.at(first_s, codes, entered_s)
    return np.argsort(np.argsort(first_s, kind="stable"))[codes].astype(np.int64)


def _first_acked(joins: Operations[JoinValue]) -> pa.Table:
    """Columns actor and t_acked_s: when each actor was first told of a place."""
    acked = pa.table({"actor": joins.actors, "t": joins.t_end_s}).group_by("actor").aggregate([("t", "min")])
    return acked.rename_columns({"actor": "actor", "t_min": "t_acked_s"})


def _of(actors: pa.Array, rows: pa.Table, column: str, otherwise: float) -> Floats:
    """The column's value in the one row of each of these actors."""
    rows = rows.combine_chunks()
    at = pc.index_in(actors, rows["actor"])
    found: Floats = pc.fill_null(rows[column].take(at), otherwise).to_numpy()
    return found


def _is_in(actors: pa.Array, names: pa.Array) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.is_in(actors, value_set=names).to_numpy(zero_copy_only=False)
    return found


def _streamed(evidence: Evidence, actors: pa.Array, until_s: Floats) -> tuple[Floats, Floats]:
    """What the position streams of these fans said by these instants: surely waiting, surely admitted; ∓∞: nothing.

    Who was told that they are admitted, and then at the door to wait, had been admitted before a loss: that call is
    void.
    """
    calls = evidence.events("positions", ("admitted",), ("actor", "t_s"))
    positions = evidence.events("positions", ("position",), ("actor", "t_s", "t_sent_s"))
    positions = positions.filter(pc.is_valid(positions["t_sent_s"]))
    delay_s = pc.min(pc.subtract(positions["t_s"], positions["t_sent_s"])).as_py() or 0.0
    ahead_s = min(0.0, delay_s)  # a stamp from the future: the platform's clock is ahead by at least this
    told_s = _last(calls, "t_s", actors, until_s, back=1, otherwise=np.inf)
    refused = evidence.enters.failed_with("waiting")
    refused_s = _last(_timed(refused), "t_s", actors, until_s, back=1, otherwise=-np.inf)
    told_s = np.where(told_s > refused_s, told_s, np.inf)
    waiting_s = _last(positions, "t_sent_s", actors, np.minimum(until_s, told_s), back=2, otherwise=-np.inf)
    return waiting_s + ahead_s, told_s


def _timed(operations: Operations[V]) -> pa.Table:
    return pa.table({"actor": operations.actors, "t_s": operations.t_end_s})


def _last(rows: pa.Table, column: str, actors: pa.Array, until_s: Floats, *, back: int, otherwise: float) -> Floats:
    """For each of these fans the column's value in their last row received by then, or in the `back`-th from there."""
    if not rows.num_rows or not len(actors):
        return np.full(len(actors), otherwise)
    names = pc.unique(rows["actor"])
    owner = pc.index_in(rows["actor"], names).to_numpy().astype(np.int64)
    t_s, values = rows["t_s"].to_numpy(), rows[column].to_numpy()
    order = np.lexsort((t_s, owner))
    owner, values = owner[order], values[order]
    start_s = min(float(t_s.min()), float(until_s.min()))
    span = round((max(float(t_s.max()), float(until_s.max())) - start_s) * _TICKS_PER_S) + 1

    def key(who: npt.NDArray[np.int64], when_s: Floats) -> npt.NDArray[np.int64]:
        """Fan and instant in one number, to the microsecond."""
        return who * span + np.rint((when_s - start_s) * _TICKS_PER_S).astype(np.int64)

    asked = pc.fill_null(pc.index_in(actors, names), -1).to_numpy().astype(np.int64)
    at = np.searchsorted(key(owner, t_s[order]), key(asked, until_s), side="right") - back
    found = (at >= 0) & (owner[np.maximum(at, 0)] == asked)
    result: Floats = np.where(found, values[np.maximum(at, 0)], otherwise)
    return result


def _moments(admitted: Admissions, worst: Stretch) -> tuple[Moment, Moment]:
    first, last = worst.first, worst.last
    start_s, end_s = float(admitted.waiting_s[first]), float(admitted.told_s[last])
    early, late = admitted.actors[first].as_py(), admitted.actors[last].as_py()
    again = " of a later epoch" if admitted.epochs[first] < admitted.epochs[last] else ""
    waited = f"admission no. {admitted.numbers[first]} was not yet given: {early}, or one let in before, still waited"
    told = f"admission no. {admitted.numbers[last]}{again} was given by now: {late}, or one let in after, was told so"
    return Moment(early, waited, (start_s, start_s)), Moment(late, told, (start_s, end_s))


ADMISSION_RATE: Final = specified("admission_rate", admission_rate)
