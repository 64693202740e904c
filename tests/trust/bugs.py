"""Each planted bug in a rehearsal of its own: the audit must name the invariant that it breaks."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.selftest import command
from harness.selftest.cases import CaseOutcome


def measure(out: Path, jobs: int, times: int | None) -> dict:
    """`times`: only so many bugs, drawn at random."""
    out.mkdir(parents=True, exist_ok=True)
    result = command.run(
        [], sample=times, clean=0, seed=41, jobs=jobs, out=out, say=lambda text: print(text, file=sys.stderr)
    )
    caught = result.count(CaseOutcome.CAUGHT)
    return {
        "as_it_must_be": caught == len(result.results),
        "sentence": f"{caught} of {len(result.results)} planted bugs caught",
        "cases": {
            one.case.name: {"outcome": one.outcome.value, "violated": list(one.violated), "evidence": one.evidence}
            for one in result.results
        },
    }
