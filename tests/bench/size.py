"""One run of `two-hundred-thousand`, kept as a record in docs/size/: what it took, by part, beside what `plan` said.

`python -m tests.bench.size --users 10000` rehearses, samples the processor time and the memory of every process of the
run, keeps report and verdict without the tables in docs/size/USERS, and renews the tables of docs/size.md from all
records that are there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.scenario import Scenario
from harness.swarm.calibration.capacity import Sizing
from harness.swarm.users.arrivals import arrival_of
from tests.bench import rounds

SCENARIO = "two-hundred-thousand"
KEPT = rounds.ROOT / "docs" / "size"
PAGE = rounds.ROOT / "docs" / "size.md"
SAMPLE_S = 1.0
ADDRESS_SPACE_BYTES = 20_000_000 * 1024
PARTS = {
    "swarm.control.worker": "load generator",
    "harness.swarm": "its master",
    "target booking": "booking process",
    "valkey": "Valkey",
    "chaos.proxy": "fault proxy",
    "postgres": "PostgreSQL",
    "target": "the platform's other processes",
    "harness rehearse": "conductor and scraper",
}
"""What a command line has in it, and the name of its part; the first that fits."""


PLATFORM = ("booking process", "Valkey", "fault proxy", "PostgreSQL", "the platform's other processes")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took. Times in s after T0, processor time in s, memory in bytes.

    `late_s`: how late fans first sent, p50 and p99. `cpu_s`: by part, from T0 until the last fan was told a position.
    `told_s`: after T0 so many fans had been told their first one: 50 %, 95 %, all. `first_position_s`: from the fan's
    arrival on, p50, p95 and the longest.
    """

    users: int
    window_s: float
    verdict: str
    generator: str
    reasons: tuple[str, ...]
    late_s: tuple[float, float]
    told: int
    told_s: tuple[float, float, float]
    held: int
    first_position_s: tuple[float, float, float]
    overstated_ms_p99: dict[str, float]
    cpu_s: dict[str, float]
    rss_bytes: dict[str, int]
    fds: int
    ports: int
    addresses: int
    predicted: Sizing


class Sampler:
    """The processor time and memory of a process and all below it, by part, once in `every_s`."""

    def __init__(self, pid: int, every_s: float = SAMPLE_S) -> None:
        self._root = psutil.Process(pid)
        self._every_s = every_s
        self._parts: dict[int, str] = {}
        self.rows: list[tuple[float, dict[str, float], dict[str, int]]] = []
        self._used: dict[int, float] = {}
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self._root.is_running():
            try:
                self._look()
            except psutil.Error:
                return
            time.sleep(self._every_s)

    def _look(self) -> None:
        rss: dict[str, int] = defaultdict(int)
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                part = self._parts.get(process.pid) or self._part(process)
                self._used[process.pid] = sum(process.cpu_times()[:2])
                rss[part] += process.memory_info().rss
            except psutil.Error:
                continue
        used: dict[str, float] = defaultdict(float)
        for pid, cpu_s in self._used.items():
            used[self._parts[pid]] += cpu_s
        self.rows.append((time.time(), dict(used), dict(rss)))

    def _part(self, process: psutil.Process) -> str:
        line = " ".join(process.cmdline())
        part = next((name for mark, name in PARTS.items() if mark in line), "others")
        if part != "others":
            self._parts[process.pid] = part
        else:
            self._parts.setdefault(process.pid, part)
        return part

    def cpu_s(self, first_s: float, last_s: float) -> dict[str, float]:
        """By part, between two instants in unix time."""
        before = [row for row in self.rows if row[0] <= first_s] or self.rows[:1]
        after = [row for row in self.rows if row[0] >= last_s] or self.rows[-1:]
        return {name: round(used - before[-1][1].get(name, 0.0), 1) for name, used in after[0][1].items()}

    def rss_bytes(self) -> dict[str, int]:
        """By part, the most of it."""
        most: dict[str, int] = defaultdict(int)
        for _, _, rss in self.rows:
            for name, size in rss.items():
                most[name] = max(most[name], size)
        return dict(most)


