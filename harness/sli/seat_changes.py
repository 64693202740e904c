"""The changes of seats as all followers of the feed saw them together, and the free seats that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from harness.record.feed_walk import FeedWalk

FREE: Final = 0
HELD: Final = 1
SOLD: Final = 2
STALE_S: Final = 1.0  # a map may show the seats as they were this long before it was asked for


class Change(NamedTuple):
    """One change of a seat, with when the first follower saw it and when the platform says that it was sent."""

    t_s: float
    t_sent_s: float | None
    seat: str
    state: int


def changes(feed: FeedWalk, until_s: float) -> tuple[Change, ...]:
    """The log of the feed up to that instant: each (epoch, seq) once, as a follower first received it; seats in
    snapshots are left out."""
    log = feed.log
    rows = feed.rows.select(["t_s", "t_sent_s", "key", "value"]).take(pa.array(log[feed.t_s[log] <= until_s]))
    return tuple(map(Change._make, zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True)))


def sold_out_falsely(
    empty: Collection[tuple[float, float]], log: Sequence[Change], on_sale: int | None
) -> set[tuple[float, float]]:
    """The looks (from, to) at maps without a free seat during which, by the feed, a seat was free all the time.

    That time includes the time by which a map may be old. `on_sale` null: nobody says how many seats are on sale,
    and no look is known to be false.
    """
    if not empty or not log or on_sale is None:
        return set()
    times, fewest = _free_seats(log, on_sale)
    return {(start, end) for start, end in empty if _fewest(times, fewest, start - STALE_S, end) > 0}


def gone_for_good_s(log: Sequence[Change], on_sale: int) -> float | None:
    """From when on no seat was free to the end of the log; null: one is free at its end."""
    times, free = _free_seats(log, on_sale)
    last = next((at for at in reversed(range(len(free))) if free[at] > 0), -1)
    return times[last + 1] if last + 1 < len(times) else None


def _free_seats(log: Sequence[Change], on_sale: int) -> tuple[list[float], list[int]]:
    """(times, number of free seats from each time on); before the first change all seats are free."""
    taken: set[str] = set()
    times, free = [-np.inf], [on_sale]
    for change in log:
        (taken.discard if change.state == FREE else taken.add)(change.seat)
        times.append(change.t_s)
        free.append(on_sale - len(taken))
    return times, free


def _fewest(times: Sequence[float], free: Sequence[int], t_from_s: float, t_to_s: float) -> int:
    """The smallest number of free seats at any moment of the interval."""
    first = int(np.searchsorted(times, t_from_s, side="right")) - 1
    last = int(np.searchsorted(times, t_to_s, side="right"))
    return min(free[max(first, 0) : max(last, 1)])
