"""The seat feed of a record in the order in which each follower heard it, with summed-up stretches in their places.

Of a stretch (FEED_STRETCHES) the walk has the first and the last change; what the changes say is taken from the rows
that the same worker noted when it first received them. Texts are numbers here (dictionary-encoded), because there may
be millions of rows. Pure: tables in, a table and arrays out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import AS_NOTED, EVENTS, PROBE_ACTOR

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
COLUMNS: Final = ("worker", "user", "kind", "actor", "event", "t_s", "t_sent_s", "epoch", "seq", "value", "key")
"""The columns of EVENTS that a walk has."""
_NEVER: Final = -1
_WORKER_BITS: Final = 16
_DENSE: Final = 8  # so many times more numbers than rows are still counted in an array


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

    `unnoted`: changes within stretches that no row says the content of.
    """

    rows: pa.Table
    role: Ints
    unnoted: int = 0
    _stands_for: Ints | None = None  # null: each row for itself
    _log: _Log | None = None

    def stand_for(self, rows: Ints) -> int:
        """How many changes these rows are: the last one of a stretch is all but the first; one that a stretch counts is
        none."""
        return len(rows) if self._stands_for is None else int(self._stands_for[rows].sum())

    def heard_within(self, stretches: pa.Table, t_from_s: float, t_to_s: float) -> int:
        """How many changes inside of stretches, without their first and last, arrived within that time.

        When each arrived is not known; it counts when the follower's worker first received it.
        """
        return self._log.heard_within(self.rows, stretches, t_from_s, t_to_s) if self._log else 0

    @cached_property
    def actor(self) -> Ints:
        """A number for each row's follower."""
        return codes(self.rows["actor"])

    @cached_property
    def epoch(self) -> Ints:
        """A number for each row's epoch."""
        return codes(self.rows["epoch"])

    @cached_property
    def key(self) -> Ints:
        """A number for each row's key."""
        return codes(self.rows["key"])

    @cached_property
    def t_s(self) -> Floats:
        """When each was received."""
        return _floats(self.rows["t_s"])

    @cached_property
    def t_sent_s(self) -> Floats:
        """The platform's stamps; NaN where there is none."""
        return _floats(self.rows["t_sent_s"])

    @cached_property
    def seq(self) -> Ints:
        """Sequence numbers; -1 where there is none."""
        return _ints(self.rows["seq"], _NEVER)

    @cached_property
    def value(self) -> Ints:
        """Values; 0 where there is none."""
        return _ints(self.rows["value"], 0)

    @cached_property
    def has_seq(self) -> Bools:
        """Which rows have a sequence number."""
        return _bools(pc.is_valid(self.rows["seq"]))

    def are(self, event: str) -> Bools:
        """Which rows are such events."""
        return self.have("event", (event,))

    def have(self, column: str, texts: Sequence[str]) -> Bools:
        """Which rows have one of these texts in that column."""
        known = _bools(pc.is_in(self.rows[column].combine_chunks().dictionary, value_set=pa.array(texts, pa.string())))
        found: Bools = known[codes(self.rows[column])]
        return found

    @cached_property
    def looks_in(self) -> Bools:
        """Which rows are of actors who only look in at the feed."""
        column = self.rows["actor"].combine_chunks()
        found: Bools = _bools(pc.starts_with(column.dictionary, PROBE_ACTOR))[self.actor]
        return found

    @cached_property
    def fills_snapshot(self) -> Bools:
        """Which rows only fill the follower's snapshot, as many as that one announced."""
        head = _latest(self.are("snapshot"))
        fills = (head >= 0) & self.are("seat")
        fills &= (self.actor[head] == self.actor) & (self.epoch[head] == self.epoch) & (self.seq[head] == self.seq)
        written = np.where(self.have("key", (AS_NOTED,)), 0, self.value)
        found: Bools = fills & (np.arange(len(head)) - head <= written[head])
        return found

    @cached_property
    def changes(self) -> Ints:
        """The rows that say what a number means, each as often as somebody was told."""
        return np.flatnonzero(self.are("seat") & self.has_seq & (self.role <= Role.NOTED) & ~self.fills_snapshot)

    @cached_property
    def first_of(self) -> Ints:
        """For each of `changes` the row in which anybody first heard of that number."""
        number = firsts(self.epoch[self.changes], self.seq[self.changes])
        t_s = self.t_s[self.changes]
        soonest_s = np.full(len(number), np.inf)
        np.minimum.at(soonest_s, number, t_s)
        soonest = np.flatnonzero(t_s == soonest_s[number])
        first = np.zeros(len(number), np.int64)
        first[number[soonest][::-1]] = soonest[::-1]  # of several the last that is written stays: the first
        of_changes: Ints = self.changes[first[number]]
        return of_changes

    @property
    def log(self) -> Ints:
        """The rows in which each number was first heard of, by time."""
        first = self.changes[self.first_of == self.changes]
        by_time: Ints = first[np.argsort(self.t_s[first], kind="stable")]
        return by_time

    @property
    def said(self) -> Ints:
        """Rows that together say all that was said of seats: the log, what contradicts it, and snapshots."""
        same = (self.key[self.changes] == self.key[self.first_of]) & (
            self.value[self.changes] == self.value[self.first_of]
        )
        told = self.changes[(self.first_of == self.changes) | ~same]
        rows: Ints = np.union1d(told, np.flatnonzero(self.fills_snapshot | (self.are("seat") & ~self.has_seq)))
        return rows


