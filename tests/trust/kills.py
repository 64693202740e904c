"""Each process of a rehearsal killed or stopped at each phase.

Whatever dies, the tool may not call an invariant violated that was not, may not say READY of a sale that did not take
place, and may not end in silence: exit code 0, 1 or 3, a sentence, and all four files.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import NamedTuple

import psutil

from harness.record.paths import RunPaths
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
WORDS = {0: "READY", 1: "NOT READY", 3: "NO VERDICT"}
"""The exit codes that may come of it, each with its word in verdict.json."""
SEED = "kills"
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
    """`times`: only so many of the kills, drawn at random, always the same ones."""
    kills = [Kill(*one) for one in product((*STACK, *OURS), PHASES, SIGNALS)]
    chosen = random.Random(SEED).sample(kills, min(times, len(kills))) if times else kills
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        outcomes = list(pool.map(lambda pair: _carried_out(pair[1], out / f"{pair[0]}"), enumerate(chosen)))
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
    missed = "the process was gone"
    try:
        for victim in _await(kill, out, process):
            with suppress(psutil.NoSuchProcess):
                victim.send_signal(kill.signal)
                missed = ""
    except TimeoutError as error:
        missed = str(error)
    finally:
        ended = end(process, out)
    wrong = (missed,) if missed else tuple(_wrong(ended))
    print(f"{kill.name}: exit {ended.code} {'; '.join(wrong) or 'as it must be'}", file=sys.stderr, flush=True)
    return Outcome(kill, ended, wrong)


def _wrong(ended: Ended) -> Iterator[str]:
    if ended.code not in WORDS:
        yield f"exit code {ended.code}"
    if violated(ended):
        yield f"violated: {', '.join(violated(ended))}"
    if ended.missing:
        yield f"missing: {', '.join(ended.missing)}"
    word, reason = ended.verdict.get("verdict"), ended.verdict.get("reason", "")
    if ended.verdict and word != WORDS.get(ended.code):
        yield f"exit code {ended.code} of {word}"
    if not reason or reason not in ended.stdout:
        yield "silence: no reason on stdout"
    if ended.code != 0 and not ended.verdict.get("reasons"):
        yield "no reasons"
    if "Traceback" in ended.stderr:
        yield "a traceback"
    if ended.code == 0 and not ended.sold:
        yield "READY though nothing was sold"


def _await(kill: Kill, out: Path, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Until the rehearsal is in that phase and has the process, which is returned. Raises TimeoutError."""
    seen: dict[str, Callable[[dict], bool]] = {
        "arm": lambda run: bool(run["processes"]),  # the stack stands; phases are dated only once T0 is known
        "release": _is_released,
        "selling": lambda run: _is_released(run) and _sells(out),
        "settle": lambda run: "settle" in {phase["name"] for phase in run["phases"]},
    }
    deadline_s = time.monotonic() + _PHASE_WITHIN_S
    while time.monotonic() < deadline_s and process.poll() is None:
        document = _document(out)
        if document and seen[kill.phase](document) and (found := _victims(kill.process, out, process.pid)):
            return found
        time.sleep(_POLL_S)
    raise TimeoutError(f"the rehearsal never came to {kill.phase} with a {kill.process}")


def _is_released(run: dict) -> bool:
    """T0 is announced ahead."""
    return bool(run["t0"]) and datetime.fromisoformat(run["t0"]) <= datetime.now(UTC)


def _sells(out: Path) -> bool:
    """A payment was answered with an order, as the record says while it grows."""
    run = run_below(out)
    try:
        return run is not None and b'"order_id":' in RunPaths(root=run).live_table("operations").read_bytes()
    except OSError:
        return False


def _document(out: Path) -> dict | None:
    run = run_below(out)
    try:
        return json.loads((run / "run.json").read_text()) if run else None
    except (OSError, ValueError):
        return None


def _victims(name: str, out: Path, pid: int) -> list[psutil.Process]:
    if name in STACK:
        document = _document(out) or {}
        pids = [one["pid"] for one in document.get("processes", ()) if one["name"] == name]
        return [process for process in map(_process, pids) if process is not None]
    module = {"swarm master": "harness.swarm", "swarm worker": "harness.swarm.control.worker"}[name]
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            words = child.cmdline()
            if "-m" in words and words[words.index("-m") + 1] == module:
                found.append(child)
    return found


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
