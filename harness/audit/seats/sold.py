"""Checks `no_sold_seat_granted`: the platform grants no sold seat again."""

from __future__ import annotations

from typing import Final

from harness.amounts import amount
from harness.audit.history import Evidence
from harness.audit.operations import Operation, SeatsValue
from harness.audit.seats.claims import FirstSales, Sale
from harness.audit.spec import specified
from harness.audit.tally import Tally, during


def no_sold_seat_granted(evidence: Evidence) -> Tally:
    """A seat is not granted to anybody, its owner included, after somebody was told that it is sold to them.

    A sale that the export calls refunded, declined or expired gave its seats back. Asked for before the sale was told,
    a grant may have come first: then it is a promise that the sale broke, see `no_early_expiry`. Whoever asks for a
    sold seat and is refused is a chance: a fan with an old map, or the operator who sweeps at rest.
    """
    tally = Tally(evidence, unknowns=evidence.holds.unknowns, chances=0)
    first = FirstSales(evidence)
    for hold in evidence.holds:
        if hold.ok or hold.error == _CONFLICT:
            for seat in hold.value.seats:
                _judge(hold, seat, first.of(seat), tally)
    for sweep in evidence.sweeps:
        if sweep.ok or sweep.error == _CONFLICT:
            _judge(sweep, sweep.key, first.of(sweep.key), tally)
    if not tally.checked:
        tally.note = "no seat was granted or refused"
    return tally


def _judge(asked: Operation[SeatsValue], seat: str, sale: Sale | None, tally: Tally) -> None:
    """One seat that somebody was granted or refused."""
    tally.checked += 1
    if sale is None or asked.t_invoke_s <= sale.told.t_end_s + tally.evidence.clock_margin_s:
        return
    tally.chance()
    if asked.ok and asked.key != sale.hold_id:
        late_s = asked.t_invoke_s - sale.told.t_end_s
        summary = (
            f"seat {seat} was granted to {asked.actor} {amount(late_s, 's')} after it was sold to {sale.told.actor}"
        )
        granted = during(asked, f"{asked.actor} asked for seat {seat} at {asked.t_invoke_s:.3f} s and was granted it")
        tally.violated(summary, during(sale.told, sale.words), granted)


_CONFLICT: Final = "conflict"
NO_SOLD_SEAT_GRANTED: Final = specified("no_sold_seat_granted", no_sold_seat_granted)
