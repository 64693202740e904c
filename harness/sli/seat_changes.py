"""The changes of seats as all followers of the feed saw them together, and the free seats that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FREE: Final = 0
HELD: Final = 1
SOLD: Final = 2
_FEED: Final = pa.array(["snapshot", "seat"])
STALE_S: Final = 1.0  # a map may show the seats as they were this long before it was asked for


class Change(NamedTuple):
    """One change of a seat, with when the first follower saw it and when the platform says that it was sent."""

    t_s: float
    t_sent_s: float | None
    seat: str
    state: int


def changes(events: pa.Table, until_s: float) -> tuple[Change, ...]:
    """The log of the feed in a table of EVENTS up to that instant: each (epoch, seq) once, as a follower first received
    it; seats in snapshots are left out."""
    wanted = pc.and_(pc.equal(events["stream"], "feed"), pc.is_in(events["event"], value_set=_FEED))
    wanted = pc.and_(wanted, pc.less_equal(events["t_s"], until_s))
    columns = ("actor", "event", "t_s", "t_sent_s", "epoch", "seq", "value", "key")
    rows = events.filter(wanted).select(columns)
    order = np.argsort(rows["t_s"].to_numpy(), kind="stable")
    rows = rows.take(order)
    heads: dict[str, tuple[str, int]] = {}
    first: dict[tuple[str, int], Change] = {}
    for actor, event, t_s, t_sent_s, epoch, seq, value, key in zip(
        *(rows[name].to_pylist() for name in columns), strict=True
    ):
        if event == "snapshot":
            heads[actor] = (epoch, seq)
        elif seq is not None and heads.get(actor) != (epoch, seq):
            first.setdefault((epoch, seq), Change(t_s, t_sent_s, key, value))
    return tuple(sorted(first.values(), key=_at))


def _at(change: Change) -> float:
    return change.t_s


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
