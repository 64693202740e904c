"""Reads from the seat feed when seats became free, on the platform's own clock."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import SEAT_STATES, Evidence
from harness.audit.tally import Moment

_COLUMNS: Final = ("t_s", "t_sent_s", "epoch", "seq", "value", "key")
_FREE: Final = SEAT_STATES.index("free")
_HELD: Final = SEAT_STATES.index("held")


class Freed(msgspec.Struct, frozen=True, gc=False):
    """A seat that the feed knew as held became free at `t_s` on the release clock."""

    seat: str
    t_s: float
    seq: int

    def moment(self) -> Moment:
        """It as a step of a history."""
        return Moment("feed", f"change {self.seq}: seat {self.seat} is free, at {self.t_s:.3f} s", (self.t_s, self.t_s))


def freed_seats(evidence: Evidence, seats: Collection[str]) -> list[Freed]:
    """Every change of these seats from held to free that somebody saw and that says when it was sent.

    The platform's clock is set against ours by the event that arrived soonest: its delay is all that this errs by, and
    it errs to the later side. Two events of one epoch that follow each other are enough, whatever was missed between.
    """
    rows = evidence.events("feed", ("seat",), _COLUMNS)
    rows = rows.filter(pc.and_(pc.is_valid(rows["t_sent_s"]), pc.is_valid(rows["seq"])))
    if not rows.num_rows:
        return []
    ahead_s = pc.min(pc.subtract(rows["t_s"], rows["t_sent_s"])).as_py()
    rows = rows.filter(pc.is_in(rows["key"], value_set=pa.array(sorted(seats), pa.string())))
    rows = rows.group_by(["epoch", "key", "seq", "value"]).aggregate([("t_sent_s", "min")])
    rows = rows.sort_by([("epoch", "ascending"), ("key", "ascending"), ("seq", "ascending")])
    found = []
    before: tuple[str, str, int | None] = ("", "", None)
    cells = (rows.column(name).to_pylist() for name in ("epoch", "key", "seq", "value", "t_sent_s_min"))
    for epoch, seat, seq, value, t_sent_s in zip(*cells, strict=True):
        if value == _FREE and before == (epoch, seat, _HELD):
            found.append(Freed(seat, t_sent_s + ahead_s, seq))
        before = (epoch, seat, value)
    return found
