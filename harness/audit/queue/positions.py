"""Checks `position_monotonic`: within an epoch no waiting fan is told a later place than before, or a wrong one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import JoinValue, Operations
from harness.audit.queue.epochs import not_common
from harness.audit.queue.places import not_comparable
from harness.audit.queue.told_places import Places, Truth
from harness.audit.spec import specified
from harness.audit.tally import VIOLATIONS_KEPT, Moment, Tally, during
from harness.record.schema import EVENTS
from harness.scenario import OnSale

SILENT_MAX_S: Final = 10.0
"""Who waits for longer hears of the place meanwhile. The reference system looks it up every 5 s or more often, far
back in the line every 20 s."""
SILENT_RATIO_MAX: Final = 0.1
"""Of the places that moved so many, and one more, may be told late."""
_KINDS: Final = ("connect", "position", "admitted")
_BETWEEN: Final = ("paused", "disconnect")  # after these a place does not follow the one before
_COLUMNS: Final = ("actor", "event", "t_s", "t_sent_s", "epoch", "value")
Ints = npt.NDArray[np.integer]


def position_monotonic(evidence: Evidence) -> Tally:
    """Within an epoch no fan is told a later place than before; regressions after a reconnect are counted apart.

    A new epoch (the queue was put together again) and an admission end the comparison. Epochs that were not those of
    other fans at the time leave it undecided, see `harness.audit.queue.epochs`. The answer to a join tells a place too.
    A place that is told before 1 is none.

    On the reference system, whose rate is declared, a place that a fan was told is compared with their admission number
    too, see `harness.audit.queue.told_places`. Where many heard too late that the line moved, nothing is decided.
    """
    tally = Tally(evidence, chances=0)
    is_compared = _is_compared(evidence)
    told, places = _told(evidence, with_places=is_compared)
    tally.checked = len(told.value)
    if not tally.checked:
        tally.note = "nobody was told a position"
        return tally
    same = (np.diff(told.actor) == 0) & (np.diff(told.place) == 0) & (np.diff(told.epoch) == 0)
    tally.chances = int(np.count_nonzero(same))
    again = (np.diff(told.actor) == 0) & (np.diff(told.place) == 0)
    if not tally.chances and np.any(again):
        tally.undecided = True
        tally.note = "every place was told in an epoch of its own, so none can be compared with another"
    elif not tally.chances and (silent := _told_nothing(evidence)):
        tally.undecided, tally.note = (
            True,
            f"{silent} fans waited for more than {SILENT_MAX_S:g} s and were told one place",
        )
    elif why := not_common(evidence, told.actor, told.epoch, told.t_s):
        tally.undecided, tally.note = True, why
    if places is not None and evidence.on_sale is not None:
        _compare(evidence, evidence.on_sale, places, tally)
    worse = np.flatnonzero(same & (np.diff(told.value) > 0))
    reconnected = told.connection[worse] != told.connection[worse + 1]
    for row, after_reconnect in zip(worse[:VIOLATIONS_KEPT].tolist(), reconnected.tolist(), strict=False):
        _report(told, row, reconnected=after_reconnect, tally=tally)
    tally.violations_total += max(0, len(worse) - VIOLATIONS_KEPT)
    for row in np.flatnonzero(told.value < 0)[:VIOLATIONS_KEPT].tolist():
        before_first = told.moment(row)
        tally.violated(f"{before_first.actor} was told a place that does not exist", before_first)
    if len(worse):
        tally.note = f"{np.count_nonzero(reconnected)} of {len(worse)} regressions after a reconnect"
    return tally


def _is_compared(evidence: Evidence) -> bool:
    """Whether places can be compared with admission numbers: of the reference system, in a whole record."""
    return evidence.on_sale is not None and not evidence.missing_operations and not not_comparable(evidence)


def _compare(evidence: Evidence, on_sale: OnSale, places: Places, tally: Tally) -> None:
    """Reports each fan whose admission contradicts the place that they were told, once for each fan."""
    truth = Truth(evidence, on_sale, places)
    tally.chance(truth.compared)
    blamed: set[int] = set()
    for wrong in truth.wrong():
        actor = int(places.actor[wrong.at])
        if actor in blamed:
            continue
        blamed.add(actor)
        fan, t_s = places.actors[actor].as_py(), float(places.t_to_s[wrong.at])
        told = Moment(fan, f"{fan} was told position {places.value[wrong.at]}", (t_s, t_s))
        admitted = [during(one, f"{fan} came in as no. {one.value.admission_no}") for one in (wrong.admitted,) if one]
        tally.violated(f"{fan} {wrong.summary}", told, *admitted)
    due, late = truth.unheard()
    if late > SILENT_RATIO_MAX * due + 1:
        tally.undecided = True
        tally.note = f"{late} of {due} places moved, and their fans heard of it late or not at all"


def _told_nothing(evidence: Evidence) -> int:
    """How many fans waited for so long that they should have heard more of their place than the answer to their join.

    Asked only where nobody was told a second place.
    """
    joins = evidence.joins.ok
    acked_s: dict[str, float] = {}
    for actor, t_s in zip(joins.actors.to_pylist(), joins.t_end_s.tolist(), strict=True):
        acked_s.setdefault(actor, t_s)
    entered_s = evidence.enters.ok.first_invoked_s
    return sum(t_s - acked_s.get(actor, t_s) > SILENT_MAX_S for actor, t_s in entered_s.items())


@dataclass(frozen=True, slots=True)
class _Told:
    """Every told position by fan, wait, epoch and time. `place` counts admissions, `connection` streams.

    `actor` and `epoch` are numbers of `actors` and `epochs`.
    """

    actor: Ints
    place: Ints
    epoch: Ints
    t_s: npt.NDArray[np.float64]
    value: Ints
    connection: Ints
    actors: pa.Array
    epochs: pa.Array

    def moment(self, row: int) -> Moment:
        """It as a step of a history."""
        actor, epoch = self.actors[int(self.actor[row])].as_py(), self.epochs[int(self.epoch[row])].as_py()
        t_s = float(self.t_s[row])
        return Moment(actor, f"{actor} was told position {self.value[row]} of epoch {epoch}", (t_s, t_s))


def _told(evidence: Evidence, *, with_places: bool) -> tuple[_Told, Places | None]:
    kinds_read = (*_KINDS, *_BETWEEN) if with_places else _KINDS
    joins = evidence.joins.ok
    rows = pa.concat_tables([evidence.events("positions", kinds_read, _COLUMNS), _from_joins(joins)])
    actors, epochs = _coded(rows["actor"]), _coded(rows["epoch"])
    kinds = {kind: pc.equal(rows["event"], kind).to_numpy() for kind in _KINDS}
    told = kinds["position"] & pc.is_valid(rows["value"]).to_numpy()
    t_s, value = rows["t_s"].to_numpy(), pc.fill_null(rows["value"], 0).to_numpy()
    sent_s = pc.fill_null(rows["t_sent_s"], float("nan")).to_numpy() if with_places else np.zeros(0)
    asked_s = np.concatenate((np.full(rows.num_rows - len(joins), np.nan), joins.t_invoke_s))
    del rows
    actor, epoch = actors.indices.to_numpy(), epochs.indices.to_numpy()
    order = np.lexsort((t_s, actor))  # stable: what came at one instant stays in its order
    place, connection = np.cumsum(kinds["admitted"][order]), np.cumsum(kinds["connect"][order])
    places = None
    if with_places:
        places = Places.of(
            actors.dictionary, epochs.dictionary, actor[order], epoch[order], value[order], t_s[order], sent_s[order],
            asked_s[order], told=told[order], is_call=kinds["admitted"][order],
        )  # fmt: skip
    kept = told[order]
    order, place, connection = order[kept], place[kept], connection[kept]
    again = np.lexsort((t_s[order], epoch[order], place, actor[order]))
    order, place, connection = order[again], place[again], connection[again]
    found = _Told(
        actor=actor[order],
        place=place,
        epoch=epoch[order],
        t_s=t_s[order],
        value=value[order],
        connection=connection,
        actors=actors.dictionary,
        epochs=epochs.dictionary,
    )
    return found, places


def _from_joins(joins: Operations[JoinValue]) -> pa.Table:
    """The places that joins were answered with, as if they were events."""
    columns = {
        "actor": joins.actors,
        "event": pa.repeat("position", len(joins)),
        "t_s": joins.t_end_s,
        "t_sent_s": pa.nulls(len(joins), pa.float64()),
        "epoch": joins.column("epoch"),
        "value": joins.column("position"),
    }
    return pa.table(columns, schema=pa.schema([EVENTS.field(name) for name in _COLUMNS]))


def _coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return pc.dictionary_encode(column).combine_chunks()


def _report(told: _Told, row: int, *, reconnected: bool, tally: Tally) -> None:
    before, after = told.moment(row), told.moment(row + 1)
    by = told.value[row + 1] - told.value[row]
    how = " after a reconnect" if reconnected else ""
    tally.violated(f"{before.actor} went back {by} places in the queue{how}", before, after)


POSITION_MONOTONIC: Final = specified("position_monotonic", position_monotonic)
