"""A whole purchase, beside what one would otherwise write it in: Locust's FastHttpUser and k6.

`python -m tests.bench.journeys`. The same fans do the same in each tool, all at one instant: queue page, challenge with
its proof of work, a place in line, waiting, admission, layout, free seats by section, seat map, one seat held, payment.
gatecrash and FastHttpUser wait on the stream of positions; k6 has none, so its fans ask once a second. Each has a
reference booking system of its own, fresh and set up alike. Processor time is what the kernel counts for the load
generator's processes from the instant of the release to its end; to gatecrash's belong the master and all that it
records and proves, not the scraper and the judging. k6 takes part where it is on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.scenario.file import load
from harness.stack.reference.embedded import EmbeddedStack
from tests.bench import rounds
from tests.bench.size import Sampler

HERE = Path(__file__).parent
SCENARIO = HERE / "scenario.yaml"
FANS = 800
ROUNDS = 3
NOTICE_S = 8.0
FLUSH_S = 1.5
"""So long after the last purchase its rows are still being sent, counted and written."""
GENERATOR = ("load generator", "its master")
NAMES = {"gatecrash": "gatecrash, recording on", "fast": "FastHttpUser", "k6": "k6"}


def gatecrash(fans: int, folder: Path) -> dict[str, float]:
    """Its own rehearsal; the crowd's part of the processor time, and the purchases that its fans were told of."""
    command = [sys.executable, "-m", "harness", "rehearse", str(SCENARIO), "--users", str(fans), "--out", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sampler = Sampler(process.pid, every_s=0.2)
    process.wait()
    (run,) = folder.iterdir()
    document = json.loads((run / "run.json").read_text())
    t0_s, load = datetime.fromisoformat(document["t0"]).timestamp(), document["load"]
    requests = pq.read_table(run / "requests.parquet", columns=["kind", "step", "status", "t_end_s"])
    requests = requests.filter(pc.equal(requests["kind"], "fan"))
    paid = pc.and_(pc.equal(requests["step"], "pay"), pc.is_in(requests["status"], pa.array([201, 202], pa.int16())))
    used_s = sampler.cpu_s(t0_s, t0_s + pc.max(requests.filter(paid)["t_end_s"]).as_py() + FLUSH_S)
    return {
        "bought": pc.sum(paid).as_py(),
        "requests": len(requests),
        "late_ms_p50": load["skew_ms_p50"],
        "late_ms_p99": load["skew_ms_p99"],
        "cpu_s": sum(used_s.get(name, 0.0) for name in GENERATOR),
    }


def peer(name: str, fans: int, folder: Path) -> dict[str, float]:
    """One of the others, on a reference system that is raised for it."""
    on_sale = load(str(SCENARIO)).scenario.on_sale
    with EmbeddedStack(on_sale, folder, visitors=fans) as stack:
        url, event = stack.addresses.booking, stack.addresses.event
        t0_s = time.time() + NOTICE_S
        given = {"URL": url, "EVENT": event, "FANS": str(fans), "T0": f"{t0_s:.3f}"}
        process = subprocess.Popen(commands(given)[name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        time.sleep(t0_s - time.time())
        before_s = sum(psutil.Process(process.pid).cpu_times()[:2])
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}")
    return {**json.loads(said.splitlines()[-1]), "cpu_s": used.ru_utime + used.ru_stime - before_s}


def commands(given: dict[str, str]) -> dict[str, list[str]]:
    options = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
    return {
        "fast": [sys.executable, "-m", "tests.bench.journeys.fast", *given.values()],
        "k6": ["k6", "run", "--quiet", "--no-usage-report", *options, str(HERE / "journey.js")],
    }


def measure(name: str, fans: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="gatecrash-journeys-") as folder:
        found = gatecrash(fans, Path(folder)) if name == "gatecrash" else peer(name, fans, Path(folder))
    return {**found, "cpu_ms_per_purchase": round(1000 * found["cpu_s"] / max(found["bought"], 1), 2)}


def table(figures: dict[str, list[dict[str, float]]], fans: int) -> list[str]:
    ours = rounds.medians(figures["gatecrash"])
    lines = [
        f"{fans} fans at one instant; medians of {len(figures['gatecrash'])} rounds (lowest to highest).",
        "",
        "| Load generator | Purchases | Requests of a purchase | Its processor time for a purchase | Beside gatecrash "
        "| First send after T0, p50 / p99 |",
        "|---|---|---|---|---|---|",
    ]
    for name, all_rounds in figures.items():
        middle, cost_ms = rounds.medians(all_rounds), [one["cpu_ms_per_purchase"] for one in all_rounds]
        beside = middle["cpu_ms_per_purchase"] / ours["cpu_ms_per_purchase"]
        lines.append(
            f"| {NAMES[name]} | {middle['bought']:,.0f} | {middle['requests'] / max(middle['bought'], 1):.1f} "
            f"| {middle['cpu_ms_per_purchase']:.2f} ms ({min(cost_ms):.2f} to {max(cost_ms):.2f}) | {beside:.1f} × "
            f"| {middle['late_ms_p50']:.0f} / {middle['late_ms_p99']:.0f} ms |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.journeys")
    parser.add_argument("--fans", type=int, default=FANS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    names = [name for name in NAMES if name != "k6" or shutil.which("k6")]
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(asked.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            figures[name].append(measure(name, asked.fans))
            print(f"  round {number + 1} {name}: {figures[name][-1]}", file=sys.stderr)
    middle = {name: rounds.medians(all_rounds) for name, all_rounds in figures.items()}
    ours = middle["gatecrash"]["cpu_ms_per_purchase"]
    ratios = {name: round(one["cpu_ms_per_purchase"] / ours, 2) for name, one in middle.items() if name != "gatecrash"}
    what = f"processor time of the load generator for a purchase, {asked.fans} fans at one instant"
    path = rounds.write("journeys", {"what": what, **middle, "ratios": ratios, "rounds": figures})
    rounds.publish("journeys", table(figures, asked.fans))
    print(f"a purchase costs {ours:.2f} ms here; beside that: {ratios} ({path})")
