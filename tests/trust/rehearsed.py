"""Rehearsals as a user starts them, and what each of them left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
FILES = ("verdict.json", "report.html", "report.md", "junit.xml")
WITHIN_S = 300.0


class Ended(NamedTuple):
    """One rehearsal that is over. `verdict`: verdict.json as plain data; empty where there is none."""

    code: int
    stdout: str
    stderr: str
    run: Path | None
    verdict: dict

    @property
    def missing(self) -> list[str]:
        """The files that every run must leave and this one did not."""
        return [name for name in FILES if self.run is None or not (self.run / name).exists()]

    @property
    def sentence(self) -> str:
        """What it said last for people, whether on stderr or on stdout."""
        lines = [line for line in (*self.stderr.splitlines(), *self.stdout.splitlines()) if line.strip()]
        return lines[-1] if lines else ""

    @property
    def sold(self) -> int:
        """Confirmed orders in the export at rest, read past gatecrash's own readers."""
        path = self.run / "final_orders.parquet" if self.run else None
        if path is None or not path.exists():
            return 0
        orders = pq.read_table(path, columns=["order_id", "state"]).to_pylist()
        return len({row["order_id"] for row in orders if row["state"] == "confirmed"})


def start(
    out: Path, *arguments: str, temporary: Path | None = None, extra: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`gatecrash rehearse …`, its runs below `out`, in a temporary directory of its own. `extra`: its environment."""
    out.mkdir(parents=True, exist_ok=True)
    temporary = temporary or Path(tempfile.mkdtemp(prefix="trust-", dir=out))
    temporary.chmod(0o711)  # as root PostgreSQL runs as another user, who must reach its folder below
    return subprocess.Popen(
        [sys.executable, "-m", "harness", "rehearse", *arguments, "--out", str(out)],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), **(extra or {})},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], out: Path) -> Ended:
    """Wait for it, and read what it left. One that hangs is ended, and its code is that of a SIGKILL."""
    try:
        stdout, stderr = process.communicate(timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        stderr += f"\nit hung: killed after {WITHIN_S:g} s"
    run = run_below(out)
    path = run / "verdict.json" if run else None
    verdict = json.loads(path.read_text()) if path is not None and path.exists() else {}
    return Ended(process.returncode, stdout, stderr, run, verdict)


def rehearse(out: Path, *arguments: str) -> Ended:
    """One rehearsal from start to end."""
    return end(start(out, *arguments), out)


def run_below(out: Path) -> Path | None:
    """The one run directory below `out`."""
    return next((path.parent for path in out.glob("*/run.json")), None)


def all_of(work: Iterable[tuple[Path, Sequence[str]]], jobs: int) -> list[Ended]:
    """Several rehearsals, `jobs` at a time, in the order in which they were given."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(lambda one: rehearse(one[0], *one[1]), work))


def violated(ended: Ended) -> list[str]:
    """The invariants that its verdict says are violated."""
    return [one["name"] for one in ended.verdict.get("invariants", ()) if one["status"] == "violated"]
