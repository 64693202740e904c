"""Measures the second wave: seats that return when holds expire or are released, and fans who were told "sold out".

Read from the seat feed as all followers saw it together, and from the maps that fans looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.verdict import Figure
from harness.sli.measured import Observations
from harness.sli.platform_clock import platform_ahead_s

FREE: Final = 0
HELD: Final = 1
_FEED: Final = pa.array(["snapshot", "seat"])
STALE_S: Final = 1.0  # a map may show the seats as they were this long before it was asked for


class Change(NamedTuple):
    """One change of a seat, with when the first follower saw it and when the platform says that it was sent."""

    t_s: float
    t_sent_s: float | None
    seat: str
    state: int


class Return(NamedTuple):
    """A seat that became free again. `t_held_s`: when it was held again; null: never. `sold`: it then was sold."""

    t_s: float
    t_sent_s: float | None
    t_held_s: float | None
    sold: bool


def second_wave(seen: Observations) -> Iterator[Figure]:
    """How many seats became free again, how fast followers saw it, how fast fans held them, and false "sold out"."""
    log = changes(seen)
    if log:
        back = returns(log)
        yield from _returned(back)
    yield from _sold_out(seen, log)


def changes(seen: Observations) -> tuple[Change, ...]:
    """The log of the feed: each (epoch, seq) once, as a follower first received it; seats in snapshots are left out."""
    events = seen.record.table("events")
    wanted = pc.and_(pc.equal(events["stream"], "feed"), pc.is_in(events["event"], value_set=_FEED))
    wanted = pc.and_(wanted, pc.less_equal(events["t_s"], seen.duration_s))  # the sweep after settling is no sale
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


def returns(log: Sequence[Change]) -> tuple[Return, ...]:
    """Each time that a held seat became free, with what happened to the seat next."""
    state: dict[str, int] = {}
    open_: dict[str, Return] = {}
    done: list[Return] = []
    for change in log:
        before, state[change.seat] = state.get(change.seat, FREE), change.state
        known = open_.get(change.seat)
        if change.state == FREE:
            if known is not None:
                done.append(open_.pop(change.seat))
            if before == HELD:
                open_[change.seat] = Return(change.t_s, change.t_sent_s, None, sold=False)
        elif known is not None and change.state == HELD:
            open_[change.seat] = known._replace(t_held_s=known.t_held_s or change.t_s)
        elif known is not None:
            done.append(open_.pop(change.seat)._replace(t_held_s=known.t_held_s or change.t_s, sold=True))
    return (*done, *open_.values())


def _returned(back: Sequence[Return]) -> Iterator[Figure]:
    count = len(back)
    yield Figure(name="seats_back", title="Seats that came back", value=float(count), unit="times", samples=count)
    stamped = np.array([(one.t_s, one.t_sent_s) for one in back if one.t_sent_s is not None]).reshape(-1, 2)
    ahead_s = platform_ahead_s(stamped[:, 0], stamped[:, 1])
    seen_ms = (1000 * (stamped[:, 0] - stamped[:, 1] + ahead_s)).tolist()
    seen_p95 = _quantile(seen_ms, 0.95)
    yield _figure("back_seen_p95_ms", "From coming back to being seen, p95", seen_p95, "ms", len(seen_ms))
    waits_s = [one.t_held_s - one.t_s for one in back if one.t_held_s is not None]
    yield _figure("held_again", "Held again", float(len(waits_s)), "of those back", count)
    wait_p50 = _quantile(waits_s, 0.5)
    yield _figure("held_again_p50_s", "From being seen to being held again, median", wait_p50, "s", len(waits_s))
    sold = sum(1 for one in back if one.sold)
    yield _figure("sold_again", "Sold after coming back", float(sold), "of those back", count)


def sold_out_falsely(
    seen: Observations, empty: Collection[tuple[float, float]], log: Sequence[Change] | None = None
) -> set[tuple[float, float]]:
    """Count the looks (from, to) at maps without a free seat during which, by the feed, a seat was free all the time.
    That time includes the time by which a map may be old. None when the record does not say how many seats there are.
    """
    facts = seen.record.run.seat_map_at_rest
    if not empty or facts is None or facts.capacity is None:
        return set()
    log = changes(seen) if log is None else log
    if not log:
        return set()
    times, fewest = _free_seats(log, facts.capacity)
    return {(start, end) for start, end in empty if _fewest(times, fewest, start - STALE_S, end) > 0}


def _sold_out(seen: Observations, log: Sequence[Change]) -> Iterator[Figure]:
    """Counts maps without a free seat, and those shown although a seat was free for longer than a map may lag."""
    looks = seen.everybody.looks.ok
    if not len(looks):
        return
    empty = [(look.t_invoke_s, look.t_end_s) for look in looks if look.value.free == 0]
    yield _figure("sold_out_shown", 'Maps that showed "sold out"', float(len(empty)), "of those seen", len(looks))
    facts = seen.record.run.seat_map_at_rest
    if facts is None or facts.capacity is None or not log:
        return
    false = sold_out_falsely(seen, empty, log)
    count = float(sum(1 for look in empty if look in false))
    yield _figure("sold_out_falsely", '"Sold out" shown though a seat was free', count, "maps", len(empty))


def _free_seats(log: Sequence[Change], capacity: int) -> tuple[list[float], list[int]]:
    """(times, number of free seats from each time on); before the first change all seats are free."""
    taken: set[str] = set()
    times, free = [-np.inf], [capacity]
    for change in log:
        (taken.discard if change.state == FREE else taken.add)(change.seat)
        times.append(change.t_s)
        free.append(capacity - len(taken))
    return times, free


def _fewest(times: Sequence[float], free: Sequence[int], t_from_s: float, t_to_s: float) -> int:
    """The smallest number of free seats at any moment of the interval."""
    first = int(np.searchsorted(times, t_from_s, side="right")) - 1
    last = int(np.searchsorted(times, t_to_s, side="right"))
    return min(free[max(first, 0) : max(last, 1)])


def _quantile(values: Sequence[float], quantile: float) -> float | None:
    return float(np.quantile(np.asarray(values), quantile, method="inverted_cdf")) if values else None


def _figure(name: str, title: str, value: float | None, unit: str, samples: int) -> Figure:
    return Figure(name=name, title=title, value=value, unit=unit, samples=samples)
