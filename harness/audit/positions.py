"""What waiting fans are told of their place: it gets better or stays, and is nobody else's when it is taken up."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.tally import VIOLATIONS_KEPT, Moment, Tally
from harness.record.schema import EVENTS

_KINDS: Final = ("connect", "position", "admitted")
_COLUMNS: Final = ("actor", "event", "t_s", "epoch", "value")
Ints = npt.NDArray[np.int64]


def position_monotonic(evidence: Evidence) -> Tally:
    """Within an epoch no fan is told a later place than before; regressions after a reconnect are counted apart.

    A new epoch (the queue was put together again) and an admission end the comparison. The answer to a join tells a
    place too. A place that is told before 1 is none.
    """
    tally = Tally(evidence)
    told = _told(evidence)
    tally.checked = told.num_rows
    if not told.num_rows:
        tally.note = "nobody was told a position"
        return tally
    actor, place, epoch = (told[name].to_numpy() for name in ("actor_no", "place", "epoch_no"))
    value, connection = told["value"].to_numpy(), told["connection"].to_numpy()
    same = (np.diff(actor) == 0) & (np.diff(place) == 0) & (np.diff(epoch) == 0)
    worse = np.flatnonzero(same & (np.diff(value) > 0))
    after_reconnect = int(np.count_nonzero(connection[worse] != connection[worse + 1]))
    for row in worse[:VIOLATIONS_KEPT]:
        _report(told, int(row), reconnected=bool(connection[row] != connection[row + 1]), tally=tally)
    tally.violations_total += max(0, len(worse) - VIOLATIONS_KEPT)
    for row in np.flatnonzero(value < 0)[:VIOLATIONS_KEPT]:
        before_first = _moment(told, int(row))
        tally.violated(f"{before_first.actor} was told a place that does not exist", before_first)
    if len(worse):
        tally.note = f"{after_reconnect} of {len(worse)} regressions after a reconnect"
    return tally


def _told(evidence: Evidence) -> pa.Table:
    """Every told position by fan, wait, epoch and time. `place` counts admissions, `connection` streams."""
    rows = pa.concat_tables([_from_streams(evidence), _from_joins(evidence)])
    rows = rows.append_column("row", pa.array(np.arange(rows.num_rows)))
    rows = rows.sort_by([("actor", "ascending"), ("t_s", "ascending"), ("row", "ascending")]).combine_chunks()
    kind = rows["event"]
    counted = {
        "place": np.cumsum(pc.equal(kind, "admitted").to_numpy()),
        "connection": np.cumsum(pc.equal(kind, "connect").to_numpy()),
        "actor_no": _codes(rows["actor"]),
        "epoch_no": _codes(rows["epoch"]),
    }
    for name, column in counted.items():
        rows = rows.append_column(name, pa.array(column.astype(np.int64)))
    told = rows.filter(pc.and_(pc.equal(kind, "position"), pc.is_valid(rows["value"])))
    keys = tuple(told[name].to_numpy() for name in ("t_s", "epoch_no", "place", "actor_no"))
    return told.take(pa.array(np.lexsort(keys))).combine_chunks()


def _from_streams(evidence: Evidence) -> pa.Table:
    return evidence.events("positions", _KINDS, _COLUMNS)


def _from_joins(evidence: Evidence) -> pa.Table:
    """The places that joins were answered with, as if they were events."""
    answered = ((join, join.value.position) for join in evidence.joins.ok)
    placed = [(j.actor, "position", j.t_end_s, j.value.epoch, at) for j, at in answered if at is not None]
    columns = zip(*placed, strict=True) if placed else [()] * len(_COLUMNS)
    schema = pa.schema([EVENTS.field(name) for name in _COLUMNS])
    return pa.table([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _codes(column: pa.ChunkedArray) -> Ints:
    codes: Ints = pc.dictionary_encode(column).combine_chunks().indices.to_numpy()
    return codes.astype(np.int64)


def _report(told: pa.Table, row: int, *, reconnected: bool, tally: Tally) -> None:
    before, after = _moment(told, row), _moment(told, row + 1)
    by = told["value"][row + 1].as_py() - told["value"][row].as_py()
    how = " after a reconnect" if reconnected else ""
    tally.violated(f"{before.actor} went back {by} places in the queue{how}", before, after)


def _moment(told: pa.Table, row: int) -> Moment:
    one = told.slice(row, 1).to_pylist()[0]
    text = f"{one['actor']} was told position {one['value']} of epoch {one['epoch']}"
    return Moment(one["actor"], text, (one["t_s"], one["t_s"]))
