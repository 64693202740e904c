"""Runs the command line as a user does, with a temporary directory of its own, and looks at what it left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pyarrow.parquet as pq

from harness.record.schema import RunDocument
from harness.record.verdict import Verdict

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", *arguments]


def environment(temporary: Path) -> dict[str, str]:
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o711)  # as root PostgreSQL runs as another user, who must reach its folder below
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}


def run(temporary: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(temporary),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


class Rehearsed(NamedTuple):
    """A finished command, its run directory, and the temporary directory that it had."""

    done: subprocess.CompletedProcess[str]
    run: Path
    temporary: Path


def rehearse(room: Path, *arguments: str) -> Rehearsed:
    """`gatecrash rehearse` with these arguments, its runs below `room`; it must have begun one."""
    temporary, out = room / "tmp", room / "runs"
    done = run(temporary, "rehearse", *arguments, "--out", str(out))
    assert out.exists(), done.stderr
    return Rehearsed(done, only_run(out), temporary)


def only_run(out: Path) -> Path:
    [found] = [path for path in out.iterdir() if path.is_dir()]
    return found


def document(run_dir: Path) -> RunDocument:
    return msgspec.json.decode((run_dir / "run.json").read_bytes(), type=RunDocument)


def verdict(run_dir: Path) -> Verdict:
    return msgspec.json.decode((run_dir / "verdict.json").read_bytes(), type=Verdict)


def content_of(path: Path) -> bytes:
    """What a file holds; of a table also its values, which lie compressed in it."""
    content = path.read_bytes()
    return content + str(pq.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else content


def processes_of(run_dir: Path, temporary: Path) -> list[str]:
    """Every living process that belongs to the run: one of its stack's, or one that names its directories."""
    stack = {process.pid for process in document(run_dir).processes}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or [])
        ours = process.info["pid"] in stack or str(temporary) in words or str(run_dir) in words
        if ours and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(words)
    return found