def encoded(rows: pa.Table) -> pa.Table:
    """The same with each text once, in one piece."""
    return pa.table([_in_one_piece(one) for one in rows.columns], names=rows.column_names)


def walk(rows: pa.Table, stretches: pa.Table) -> FeedWalk:
    """Of rows with `COLUMNS`, all of the stream "feed", and rows of FEED_STRETCHES."""
    columns = dict(zip(COLUMNS, rows.select(COLUMNS).columns, strict=True))
    del rows  # of millions of rows one column at a time is there twice
    if not stretches.num_rows:
        return _by_follower(columns)
    rows = pa.table({name: _in_one_piece(columns.pop(name)) for name in COLUMNS})
    long = stretches.filter(pc.greater(stretches["seq_to"], stretches["seq_from"]))
    parts = [rows, encoded(_ends(stretches, "from")), encoded(_ends(long, "to"))]
    everything = encoded(pa.concat_tables(parts))
    role = np.repeat((Role.ROW, Role.FIRST, Role.LAST), [part.num_rows for part in parts]).astype(np.int8)
    nobody = np.full(rows.num_rows, _NEVER)
    until_seq = np.concatenate([nobody, stretches["seq_to"].to_numpy(), long["seq_to"].to_numpy()])
    until_s = np.concatenate([nobody, stretches["t_to_s"].to_numpy(), long["t_to_s"].to_numpy()])
    weight = np.ones(len(role), np.int64)
    weight[len(role) - long.num_rows :] = long["seq_to"].to_numpy() - long["seq_from"].to_numpy()
    place = np.array([1, 1, 0, 2])[role]  # at one instant a stretch has begun, and has not ended
    order = np.lexsort((place, _floats(everything["t_s"]), codes(everything["actor"])))
    role, weight = role[order], weight[order]
    walked = FeedWalk(everything.take(pa.array(order)).combine_chunks(), role, 0, weight)
    noted = _within(walked, until_seq[order], until_s[order])
    role[noted], weight[noted] = Role.NOTED, 0
    log = _Log.of(walked)
    return FeedWalk(log.fill(walked.rows, role), role, log.missing(stretches), weight, log)


def _by_follower(columns: dict[str, pa.ChunkedArray]) -> FeedWalk:
    """Of rows for which no stretch stands; takes the columns out of `columns`."""
    columns["actor"] = actors = _in_one_piece(columns["actor"])
    order = _order(codes(actors), _floats(columns["t_s"]))
    at = None if order is None else pa.array(order)
    del actors, order
    ordered = {}
    for name in COLUMNS:
        column = _in_one_piece(columns.pop(name))
        ordered[name] = column if at is None else column.take(at)
    rows = pa.table(ordered)
    return FeedWalk(rows, np.zeros(rows.num_rows, np.int8))


def _order(actor: Ints, t_s: Floats) -> Ints | None:
    """The rows by follower and time; null: they are in that order.

    Each worker writes down what a follower heard as it came. So it mostly is enough to part the followers, for which
    numpy need not compare numbers of 16 bits.
    """
    narrow = actor.astype(np.uint16) if actor.max(initial=0) <= np.iinfo(np.uint16).max else actor
    if _is_ordered(actor, t_s):
        return None
    order: Ints = np.argsort(narrow, kind="stable")
    if not _is_ordered(actor[order], t_s[order]):
        order = np.lexsort((t_s, actor))
    return order


def _is_ordered(actor: Ints, t_s: Floats) -> bool:
    later = (actor[1:] > actor[:-1]) | ((actor[1:] == actor[:-1]) & (t_s[1:] >= t_s[:-1]))
    return bool(later.all())


