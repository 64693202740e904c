"""When fans saw that nothing was left: on a map or in the stock, and from the line that they waited in."""

from __future__ import annotations

import pyarrow.compute as pc

from harness.sli.measured import Observations


def seen_empty(seen: Observations) -> dict[str, list[float]]:
    """Actor → when a map or the stock showed them that nothing was left, in s after T0."""
    shown: dict[str, list[float]] = {}
    for looks in (seen.history.looks.ok, seen.history.stocks.ok):
        for look in looks:
            if look.value.free == 0:
                shown.setdefault(look.actor, []).append(look.t_end_s)
    return shown


def told_in_line(seen: Observations) -> dict[str, list[float]]:
    """Actor → when they were told in the line that nothing was left, in s after T0."""
    told: dict[str, list[float]] = {}
    rows = seen.events.filter(pc.equal(seen.events["event"], "sold_out"))
    for actor, t_s in zip(rows["actor"].to_pylist(), rows["t_s"].to_pylist(), strict=True):
        told.setdefault(actor, []).append(t_s)
    return told
