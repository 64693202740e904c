"""The clean system under the four faults, with many seeds: nothing may be called violated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.trust.rehearsed import all_of, violated

SEEDS = 20


def measure(out: Path, jobs: int, times: int | None) -> dict:
    """`times`: so many seeds."""
    seeds = range(1, (times or SEEDS) + 1)
    runs = all_of([(out / f"{seed}", ("selftest", "--seed", f"{seed}")) for seed in seeds], jobs)
    alarms = {seed: violated(run) for seed, run in zip(seeds, runs, strict=True) if violated(run) or run.code == 4}
    verdicts = Counter(f"{run.verdict.get('verdict')} {run.verdict.get('grade')}" for run in runs)
    return {
        "as_it_must_be": not alarms and all(run.verdict for run in runs),
        "sentence": f"{len(alarms)} false alarms in {len(runs)} clean runs with the four faults",
        "alarms": alarms,
        "verdicts": dict(verdicts),
        "reasons": {seed: run.verdict.get("reason") for seed, run in zip(seeds, runs, strict=True)},
    }
