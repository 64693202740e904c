"""How often the shipped scenarios put each invariant and each expectation to the test: never 0 times."""

from __future__ import annotations

from pathlib import Path

from tests.trust.rehearsed import Ended, all_of

SCENARIOS = ("smoke", "playoff-presale")


def measure(out: Path, jobs: int, times: int | None) -> dict:
    """One run of each scenario."""
    runs = dict(zip(SCENARIOS, all_of([(out / name, (name,)) for name in SCENARIOS], jobs), strict=True))
    chances = {name: _chances(run) for name, run in runs.items()}
    none = [f"{name}: {what}" for name, counts in chances.items() for what, count in counts.items() if not count]
    empty = [name for name, counts in chances.items() if not counts]
    return {
        "as_it_must_be": not none and not empty,
        "sentence": f"{len(none)} invariants or expectations without a chance {none or ''}".rstrip(),
        "chances": chances,
        "verdicts": {name: [run.verdict.get("verdict"), run.verdict.get("grade")] for name, run in runs.items()},
    }


def _chances(run: Ended) -> dict[str, int]:
    found = {one["name"]: one["chances"] for one in run.verdict.get("invariants", ())}
    for fault in run.verdict.get("faults", ()):
        found |= {f"{fault['experiment']}: {one['name']}": one["chances"] for one in fault["expectations"]}
    return found
