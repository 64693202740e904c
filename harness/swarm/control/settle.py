"""After the run: the state at rest into the record, and which seats to sweep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Final

from harness.platform import Capability, FinalReads, FinalSeat, Platform
from harness.swarm.messaging.messages import SettleNow
from harness.swarm.recording.recorder import Recorder

SWEEP_SAMPLE: Final = 200
SOLD_SAMPLE: Final = 20


def settle(platform: Platform, recorder: Recorder, asked: SettleNow, seed: int) -> tuple[FinalReads, tuple[str, ...]]:
    """Read, note, sweep. Returns what was read and the names of the tables that could be."""
    reads = platform.final_reads(asked.acked, asked.timeout_s)
    tables = tuple(_note(recorder, reads))
    if Capability.SWEEP in platform.capabilities and reads.seats is not None:
        platform.sweep(seats_to_sweep(reads.seats, asked.seats_held, seed))
    return reads, tables


def seats_to_sweep(seats: Sequence[FinalSeat], ever_held: Iterable[str], seed: int) -> tuple[str, ...]:
    """Every seat that was held and ended unsold, a seeded sample of the other unsold ones, and one of the sold."""
    unsold = sorted(seat.seat for seat in seats if seat.state != "sold")
    sold = sorted(seat.seat for seat in seats if seat.state == "sold")
    suspects = set(ever_held).intersection(unsold)
    others = [seat for seat in unsold if seat not in suspects]
    sample = Random(f"sweep:{seed}").sample(others, min(SWEEP_SAMPLE, len(others)))
    taken = Random(f"sold:{seed}").sample(sold, min(SOLD_SAMPLE, len(sold)))
    return (*sorted(suspects), *sorted(sample), *sorted(taken))


def _note(recorder: Recorder, reads: FinalReads) -> Iterable[str]:
    tables = {
        "final_seats": reads.seats,
        "final_orders": reads.orders,
        "final_ledger": reads.ledger,
        "final_stock": reads.stock,
    }
    for name, rows in tables.items():
        if rows is not None:
            yield name
            for row in rows:
                recorder.row(name, row)
