"""Decides whether the sale took place: fans waited, were admitted, could hold seats, could buy."""

from __future__ import annotations

from typing import Final

from harness.sli.measured import Observations

_QUEUE: Final = "queue"


def did_not_take_place(seen: Observations) -> str:
    """One sentence on the first step that many tried and nobody got past; "" where the sale took place.

    Only fans count. A step that nobody tried says nothing, unless the step before it let somebody through.
    """
    history = seen.history
    came = seen.fans
    if not came:
        return ""
    if _QUEUE in seen.record.run.capabilities:
        placed = len(set(history.joins.ok.actors.to_pylist()))
        if not placed:
            return f"{came:,} fans came and nobody got a place in line"
        admitted = len(set(history.enters.ok.actors.to_pylist()))
        if not admitted:
            return f"{placed:,} fans waited and nobody was admitted"
        came = admitted
    if not len(history.holds.ok):
        return f"{came:,} fans were let in and nobody could hold a seat"
    wanted = {pay.actor for pay in history.pays if not pay.value.declined_on_purpose}
    told = {pay.actor for pay in history.pays.ok if pay.value.state == "confirmed"}
    told |= {look.actor for look in history.lookups.ok if look.value.state == "confirmed"}
    if wanted and not told:
        return f"{len(wanted):,} fans wanted to pay and nobody was told that they have a ticket"
    return ""