def predict(users: int, window_s: float) -> Sizing:
    """What `plan` says of this machine."""
    command = ["plan", "--users", str(users), "--window", f"{window_s:g}", "--scenario", SCENARIO, "--json"]
    done = subprocess.run([sys.executable, "-m", "harness", *command], stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Sizing)


def rehearse(users: int, out: Path, changes: list[str]) -> tuple[Path, Sampler]:
    """The run directory, and what was sampled. Its verdict may be any."""
    options = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "harness", "rehearse", SCENARIO, "--users", str(users), "--out", str(out)]
    process = subprocess.Popen(["prlimit", f"--as={ADDRESS_SPACE_BYTES}", *command, *options])
    sampler = Sampler(process.pid)
    process.wait()
    (run,) = out.iterdir()
    document = json.loads((run / "run.json").read_text())
    if document["t0"] is None:
        raise SystemExit("nobody was released, so there is nothing to keep")
    if document["load"] is None:
        raise SystemExit("the run ended before its load told what it did, so there is nothing to keep")
    return run, sampler


def figures(run: Path, sampler: Sampler, predicted: Sizing) -> Figures:
    """From the record and the samples."""
    document = json.loads((run / "run.json").read_text())
    verdict = json.loads((run / "verdict.json").read_text())
    load, t0_s = document["load"], datetime.fromisoformat(document["t0"]).timestamp()
    scenario = msgspec.convert(document["scenario"], Scenario, strict=False)
    events = pq.read_table(run / "events.parquet", columns=["user", "stream", "event", "t_s"])
    positions = events.filter(pc.and_(pc.equal(events["stream"], "positions"), pc.equal(events["event"], "position")))
    first_s = positions.group_by("user").aggregate([("t_s", "min")])
    told_s = np.sort(first_s["t_s_min"].to_numpy())
    connects = events.filter(pc.and_(pc.equal(events["stream"], "positions"), pc.equal(events["event"], "connect")))
    due_s = np.array([arrival_of(scenario, user).after_s for user in first_s["user"].to_pylist()])
    waited_s = np.sort(first_s["t_s_min"].to_numpy() - due_s)
    health = pq.read_table(run / "generator.parquet")
    last_told_s = float(told_s[-1]) if len(told_s) else scenario.duration_s
    generator = verdict["generator"]
    return Figures(
        users=load["users_asked"],
        window_s=scenario.load.arrivals.ramp_s,
        verdict=verdict["verdict"],
        generator=generator["validity"],
        reasons=tuple(generator["reasons"]),
        late_s=(round(load["skew_ms_p50"] / 1000, 2), round(load["skew_ms_p99"] / 1000, 2)),
        told=len(told_s),
        told_s=_spread(told_s, 50, 95),
        held=len(pc.unique(connects["user"])),
        first_position_s=_spread(waited_s, 50, 95),
        overstated_ms_p99={step: round(one["p99"], 1) for step, one in generator["overstatement_ms"].items()},
        cpu_s=sampler.cpu_s(t0_s, t0_s + last_told_s),
        rss_bytes=sampler.rss_bytes(),
        fds=pc.max(health["fds"]).as_py(),
        ports=pc.max(health["ports"]).as_py() * len(pc.unique(health["worker"])),
        addresses=round(pc.max(health["ports_limit"]).as_py() / 28232),
        predicted=predicted,
    )


