"""Reads from the seat feed when seats became free, on the platform's own clock."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import SEAT_STATES, Evidence
from harness.audit.tally import Moment
from harness.record.feed_walk import FeedWalk, Floats

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
    feed = evidence.feed
    stamped = np.flatnonzero(feed.are("seat") & feed.has_seq & np.isfinite(feed.t_sent_s))
    if not len(stamped):
        return []
    ahead_s = float((feed.t_s[stamped] - feed.t_sent_s[stamped]).min())
    said = feed.said
    soonest_s = _soonest_stamp_s(feed)[said]
    rows = feed.rows.select(["epoch", "key", "seq", "value"]).take(pa.array(said))
    rows = rows.append_column("t_sent_s", pa.array(soonest_s, from_pandas=True))
    wanted = pc.is_in(rows["key"], value_set=pa.array(sorted(seats), pa.string()))
    rows = rows.filter(pc.and_(wanted, pc.and_(pc.is_valid(rows["t_sent_s"]), pc.is_valid(rows["seq"]))))
    for text in ("epoch", "key"):
        rows = rows.set_column(rows.schema.get_field_index(text), text, rows[text].cast(pa.string()))
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


def _soonest_stamp_s(feed: FeedWalk) -> Floats:
    """The stamp of each row; of one in which a change was first heard of, the earliest that any follower had of it."""
    stamps_s = feed.t_sent_s.copy()
    np.fmin.at(stamps_s, feed.first_of, feed.t_sent_s[feed.changes])
    return stamps_s