def _in_one_piece(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with each text once, in one chunk."""
    once = column.dictionary_encode() if pa.types.is_string(column.type) else column
    return pa.chunked_array([once.unify_dictionaries().combine_chunks()], once.type)


def codes(column: pa.ChunkedArray) -> Ints:
    """A number for each different text."""
    encoded_once = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    found: Ints = encoded_once.unify_dictionaries().combine_chunks().indices.to_numpy(zero_copy_only=False)
    return found


def firsts(group: Ints, number: Ints) -> Ints:
    """For each entry the place of the first entry of the same group and number."""
    if not len(group):
        return np.zeros(0, np.int64)
    low, groups = int(number.min()), int(group.max()) + 1
    span = int(number.max()) - low + 1
    if groups * span > _DENSE * len(group) + 1024:
        number = np.unique(number, return_inverse=True)[1]
        low, span = 0, int(number.max()) + 1
    if groups * span > _DENSE * len(group) + 1024:
        _, place, whose = np.unique(group.astype(np.int64) * span + number, return_index=True, return_inverse=True)
        where: Ints = place[whose]
        return where
    name = group.astype(np.int64) * span + (number - low)
    first = np.zeros(groups * span, np.int64)
    first[name[::-1]] = np.arange(len(name) - 1, -1, -1)  # of several the last that is written stays: the first
    found: Ints = first[name]
    return found


def _ends(stretches: pa.Table, end: str) -> pa.Table:
    """The changes with which stretches begin, or end, as rows; what they say is filled in later."""
    count = stretches.num_rows
    columns = {
        **{name: stretches[name] for name in ("worker", "user", "kind", "actor", "epoch")},
        "event": pa.array(np.full(count, "seat"), pa.string()),
        "t_s": stretches[f"t_{end}_s"],
        "t_sent_s": pa.nulls(count, pa.float64()),
        "seq": stretches[f"seq_{end}"],
        "value": pa.nulls(count, pa.int64()),
        "key": pa.array(np.full(count, ""), pa.string()),
    }
    schema = pa.schema([EVENTS.field(name).with_nullable(True) for name in COLUMNS])
    return pa.table([columns[name] for name in COLUMNS], schema=schema)


def _latest(marks: Bools) -> Ints:
    """For each place the latest place up to it that is marked; -1 where there is none."""
    found: Ints = np.maximum.accumulate(np.where(marks, np.arange(len(marks)), -1))
    return found


def _floats(column: pa.ChunkedArray) -> Floats:
    found: Floats = column.to_numpy()
    return found


def _ints(column: pa.ChunkedArray, none: int) -> Ints:
    found: Ints = (pc.fill_null(column, none) if column.null_count else column).to_numpy()
    return found


def _bools(column: pa.ChunkedArray | pa.Array) -> Bools:
    found: Bools = column.to_numpy(zero_copy_only=False)
    return found


def _within(walked: FeedWalk, until_seq: Ints, until_s: Floats) -> Bools:
    """The rows that are part of their follower's stretch."""
    of, actor, epoch, seq = _latest(walked.role == Role.FIRST), walked.actor, walked.epoch, walked.seq
    found: Bools = (of >= 0) & (walked.role == Role.ROW) & walked.are("seat") & walked.has_seq
    found &= (actor[of] == actor) & (epoch[of] == epoch)
    found &= (seq >= seq[of]) & (seq <= until_seq[of]) & (walked.t_s <= until_s[of])
    return found


@dataclass(frozen=True)
class _Log:
    """What each worker first heard at each number: `row` of the walk, by `name` = (worker, epoch, number) as one."""

    name: Ints
    row: Ints
    seqs: Ints
    epochs: pa.Array

    @classmethod
    def of(cls, walked: FeedWalk) -> _Log:
        at = walked.changes
        taken = walked.rows.select(["worker", "epoch", "seq", "t_s"]).take(pa.array(at))
        log = cls(at, at, np.unique(walked.seq[at]), pc.unique(taken["epoch"].cast(pa.string())))
        names = log._name(log._whose(taken)[0], np.searchsorted(log.seqs, walked.seq[at]))
        order = np.lexsort((walked.t_s[at], names))
        first = np.flatnonzero(np.diff(names[order], prepend=-1))
        return replace(log, name=names[order][first], row=at[order][first])

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

    def _span(self, stretches: pa.Table, first: Ints, last: Ints) -> tuple[Ints, Ints]:
        """The places in the log from the first number that it has to the last."""
        whose, known = self._whose(stretches)
        low = np.searchsorted(self.name, self._name(whose, np.searchsorted(self.seqs, first, side="left")))
        high = np.searchsorted(self.name, self._name(whose, np.searchsorted(self.seqs, last, side="right")))
        return low, np.where(known, high, low)

    def _name(self, whose: Ints, place: Ints) -> Ints:
        return whose * (len(self.seqs) + 1) + place

    def _whose(self, rows: pa.Table) -> tuple[Ints, Bools]:
        """A number for each row's worker and epoch; and whether the log has that epoch at all."""
        epoch = pc.index_in(rows["epoch"], value_set=self.epochs)
        number = pc.fill_null(epoch, 0).to_numpy().astype(np.int64) << _WORKER_BITS | rows["worker"].to_numpy()
        return number, _bools(pc.is_valid(epoch))
