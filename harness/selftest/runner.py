"""Carries out the cases of a self-test: each is a `gatecrash rehearse` of its own, as a user would run it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import msgspec
import psutil

from harness.input_file import NOT_JSON
from harness.processes.managed import child_environment, last_line, tied_to_parent
from harness.processes.signals import uninterrupted
from harness.record.paths import RunPaths
from harness.record.seal_key import for_our_own
from harness.record.verdict import Verdict
from harness.selftest.cases import Case, CaseResult, judge

_TICK_S: Final = 0.5
_RUN_WITHIN_S: Final = 240.0
_DOWN_WITHIN_S: Final = 40.0


def run(cases: Sequence[Case], out: Path, jobs: int, tell: Callable[[CaseResult], None]) -> tuple[CaseResult, ...]:
    """Run them all, `jobs` at a time, each below `out/<its name>`; `tell` hears of each as it ends.

    Returns the results in the order of the cases. Stopped half-way, it takes what is running down first.
    """
    results: dict[int, CaseResult] = {}
    waiting = list(enumerate(cases))
    with _running() as running:
        while waiting or running:
            while waiting and len(running) < jobs:
                at, case = waiting.pop(0)
                running[at] = _Rehearsal(case, out)
            psutil.wait_procs([rehearsal.process for rehearsal in running.values()], timeout=_TICK_S)
            for at in [at for at, rehearsal in running.items() if rehearsal.ended]:
                results[at] = running.pop(at).result()
                tell(results[at])
    return tuple(results[at] for at in sorted(results))


@contextmanager
def _running() -> Iterator[dict[int, _Rehearsal]]:
    """The rehearsals that run; whatever ends the block, they are stopped and given time to heal and to tidy up."""
    running: dict[int, _Rehearsal] = {}
    try:
        yield running
    finally:
        with uninterrupted():
            for rehearsal in running.values():
                rehearsal.process.terminate()
            for rehearsal in running.values():
                rehearsal.stop()


class _Rehearsal:
    """One case that is running. Its output is kept in `out/<name>.log`."""

    def __init__(self, case: Case, out: Path) -> None:
        self._case = case
        self._runs = out / case.name
        self._log = out / f"{case.name}.log"
        self._began_s = time.monotonic()
        self._too_late = False
        command = [sys.executable, "-m", "harness", *case.arguments, "--out", str(self._runs)]
        with self._log.open("wb") as log:
            self.process = _started(command, log, {} if case.bug else for_our_own())

    @property
    def ended(self) -> bool:
        """It is over, or it took too long and was stopped."""
        if self.process.poll() is not None:
            return True
        if time.monotonic() - self._began_s > _RUN_WITHIN_S:
            self._too_late = True
            self.process.terminate()
            self.stop()
        return self._too_late

    def stop(self) -> None:
        """Wait for its end, and force it if it takes too long."""
        with suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self.process.wait(_DOWN_WITHIN_S)
            return
        self.process.kill()
        self.process.wait()

    def result(self) -> CaseResult:
        """What became of the case."""
        took_s = time.monotonic() - self._began_s
        found = [path for path in self._runs.glob("*") if path.is_dir()]
        run_dir = found[0] if found else None
        verdict = None if run_dir is None or self._too_late else _verdict(RunPaths(root=run_dir))
        problem = f"took longer than {_RUN_WITHIN_S:g} s" if self._too_late else self._last_words()
        return judge(self._case, verdict, problem, str(run_dir or ""), round(took_s, 1))

    def _last_words(self) -> str:
        return last_line(self._log) or f"exited with code {self.process.poll()}"


def _started(command: Sequence[str], log: IO[bytes], key: Mapping[str, str]) -> psutil.Popen:
    """`key`: of the seals, for the clean runs alone: their records are opened here to count chances."""
    return psutil.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=child_environment(key),
        preexec_fn=tied_to_parent(signal.SIGTERM),  # it heals and tidies up by itself
    )


def _verdict(paths: RunPaths) -> Verdict | None:
    try:
        return msgspec.json.decode(paths.verdict.read_bytes(), type=Verdict)
    except (OSError, *NOT_JSON):
        return None
