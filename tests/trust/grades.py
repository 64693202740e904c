"""Smoke with one seed, again and again: the same seed on the same machine gives the same grade."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.trust.rehearsed import all_of

TIMES = 10


def measure(out: Path, jobs: int, times: int | None) -> dict:
    """`times`: so many runs."""
    count = times or TIMES
    runs = all_of([(out / f"{at}", ("smoke", "--seed", "7")) for at in range(count)], jobs)
    grades = Counter(f"{run.verdict.get('verdict')} {run.verdict.get('grade')}" for run in runs)
    return {
        "as_it_must_be": len(grades) == 1,
        "sentence": f"smoke with seed 7, {count} times: {', '.join(f'{n} × {grade}' for grade, n in grades.items())}",
        "grades": dict(grades),
        "scores": [run.verdict.get("score") for run in runs],
        "reasons": [run.verdict.get("reason") for run in runs],
    }
