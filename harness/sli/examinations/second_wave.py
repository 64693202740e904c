"""Measures the second wave: seats that return when holds expire or are released, and fans who were told "sold out".

Read from the seat feed as all followers saw it together, and from the maps that fans looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.record.verdict import Figure
from harness.sli.examinations.figures import figure
from harness.sli.measured import Observations, percentile
from harness.sli.platform_clock import platform_ahead_s
from harness.sli.seat_changes import FREE, HELD, Change, sold_out_falsely


class Return(NamedTuple):
    """A seat that became free again. `t_held_s`: when it was held again; null: never. `sold`: it then was sold."""

    t_s: float
    t_sent_s: float | None
    t_held_s: float | None
    sold: bool


def second_wave(seen: Observations) -> Iterator[Figure]:
    """How many seats became free again, how fast followers saw it, how fast fans held them, and false "sold out"."""
    if seen.seat_changes:
        yield from _returned(returns(seen.seat_changes))
    yield from _sold_out(seen)


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
    yield figure("seats_back", "Seats that came back", count, "times", count)
    stamped = np.array([(one.t_s, one.t_sent_s) for one in back if one.t_sent_s is not None]).reshape(-1, 2)
    ahead_s = platform_ahead_s(stamped[:, 0], stamped[:, 1])
    seen_ms = (1000 * (stamped[:, 0] - stamped[:, 1] + ahead_s)).tolist()
    seen_p95 = percentile(seen_ms, 0.95)
    yield figure("back_seen_p95_ms", "From coming back to being seen, p95", seen_p95, "ms", len(seen_ms))
    waits_s = [one.t_held_s - one.t_s for one in back if one.t_held_s is not None]
    yield figure("held_again", "Held again", len(waits_s), "of those back", count)
    wait_p50 = percentile(waits_s, 0.5)
    yield figure("held_again_p50_s", "From being seen to being held again, median", wait_p50, "s", len(waits_s))
    sold = sum(1 for one in back if one.sold)
    yield figure("sold_again", "Sold after coming back", sold, "of those back", count)


def _sold_out(seen: Observations) -> Iterator[Figure]:
    """Counts maps without a free seat, and those shown although a seat was free for longer than a map may lag."""
    looks = seen.everybody.looks.ok
    if not len(looks):
        return
    empty = [(look.t_invoke_s, look.t_end_s) for look in looks if look.value.free == 0]
    yield figure("sold_out_shown", 'Maps that showed "sold out"', len(empty), "of those seen", len(looks))
    if seen.seats_on_sale is None or not seen.seat_changes:
        return
    false = sold_out_falsely(empty, seen.seat_changes, seen.seats_on_sale)
    count = sum(1 for look in empty if look in false)
    yield figure("sold_out_falsely", '"Sold out" shown though a seat was free', count, "maps", len(empty))
