"""The seat feed of a record in the order in which each follower heard it, with summed-up stretches in their places.

Of a stretch (FEED_STRETCHES) the walk has the first and the last change; what the changes say is taken from the rows
that the same worker noted when it first received them. Pure: tables in, a table out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import AS_NOTED, EVENTS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
COLUMNS: Final = ("worker", "actor", "event", "t_s", "epoch", "seq", "value", "key")
"""The columns of EVENTS that a walk needs, which it also gives."""
_NEVER: Final = -1
_WORKER_BITS: Final = 16


class Role(IntEnum):
    """What a row of a walk is: a row of EVENTS; one that is part of a stretch, too; the first or the last change of a
    stretch."""

    ROW = 0
    NOTED = 1
    FIRST = 2
    LAST = 3


@dataclass(frozen=True)
class FeedWalk:
    """`rows`: by follower and time; rows of one instant stay in their order. `role`: of each row.

    `stands_for`: how many changes a row is: of the last one of a stretch all but the first, of one that a stretch
    counts none. `unnoted`: changes within stretches that no row says the content of.
    """

    rows: pa.Table
    role: Ints
    stands_for: Ints
    unnoted: int = 0
    _log: _Log | None = None

    def heard_within(self, stretches: pa.Table, t_from_s: float, t_to_s: float) -> int:
        """How many changes inside of stretches, without their first and last, arrived within that time.

        When each arrived is not known; it counts when the follower's worker first received it.
        """
        return self._log.heard_within(self.rows, stretches, t_from_s, t_to_s) if self._log else 0


def walk(rows: pa.Table, stretches: pa.Table) -> FeedWalk:
    """Of rows with `COLUMNS`, all of the stream "feed", and rows of FEED_STRETCHES."""
    if not stretches.num_rows:
        return FeedWalk(by_follower(rows), np.zeros(rows.num_rows, np.int64), np.ones(rows.num_rows, np.int64))
    long = stretches.filter(pc.greater(stretches["seq_to"], stretches["seq_from"]))
    parts = [rows.select(COLUMNS), _ends(stretches, "from"), _ends(long, "to")]
    everything = pa.concat_tables(parts).combine_chunks()
    role = np.repeat((Role.ROW, Role.FIRST, Role.LAST), [part.num_rows for part in parts]).astype(np.int64)
    nobody = np.full(rows.num_rows, _NEVER)
    until_seq = np.concatenate([nobody, stretches["seq_to"].to_numpy(), long["seq_to"].to_numpy()])
    until_s = np.concatenate([nobody, stretches["t_to_s"].to_numpy(), long["t_to_s"].to_numpy()])
    weight = np.ones(len(role), np.int64)
    weight[len(role) - long.num_rows :] = long["seq_to"].to_numpy() - long["seq_from"].to_numpy()
    place = np.array([1, 1, 0, 2])[role]  # at one instant a stretch has begun, and has not ended
    order = np.lexsort((place, everything["t_s"].to_numpy(), codes(everything["actor"])))
    ordered = everything.take(pa.array(order)).combine_chunks()
    role, weight, until_seq, until_s = role[order], weight[order], until_seq[order], until_s[order]
    noted = _within(ordered, role, until_seq, until_s)
    role[noted], weight[noted] = Role.NOTED, 0
    log = _Log.of(ordered, role)
    return FeedWalk(log.fill(ordered, role), role, weight, log.missing(stretches), log)


def by_follower(rows: pa.Table) -> pa.Table:
    """The rows by follower and time; rows of one instant stay in their order."""
    order = np.lexsort((rows["t_s"].to_numpy(), codes(rows["actor"])))  # stable
    return rows.take(pa.array(order)).combine_chunks()


def is_in_snapshot(rows: pa.Table) -> Bools:
    """Of rows by follower and time: which only fill the follower's snapshot, as many as that one announced."""
    actor, epoch, seq = codes(rows["actor"]), codes(rows["epoch"]), pc.fill_null(rows["seq"], _NEVER).to_numpy()
    head = _latest(pc.equal(rows["event"], "snapshot").to_numpy(zero_copy_only=False))
    fills = (head >= 0) & pc.equal(rows["event"], "seat").to_numpy(zero_copy_only=False)
    fills &= (actor[head] == actor) & (epoch[head] == epoch) & (seq[head] == seq)
    written = pc.if_else(pc.equal(rows["key"], AS_NOTED), 0, pc.fill_null(rows["value"], 0)).to_numpy()
    found: Bools = fills & (np.arange(len(head)) - head <= written[head])
    return found


def codes(column: pa.ChunkedArray) -> Ints:
    """A number for each different text."""
    found: Ints = pc.dictionary_encode(column).combine_chunks().indices.to_numpy().astype(np.int64)
    return found


def _ends(stretches: pa.Table, end: str) -> pa.Table:
    """The changes with which stretches begin, or end, as rows; what they say is filled in later."""
    count = stretches.num_rows
    columns = {
        "worker": stretches["worker"],
        "actor": stretches["actor"],
        "event": pa.array(np.full(count, "seat"), pa.string()),
        "t_s": stretches[f"t_{end}_s"],
        "epoch": stretches["epoch"],
        "seq": stretches[f"seq_{end}"],
        "value": pa.nulls(count, pa.int64()),
        "key": pa.array(np.full(count, ""), pa.string()),
    }
    return pa.table([columns[name] for name in COLUMNS], schema=pa.schema([EVENTS.field(name) for name in COLUMNS]))


