"""Seat histories judged by our checkers and by porcupine: made-up ones, and those of real runs, clean and with bugs."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.record.reader import Record
from tests.porcupine import made_up
from tests.porcupine.registers import Compared, compare, has_go
from tests.trust.rehearsed import all_of

SEATS = 10_000
BUGS = ("double_sell", "early_expiry", "sold_seat_held", "late_capture_kept", "leaked_hold")
CLEAN_SEEDS = 15


def measure(out: Path, jobs: int, times: int | None) -> dict:
    """`times`: so many made-up seats, and no real runs."""
    if not has_go():
        return {"as_it_must_be": False, "sentence": "porcupine needs Go, which is not here"}
    out.mkdir(parents=True, exist_ok=True)
    seats = times or SEATS
    found = {
        "made up, right": compare([made_up.clean(seats, 1).record()], out),
        "made up, corrupted": compare([made_up.corrupted(seats, 1).record()], out),
    }
    if times is None:
        found["real runs"] = _real(out, jobs)
    disagreements = {name: [one._asdict() for one in compared.disagreements] for name, compared in found.items()}
    total = sum(len(listed) for listed in disagreements.values())
    parts = (f"{name}: {compared.seats:,} seats, {compared.broken:,} broken" for name, compared in found.items())
    return {
        "as_it_must_be": not total,
        "sentence": f"{total} disagreements with porcupine ({'; '.join(parts)})",
        "disagreements": disagreements,
        "runs": CLEAN_SEEDS + len(BUGS) if times is None else 0,
    }


def _real(out: Path, jobs: int) -> Compared:
    """Runs of the scenario `selftest`: clean ones under the four faults, and one with each bug that breaks seats."""
    clean = [(out / f"clean-{seed}", ("selftest", "--seed", f"{seed}")) for seed in range(1, CLEAN_SEEDS + 1)]
    broken = [(out / bug, ("selftest", "--plant-bug", bug, "--no-chaos")) for bug in BUGS]
    runs = [run.run for run in all_of([*clean, *broken], jobs)]
    print(f"{sum(run is not None for run in runs)} runs to compare", file=sys.stderr)
    return compare((Record.open(run) for run in runs if run is not None), out)
