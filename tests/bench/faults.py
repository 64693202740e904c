"""How fast faults come and go: from command to effective, and from heal to healthy, for each shipped experiment.

`python -m tests.bench.faults [--rounds N] [--experiment NAME …]`. One rehearsal of the drill scenario's small steady
load with the experiments one after another, each until its canary has proven it and then GAP_S of business as usual;
the times are the canary's, so they are as coarse as its probes (a tenth of a second and more; a fault that only a slow
answer shows, as long as that answer). Left out of the default: what needs containers, and second sizes of one fault.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chaos.specification import experiment
from harness.record.schema import FaultRun, FaultsDocument
from tests.bench import proxy_page, rounds

EXPERIMENTS = (
    "redis-down",
    "redis-hang",
    "redis-kill",
    "db-unreachable",
    "replica-stale",
    "replication-cut",
    "payment-latency-8s",
    "payment-latency-8s-upstream",
    "payment-errors",
    "websocket-drops",
    "feed-node-loss",
    "booking-node-loss",
    "zone-loss",
    "slow-network",
)
FIRST_S = 5.0
GAP_S = 7.0
FANS_PER_S = 4
ROUNDS = 1


def overrides(names: Sequence[str]) -> list[str]:
    """The drill scenario with these experiments one after another."""
    faults, at_s = [], FIRST_S
    for name in names:
        length_s = experiment.load(name).length_s
        faults.append({"experiment": name, "start_s": at_s, "length_s": length_s})
        at_s += length_s + GAP_S
    values = {
        "faults": faults,
        "duration_s": at_s,
        "load.fans": int(FANS_PER_S * at_s),
        "load.arrivals": {"shape": "ramp", "ramp_s": at_s},
    }
    return [f"--set={key}={msgspec.json.encode(value).decode()}" for key, value in values.items()]


def rehearse(names: Sequence[str], out: Path) -> tuple[FaultRun, ...]:
    """What became of each fault. The verdict on the platform is not asked for here."""
    command = [sys.executable, "-m", "harness", "rehearse", "drill", "--out", str(out), *overrides(names)]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    found = sorted(out.glob("*/faults.json"))
    faults = msgspec.json.decode(found[-1].read_bytes(), type=FaultsDocument).faults if found else ()
    if len(faults) < len(names):
        print(f"{len(faults)} of {len(names)} experiments were carried out:\n{done.stdout}", file=sys.stderr)
    return faults


def times(fault: FaultRun) -> dict[str, float] | None:
    """In ms; None: it was not carried out, not proven or not healed."""
    asked_s, effective_s, heal_s, healed_s = (
        fault.t_requested_s,
        fault.t_effective_s,
        fault.t_heal_requested_s,
        fault.t_healed_s,
    )
    if asked_s is None or effective_s is None or heal_s is None or healed_s is None:
        return None
    return {"effective_ms": round((effective_s - asked_s) * 1000), "healthy_ms": round((healed_s - heal_s) * 1000)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.faults")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--experiment", action="append", choices=experiment.names())
    asked = parser.parse_args()
    names = asked.experiment or EXPERIMENTS
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    problems: dict[str, list[str]] = {name: [] for name in names}
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory() as out:
            for fault in rehearse(names, Path(out)):
                if (found := times(fault)) is not None:
                    figures[fault.experiment].append(found)
                else:
                    problems[fault.experiment].append(fault.error or "never proven or never healed")
        print(f"  round {number + 1} of {asked.rounds}", file=sys.stderr)
    faults: dict[str, object] = {}
    for name in names:
        middle = rounds.medians(figures[name]) if figures[name] else {}
        faults[name] = {**middle, "rounds": figures[name], "problems": problems[name]}
        print(f"{name}: {middle or problems[name] or 'not carried out'}")
    path = rounds.write("faults", {"what": "ms from command to effective and from heal to healthy", "faults": faults})
    print(f"{path}; {proxy_page.write(path)}" if any(figures.values()) else path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
