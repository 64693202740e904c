"""When nothing was left: for good, and as fans saw it on a map, in the stock, and in the line that they waited in."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.compute as pc

from harness.audit.operations import LookValue, Operation, StockValue
from harness.sli.measured import Observations
from harness.sli.seat_changes import gone_for_good_s


def nothing_left_s(seen: Observations) -> float | None:
    """From when on neither a seat nor a ticket of a pool was free to the end of the run, in s after T0.

    By the seat feed where there is one, else by what everybody was shown that was not marked stale. Null: something was
    left, or nobody saw.
    """
    everything, kinds = seen.everything, list[float | None]()
    if seen.seat_changes and seen.seats_on_sale is not None:
        kinds.append(gone_for_good_s(seen.seat_changes, seen.seats_on_sale))
    elif len(everything.looks) or seen.seats_on_sale:
        kinds.append(_never_again_s(everything.looks.ok))
    if len(everything.stocks) or everything.baseline_stock:
        kinds.append(_never_again_s(everything.stocks.ok))
    found = [t_s for t_s in kinds if t_s is not None]
    return max(found) if found and len(found) == len(kinds) else None


def _never_again_s(looks: Iterable[Operation[LookValue] | Operation[StockValue]]) -> float | None:
    """When the first look ended from which on all of them showed nothing; null: the last one showed something."""
    t_s = None
    for look in looks:  # by the time of invocation
        if look.value.stale or look.value.free is None:
            continue
        if look.value.free > 0:
            t_s = None
        elif t_s is None:
            t_s = look.t_end_s
    return t_s


def seen_empty(seen: Observations, *, for_them: bool = False) -> dict[str, list[float]]:
    """Actor → when a map or the stock showed them that nothing was left, in s after T0.

    `for_them`: nothing that this fan may have, where some seats are kept for a need.
    """
    shown: dict[str, list[float]] = {}
    for looks in (seen.history.looks.ok, seen.history.stocks.ok):
        for look in looks:
            if (look.value.left if for_them else look.value.free) == 0:
                shown.setdefault(look.actor, []).append(look.t_end_s)
    return shown


def told_in_line(seen: Observations) -> dict[str, list[float]]:
    """Actor → when they were told in the line that nothing was left, in s after T0."""
    told: dict[str, list[float]] = {}
    rows = seen.positions.filter(pc.equal(seen.positions["event"], "sold_out"))
    for actor, t_s in zip(rows["actor"].to_pylist(), rows["t_s"].to_pylist(), strict=True):
        told.setdefault(actor, []).append(t_s)
    return told
