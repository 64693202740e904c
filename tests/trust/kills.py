"""Each process of a rehearsal killed or stopped at each phase.

Whatever dies, the tool may not call an invariant violated that was not, may not say READY of a sale that did not take
place, and may not end in silence: exit code 0, 1 or 3, a sentence, and all four files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.trust.rehearsed import Ended, end, run_below, start, violated

PHASES = ("arm", "release", "selling", "settle")
STACK = (
    "valkey",
    "fault-proxy",
    "postgres-primary",
    "postgres-replica",
    "payments",
    "booking",
    "worker",
    "feed-1",
)
OURS = ("swarm master", "swarm worker")
SIGNALS = (signal.SIGKILL, signal.SIGSTOP)
_POLL_S = 0.02
_PHASE_WITHIN_S = 120.0


class Kill(NamedTuple):
    """What happens to which process, when."""

    process: str
    phase: str
    signal: signal.Signals

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.signal.name} {self.process} at {self.phase}"


class Outcome(NamedTuple):
    """What came of one kill; `wrong` is empty where the tool behaved."""

    kill: Kill
    ended: Ended
    wrong: tuple[str, ...]


def measure(out: Path, jobs: int, times: int | None) -> dict:
    """`times`: only so many of the kills, evenly chosen."""
    kills = [Kill(*one) for one in product((*STACK, *OURS), PHASES, SIGNALS)]
    step = max(1, len(kills) // times) if times else 1
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        outcomes = list(pool.map(lambda pair: _carried_out(pair[1], out / f"{pair[0]}"), enumerate(kills[::step])))
    wrong = {outcome.kill.name: list(outcome.wrong) for outcome in outcomes if outcome.wrong}
    return {
        "as_it_must_be": not wrong,
        "sentence": f"{len(outcomes)} kills and stops: {len(wrong)} wrong",
        "wrong": wrong,
        "outcomes": {
            one.kill.name: {
                "code": one.ended.code,
                "verdict": one.ended.verdict.get("verdict"),
                "reason": one.ended.verdict.get("reason") or one.ended.sentence,
            }
            for one in outcomes
        },
    }


def _carried_out(kill: Kill, out: Path) -> Outcome:
    process = start(out, "smoke", "--seed", "7")
    struck: list[int] = []
    try:
        _await(kill.phase, out, process.pid)
        struck = [one.pid for one in _victims(kill.process, out, process.pid)]
        for pid in struck:
            with suppress(ProcessLookupError):
                os.kill(pid, kill.signal)
    finally:
        ended = end(process, out)
    wrong = tuple(_wrong(ended)) if struck else ("the process was not found",)
    print(f"{kill.name}: exit {ended.code} {'; '.join(wrong) or 'as it must be'}", file=sys.stderr, flush=True)
    return Outcome(kill, ended, wrong)


def _wrong(ended: Ended) -> Iterator[str]:
    if ended.code not in (0, 1, 3):
        yield f"exit code {ended.code}"
    if violated(ended):
        yield f"violated: {', '.join(violated(ended))}"
    if ended.missing:
        yield f"missing: {', '.join(ended.missing)}"
    if not ended.sentence:
        yield "silence"
    if "Traceback" in ended.stderr:
        yield "a traceback"
    if ended.code == 0 and not ended.sold:
        yield "READY though nothing was sold"
    if ended.verdict and (ended.code == 0) != (ended.verdict["verdict"] == "READY"):
        yield f"exit code {ended.code} of {ended.verdict['verdict']}"


def _await(phase: str, out: Path, pid: int) -> None:
    """Until the rehearsal is in that phase. Raises TimeoutError."""
    seen: dict[str, Callable[[dict], bool]] = {
        "arm": lambda run: "arm" in _phases(run) or bool(run["processes"]),
        "release": lambda run: bool(run["t0"]),
        "selling": lambda run: bool(run["t0"]),
        "settle": lambda run: "settle" in _phases(run),
    }
    deadline_s = time.monotonic() + _PHASE_WITHIN_S
    while time.monotonic() < deadline_s and psutil.pid_exists(pid):
        document = _document(out)
        if document and seen[phase](document):
            time.sleep({"release": 2.1, "selling": 5.0}.get(phase, 0.0))  # T0 is announced 2 s ahead
            return
        time.sleep(_POLL_S)
    raise TimeoutError(f"the rehearsal never came to {phase}")


def _document(out: Path) -> dict | None:
    run = run_below(out)
    try:
        return json.loads((run / "run.json").read_text()) if run else None
    except (OSError, ValueError):
        return None


def _phases(run: dict) -> set[str]:
    return {phase["name"] for phase in run["phases"]}


def _victims(name: str, out: Path, pid: int) -> list[psutil.Process]:
    if name in STACK:
        document = _document(out) or {}
        pids = [one["pid"] for one in document.get("processes", ()) if one["name"] == name]
        return [psutil.Process(one) for one in pids if psutil.pid_exists(one)]
    module = {"swarm master": "harness.swarm", "swarm worker": "harness.swarm.control.worker"}[name]
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            words = child.cmdline()
            if "-m" in words and words[words.index("-m") + 1] == module:
                found.append(child)
    return found
