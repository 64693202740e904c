"""Counts contested seats: two fans asked for the same seat, so a faulty platform could have sold it twice."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, Operations, SeatsValue

_FOR_EVER: Final = float("inf")


def contested_seats(evidence: Evidence) -> set[str]:
    """Seats that a fan asked to hold while another fan had them, had bought them, or was asking for them too.

    A request that never got to the question of who has the seat (refused before, or cut off unsent) does not count.
    """
    owners = {
        seat: order.fan for order in evidence.orders.values() if order.state == "confirmed" for seat in order.seats
    }
    given_up_s = _given_up(evidence)
    latest: dict[str, tuple[str, float]] = {}
    contested: set[str] = set()
    for hold in _rivals(evidence.takings):
        if not (hold.ok or hold.unknown or hold.error == "conflict"):
            continue
        for seat in hold.value.seats:
            fan, until_s = latest.get(seat, (hold.actor, 0.0))
            if fan != hold.actor and until_s >= hold.t_invoke_s:
                contested.add(seat)
            own_s = _until(hold, given_up_s) if owners.get(seat) != hold.actor or not hold.ok else _FOR_EVER
            if own_s >= until_s or fan == hold.actor:
                latest[seat] = (hold.actor, max(own_s, until_s) if fan == hold.actor else own_s)
    return contested


def _rivals(takings: Operations[SeatsValue]) -> Operations[SeatsValue]:
    """Those that ask for a seat for which another fan asked too."""
    seats, by = takings.column("seats"), takings.rows["actor"].combine_chunks().indices
    rows = pa.table({"seat": pc.list_flatten(seats), "fan": by.take(pc.list_parent_indices(seats))})
    fans = rows.group_by("seat").aggregate([("fan", "min"), ("fan", "max")])
    wanted = fans["seat"].filter(pc.not_equal(fans["fan_min"], fans["fan_max"])).combine_chunks()
    of_several = np.asarray(pc.is_in(rows["seat"], value_set=wanted))
    chosen = np.zeros(len(takings), dtype=np.bool_)
    chosen[pc.list_parent_indices(seats).to_numpy()[of_several]] = True
    return takings.where(chosen)


def sold_seats_asked_for(evidence: Evidence) -> dict[str, tuple[Operation[SeatsValue], Order]]:
    """Seat → (how it was asked for at rest, the confirmed order that has it), of seats that were sold."""
    owners = {seat: order for order in evidence.orders.values() if order.state == "confirmed" for seat in order.seats}
    return {
        sweep.key: (sweep, owners[sweep.key])
        for sweep in evidence.sweeps
        if sweep.key in owners
        and evidence.seat_states.get(sweep.key) == "sold"
        and (sweep.ok or sweep.error == "conflict")
    }


def _until(hold: Operation[SeatsValue], given_up_s: dict[str, float]) -> float:
    """Until when the fan had the seats, or was asking for them."""
    if not hold.ok or hold.value.ttl_s is None:
        return hold.t_end_s
    return max(hold.t_end_s, min(hold.t_invoke_s + hold.value.ttl_s, given_up_s.get(hold.key, _FOR_EVER)))


def _given_up(evidence: Evidence) -> dict[str, float]:
    """Hold id → when its fan gave it back, or was refused the payment."""
    given_up_s = {release.key: release.t_invoke_s for release in evidence.releases if not release.error}
    for pay in evidence.pays.failed_with("declined"):
        given_up_s.setdefault(pay.value.hold_id, pay.t_invoke_s)
    return given_up_s
