"""`python -m tests.chaos.mutants [EXPERIMENT…]`: drills on a reference system with one behaviour broken each.

Each drill must be NOT READY and miss the expectation that the table names. Some minutes for all; exit code 1 when one
of them saw nothing. Those that need containers are left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from chaos.specification import experiment
from harness.record.verdict import Verdict
from tests.chaos.mutants import MUTATIONS, Mutation

ROOT = Path(__file__).parents[3]
SITE = Path(__file__).parent / "site"


def main() -> int:
    wanted = sys.argv[1:] or [name for name in MUTATIONS if not experiment.load(name).needs_containers]
    seen = [judged(name, MUTATIONS[name]) for name in wanted]
    return 0 if all(seen) else 1


def judged(name: str, mutation: Mutation) -> bool:
    """Whether the drill saw what was broken; says so."""
    with TemporaryDirectory() as folder:
        state = Path(folder) / "mutant"
        state.mkdir()
        verdict = drilled(name, mutation, Path(folder), state)
    if isinstance(verdict, str):
        print(f"NOT JUDGED {name} with {mutation.mutant}: {verdict}", flush=True)
        return False
    (fault,) = verdict.faults
    said = {one.name: one for one in fault.expectations}[mutation.missed]
    caught = verdict.verdict == "NOT READY" and fault.proven and said.status == "missed"
    word = "caught" if caught else "NOT SEEN"
    print(f"{word} {name} with {mutation.mutant}: {mutation.missed}: {said.status}, {said.observed}", flush=True)
    return caught


def drilled(name: str, mutation: Mutation, folder: Path, state: Path) -> Verdict | str:
    """The verdict, or why there is none."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(SITE), str(ROOT)]),
        "GATECRASH_MUTANT": mutation.mutant,
        "GATECRASH_MUTANT_STATE": str(state),
    }
    command = [sys.executable, "-m", "harness", "drill", name, "--json", "--out", str(folder / "runs")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    try:
        return msgspec.json.decode(done.stdout, type=Verdict)
    except msgspec.DecodeError:
        return (done.stderr.strip().splitlines() or ["no output"])[-1]


if __name__ == "__main__":
    sys.exit(main())
