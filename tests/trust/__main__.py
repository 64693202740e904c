"""`python -m tests.trust [NAME …] [--jobs N] [--out DIR]`: figures of docs/verdict.md and docs/reliability.md.

    bugs       each planted bug in a rehearsal of its own: how many are caught
    clean      the clean system with the four faults, 20 seeds: no false alarm
    grades     smoke with one seed, ten times: one grade
    kills      each process of a rehearsal killed or stopped at each phase: no false alarm, no silence
    deaths     each process killed, told to stop or stopped for a while, at random: see tests/trust/deaths.py
    chances    how often smoke and the default rehearsal put each invariant to the test: never 0
    registers  seat histories judged by our checkers and by porcupine: no disagreement
    websockets the lean client through the cases of Autobahn's test suite (needs kosoku on PATH): all pass
    strangers  all that a stranger can say to a swarm, and masters that are none: nothing changes
    proxy      the fault proxy beside a real Toxiproxy: tests, requests at random, latency on a busy machine

They run one after another; all of them take about an hour and a half. Results go to bench-results/trust-NAME.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = (
    "bugs",
    "clean",
    "grades",
    "kills",
    "deaths",
    "chances",
    "registers",
    "websockets",
    "strangers",
    "proxy",
)
SEEDED = ("deaths",)


def main() -> int:
    """Run what was asked for; returns 1 where a figure is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all of them without one")
    parser.add_argument("--jobs", type=int, default=1, help="rehearsals at the same time (1 measures best)")
    parser.add_argument("--out", type=Path, default=None, help="where the runs are kept")
    parser.add_argument("--times", type=int, default=None, help="fewer or more runs, seeds, kills or histories")
    parser.add_argument("--seed", type=int, default=None, help=f"of {', '.join(SEEDED)}, instead of their own")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    out = arguments.out or Path(tempfile.mkdtemp(prefix="gatecrash-trust-"))
    wrong = 0
    for name in arguments.names or NAMES:
        seed = {} if name not in SEEDED or arguments.seed is None else {"seed": arguments.seed}
        found = import_module(f"tests.trust.{name}").measure(out / name, arguments.jobs, arguments.times, **seed)
        path = ROOT / "bench-results" / f"trust-{name}.json"
        path.write_text(json.dumps(found, indent=2) + "\n")
        wrong += not found["as_it_must_be"]
        print(f"{name}: {found['sentence']}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