def _latest(marks: Bools) -> Ints:
    """For each place the latest place up to it that is marked; -1 where there is none."""
    found: Ints = np.maximum.accumulate(np.where(marks, np.arange(len(marks)), -1))
    return found


def _within(rows: pa.Table, role: Ints, until_seq: Ints, until_s: npt.NDArray[np.float64]) -> Bools:
    """The rows that are part of their follower's stretch."""
    actor, epoch, seq = codes(rows["actor"]), codes(rows["epoch"]), pc.fill_null(rows["seq"], _NEVER).to_numpy()
    of = _latest(role == Role.FIRST)
    is_seat = pc.and_(pc.equal(rows["event"], "seat"), pc.is_valid(rows["seq"])).to_numpy(zero_copy_only=False)
    found: Bools = (of >= 0) & (role == Role.ROW) & is_seat & (actor[of] == actor) & (epoch[of] == epoch)
    found &= (seq >= seq[of]) & (seq <= until_seq[of]) & (rows["t_s"].to_numpy() <= until_s[of])
    return found


@dataclass(frozen=True)
class _Log:
    """What each worker first heard at each number: `row` of the walk, by `name` = (worker, epoch, number) as one."""

    name: Ints
    row: Ints
    seqs: Ints
    epochs: pa.Array

    @classmethod
    def of(cls, rows: pa.Table, role: Ints) -> _Log:
        is_change = pc.and_(pc.equal(rows["event"], "seat"), pc.is_valid(rows["seq"])).to_numpy(zero_copy_only=False)
        at = np.flatnonzero(is_change & (role <= Role.NOTED) & ~is_in_snapshot(rows))
        taken = rows.select(["worker", "epoch", "seq", "t_s"]).take(pa.array(at))
        log = cls(at, at, np.unique(taken["seq"].to_numpy()), pc.unique(taken["epoch"]))
        names = log._name(log._whose(taken)[0], np.searchsorted(log.seqs, taken["seq"].to_numpy()))
        order = np.lexsort((taken["t_s"].to_numpy(), names))
        firsts = np.flatnonzero(np.diff(names[order], prepend=-1))
        return replace(log, name=names[order][firsts], row=at[order][firsts])

    def missing(self, stretches: pa.Table) -> int:
        """How many changes of these stretches are not in it."""
        first, last = stretches["seq_from"].to_numpy(), stretches["seq_to"].to_numpy()
        low, high = self._span(stretches, first, last)
        return int((last - first + 1 - (high - low)).sum())

    def heard_within(self, rows: pa.Table, stretches: pa.Table, t_from_s: float, t_to_s: float) -> int:
        """See `FeedWalk.heard_within`."""
        first, last = stretches["seq_from"].to_numpy(), stretches["seq_to"].to_numpy()
        low, high = self._span(stretches, first + 1, last - 1)
        heard_s = rows["t_s"].to_numpy()[self.row]
        before = np.concatenate(([0], np.cumsum((heard_s >= t_from_s) & (heard_s <= t_to_s))))
        return int((before[np.maximum(low, high)] - before[low]).sum())

    def _span(self, stretches: pa.Table, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """The places in the log from the first number that it has to the last."""
        whose, known = self._whose(stretches)
        low = np.searchsorted(self.name, self._name(whose, np.searchsorted(self.seqs, first, side="left")))
        high = np.searchsorted(self.name, self._name(whose, np.searchsorted(self.seqs, last, side="right")))
        return low, np.where(known, high, low)

    def fill(self, rows: pa.Table, role: Ints) -> pa.Table:
        """The rows, those of stretches with the seat and its state."""
        if not len(self.name):
            return rows
        ends = np.flatnonzero(role >= Role.FIRST)
        of = rows.take(pa.array(ends))
        whose, known = self._whose(of)
        seq = of["seq"].to_numpy()
        place = np.minimum(np.searchsorted(self.seqs, seq), len(self.seqs) - 1)
        name = self._name(whose, place)
        at = np.minimum(np.searchsorted(self.name, name), len(self.name) - 1)
        known &= (self.seqs[place] == seq) & (self.name[at] == name)
        source = np.arange(rows.num_rows)
        source[ends[known]] = self.row[at[known]]
        for column in ("value", "key"):
            filled = rows[column].take(pa.array(source))
            rows = rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), filled)
        return rows.combine_chunks()

    def _name(self, whose: Ints, place: Ints) -> Ints:
        return whose * (len(self.seqs) + 1) + place

    def _whose(self, rows: pa.Table) -> tuple[Ints, Bools]:
        """A number for each row's worker and epoch; and whether the log has that epoch at all."""
        epoch = pc.index_in(rows["epoch"], value_set=self.epochs)
        number = pc.fill_null(epoch, 0).to_numpy().astype(np.int64) << _WORKER_BITS | rows["worker"].to_numpy()
        return number, pc.is_valid(epoch).to_numpy(zero_copy_only=False)
