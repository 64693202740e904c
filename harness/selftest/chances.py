"""Shows on a finished run that the chances of an invariant come from what exercises it, and from nothing else.

What exercises the invariant is left out of the record; the checker must then count no chance.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from harness.audit import INVARIANTS
from harness.audit.history import Evidence
from harness.audit.invariants import check
from harness.record.reader import Record
from harness.record.schema import TABLES, Function, Struct
from harness.record.verdict import Status

_FUNCTIONS: Final = frozenset(function.value for function in Function)


class Exercise(Struct, frozen=True):
    """How often a run put one invariant to the test, and how often without what exercises it."""

    invariant: str
    chances: int
    left_out: tuple[str, ...]
    chances_without: int
    held_without: bool

    @property
    def is_sound(self) -> bool:
        """There were chances; without what exercises the invariant there is none, and it is not called held."""
        return self.chances > 0 and self.chances_without == 0 and not self.held_without


def exercises(record: Record) -> tuple[Exercise, ...]:
    """One entry for each invariant that the platform of this run can show."""
    found = []
    for spec in (one for one in INVARIANTS.values() if record.run.has_plugin(one.plugin)):
        whole = check(spec, Evidence(record))
        if whole.status is Status.NOT_OBSERVABLE:
            continue
        rest = check(spec, Evidence(without(record, spec.exercised_by)))
        found.append(
            Exercise(
                invariant=spec.name,
                chances=whole.chances,
                left_out=spec.exercised_by,
                chances_without=rest.chances,
                held_without=rest.status is Status.HELD,
            )
        )
    return tuple(found)


_OF_STREAM: Final = {"feed": ("feed_stretches", "feed_delays")}
"""Tables that hold events of a stream, too."""


def without(record: Record, names: tuple[str, ...]) -> Record:
    """The record without the operations, the streams of events and the tables of these names."""
    functions = [name for name in names if name in _FUNCTIONS]
    streams = [name for name in names if name not in _FUNCTIONS and name not in TABLES]
    for name in names:
        if name in TABLES and name not in _FUNCTIONS:
            record = record.with_table(name, TABLES[name].empty_table())
    for name in _OF_STREAM.keys() & set(streams):
        for table in _OF_STREAM[name]:
            record = record.with_table(table, TABLES[table].empty_table())
    for table, column, left_out in (("operations", "function", functions), ("events", "stream", streams)):
        if left_out:
            rows = record.table(table)
            kept = pc.invert(pc.is_in(rows[column], value_set=pa.array(left_out)))
            record = record.with_table(table, rows.filter(kept))
    return record