def _spread(values: np.ndarray, *percents: int) -> tuple[float, ...]:
    if not len(values):
        return (float("nan"),) * (len(percents) + 1)
    return (*(round(float(np.percentile(values, percent)), 2) for percent in percents), round(float(values[-1]), 2))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.size")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--window", type=float, default=30.0, metavar="S", help="all arrive within it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", action="store_true", help="in docs/size")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gatecrash-size-") as folder:
        predicted = predict(asked.users, asked.window)
        changes = [*asked.set, f"load.arrivals.ramp_s={asked.window:g}"]
        run, sampler = rehearse(asked.users, Path(folder), changes)
        found = figures(run, sampler, predicted)
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        if asked.keep:
            into = KEPT / str(asked.users)
            into.mkdir(parents=True, exist_ok=True)
            for name in ("report.html", "verdict.json"):
                (into / name).write_text(without_places((run / name).read_text(), folder))
            (into / "figures.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
            renew_page()
    return 0


def without_places(text: str, folder: str) -> str:
    """The text without the folders of the machine that made it."""
    return text.replace(folder, "runs").replace(f"{rounds.ROOT}/", "")


def renew_page() -> None:
    """The tables of docs/size.md, from the records."""
    kept = [msgspec.json.decode(file.read_bytes(), type=Figures) for file in KEPT.glob("*/figures.json")]
    kept.sort(key=lambda one: one.users)
    for name, lines in (("runs", _runs(kept)), ("parts", _parts(kept)), ("plan", _plans(kept))):
        rounds.publish(name, lines, PAGE, by="size")


def _runs(kept: Sequence[Figures]) -> list[str]:
    lines = [
        "| Fans | Within | Told a position | 50 % / 95 % / all after T0 | From arrival to position, p50 / p95 "
        "| First send late by, p50 / p99 | Verdict | Load generator |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return [*lines, *map(_run, kept)]


def _run(one: Figures) -> str:
    told_s = " / ".join(f"{t_s:.1f}" for t_s in one.told_s)
    return (
        f"| [{one.users:,}](size/{one.users}/report.html) | {one.window_s:g} s | {one.told:,} | {told_s} s "
        f"| {one.first_position_s[0]:.2f} / {one.first_position_s[1]:.2f} s "
        f"| {one.late_s[0]:.2f} / {one.late_s[1]:.2f} s | {one.verdict} | {one.generator} |"
    )


def _parts(kept: Sequence[Figures]) -> list[str]:
    names = sorted({name for one in kept for name in one.cpu_s}, key=lambda name: -kept[-1].cpu_s.get(name, 0.0))
    lines = [f"| Part | {' | '.join(f'{one.users:,} fans' for one in kept)} |", "|---" * (len(kept) + 1) + "|"]
    for name in names:
        cells = (_part(one, name) for one in kept)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _part(one: Figures, name: str) -> str:
    used_s, all_s = one.cpu_s.get(name, 0.0), sum(one.cpu_s.values())
    gigabytes = one.rss_bytes.get(name, 0) / 1e9
    return f"{used_s:.1f} s, {used_s / all_s:.0%}, {used_s / max(one.told, 1) * 1e6:.0f} µs a fan; {gigabytes:.2f} GB"


def _plans(kept: Sequence[Figures]) -> list[str]:
    lines = ["| Fans | What | `plan` | measured | plan / measured |", "|---|---|---|---|---|"]
    for one in kept:
        for what, said, seen, unit in _compared(one):
            ratio = f"{said / seen:.2f}" if seen else "–"
            lines.append(f"| {one.users:,} | {what} | {said:,.2f} {unit} | {seen:,.2f} {unit} | {ratio} |")
    return lines


def _compared(one: Figures) -> Iterator[tuple[str, float, float, str]]:
    here = one.predicted.here
    assert here is not None
    rss = one.rss_bytes
    platform = sum(rss.get(name, 0) for name in PLATFORM)
    yield "arrivals told a position per second", here.arrivals_per_s, one.told / one.told_s[2], "/s"
    yield "all told after", here.told_all_s, one.told_s[2], "s"
    yield "first position p95", here.first_position_p95_s, one.first_position_s[1], "s"
    yield "memory of the load", here.load_bytes / 1e9, rss.get(PARTS["swarm.control.worker"], 0) / 1e9, "GB"
    yield "memory of the platform", here.platform_bytes / 1e9, platform / 1e9, "GB"
    yield "descriptors of a worker", here.fds, one.fds, ""
    yield "ports", here.ports, one.ports, ""


if __name__ == "__main__":
    sys.exit(main())
