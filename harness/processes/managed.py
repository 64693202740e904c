"""Child processes of a stack: started with a log file each, watched, and always taken down.

Each child leads its own process group, so that Ctrl-C reaches only us and we take the parts down in order. On Linux a
child is also tied to our life: should we be killed outright, the kernel ends it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psutil

from harness.errors import EnvironmentProblem
from harness.processes.signals import give_way, uninterrupted
from harness.record.schema import Anomaly, ProcessInfo
from harness.record.seal_key import stripped_environment

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_AUTOGROUP: Final = Path("/proc/self/autogroup")
_GONE_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
_LAUNCHER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")


def tied_to_parent(death_signal: signal.Signals, niceness: int = 0) -> Callable[[], None]:
    """For `preexec_fn`: on Linux the kernel sends that signal to the child when we are gone, however we ended.

    `niceness`: how far the child stands back where processor time is short. Linux may share the time by sessions first,
    so there its session stands back as well (sched(7), "The autogroup feature").
    """

    def tie() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if niceness:
            os.nice(niceness)
            with contextlib.suppress(OSError):  # a kernel without it
                _AUTOGROUP.write_text(str(niceness))

    return tie


def last_line(log: Path) -> str:
    """The last line of a log that says something, at most 300 characters; "" when there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def ending(code: int) -> str:
    """How a process with this return code ended, in words that follow "it"."""
    return f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"


class ManagedProcess:
    """One child. `stop_signal` asks it to end; all that is left of it and below it is killed, and waited for.

    `niceness`: see `tied_to_parent`.
    """

    container: Final = ""
    outside: Final = None

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
        address: str = "",
        stop_signal: signal.Signals = signal.SIGTERM,
        niceness: int = 0,
    ) -> None:
        self.name = name
        self.address = address
        self.log = log
        self.command = tuple(str(part) for part in command)
        self.env = dict(env) if env is not None else None
        self.user = user
        self.cwd = cwd
        self._stop_signal = stop_signal
        self._niceness = niceness
        self._stopping = False
        self._reported = False
        with uninterrupted():
            self._popen = self._launch()

    @property
    def pid(self) -> int:
        """Its process id, also the id of its group."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it still lives."""
        return self._popen.poll() is None

    def info(self) -> ProcessInfo:
        """What the record keeps of it."""
        return ProcessInfo(name=self.name, pid=self.pid, address=self.address)

    def wait_healthy(self, healthy: Callable[[], bool], *, within_s: float) -> None:
        """Return when `healthy()` is true.

        Raises EnvironmentProblem when it dies first or `within_s` runs out; the message carries its last words. On any
        way out but a return it is stopped.
        """
        with self._stopped_on_error(within_s=1):
            self._await(healthy, within_s)

    def _await(self, healthy: Callable[[], bool], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not healthy():
            if not self.running:
                raise EnvironmentProblem(
                    f"{self.name} ended while starting (exit code {self._popen.returncode}): {last_line(self.log)}",
                    hint=f"see {self.log}",
                )
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"{self.name} was not healthy within {within_s:.0f} s: {last_line(self.log)}",
                    hint=f"see {self.log}",
                )
            give_way()
            time.sleep(_LOOK_EVERY_S)

    def wait_success(self, *, within_s: float) -> None:
        """Wait for a job that ends by itself. Raises EnvironmentProblem when it fails or is not done in time.

        On any way out but a return it is stopped.
        """
        with self._stopped_on_error(within_s=0):
            deadline = time.monotonic() + within_s
            while self.running and time.monotonic() < deadline:
                give_way()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._popen.wait(_LOOK_EVERY_S)
            code = self._popen.poll()
            if code != 0:
                how = "was not done in time" if code is None else f"failed with exit code {code}"
                raise EnvironmentProblem(f"{self.name} {how}: {last_line(self.log)}", hint=f"see {self.log}")

    @contextlib.contextmanager
    def _stopped_on_error(self, within_s: float) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with uninterrupted():
                self.stop(within_s=within_s)
            raise

    def ask_to_stop(self) -> None:
        """Send the stop signal; returns at once."""
        self._stopping = True
        self._signal(self._stop_signal)

    def stop(self, *, within_s: float) -> None:
        """Stop it and wait; after `within_s` it is killed, and so is what it left behind. Safe to call twice."""
        family = self._below()
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(max(within_s, 0.05))
        self._end(family)

    def kill(self) -> None:
        """Kill it and all below it on purpose, without a chance to tidy up, and wait for the end of all."""
        self._stopping = True
        self._end([])

    def start_again(self) -> None:
        """Start what was killed or stopped with the same command. Raises EnvironmentProblem when it cannot be.

        May be called in any thread: the kernel ties a child to the life of the thread that started it, so one that
        lasts as long as we do starts it.
        """
        if self.running:
            raise RuntimeError(f"{self.name} is still running")
        self._popen = _LAUNCHER.submit(self._launch).result()
        self._stopping = False

    def death(self, t_s: float | None) -> Anomaly | None:
        """What to record if it died on its own since the last call; None otherwise."""
        code = self._popen.poll()
        if code is None or self._stopping or self._reported:
            return None
        self._reported = True
        words = last_line(self.log)
        return Anomaly(
            t_s=t_s,
            source=self.name,
            text=f"{self.name} died on its own: it {ending(code)}" + (f"; last log line: {words}" if words else ""),
            is_death=True,
        )

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            try:
                return subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=stripped_environment() if self.env is None else self.env,
                    cwd=self.cwd,
                    user=self.user,
                    group=_group_of(self.user),
                    extra_groups=[] if self.user else None,
                    start_new_session=True,
                    preexec_fn=tied_to_parent(self._stop_signal, self._niceness),  # noqa: PLW1509 — from one thread
                )
            except OSError as error:
                problem = f"cannot start {self.name}: {error}"
                raise EnvironmentProblem(problem, hint="is the package complete?") from error

    def _below(self) -> list[psutil.Process]:
        return below(self.pid) if self.running else []  # its number may be another's by now

    def _end(self, family: Sequence[psutil.Process]) -> None:
        """Kill it, all below it and what is left of `family`; return when all are gone."""
        self._signal(signal.SIGSTOP)  # no more children
        family = [*family, *self._below()]
        self._signal(signal.SIGKILL, group=True)
        self._popen.wait()
        end_all(family)

    def _signal(self, number: signal.Signals, *, group: bool = False) -> None:
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, number)
            elif self.running:
                os.kill(self.pid, number)


def below(pid: int) -> list[psutil.Process]:
    """All descendants of a process, also those in a session of their own: PostgreSQL's servers each lead one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end_all(processes: Sequence[psutil.Process]) -> None:
    """Kill them; return when all are gone.

    Who is killed is dead a little later, and until then keeps ports, shared memory and files of a directory.
    """
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()
    deadline = time.monotonic() + _GONE_WITHIN_S
    while not all(map(_is_gone, processes)) and time.monotonic() < deadline:
        time.sleep(0.005)


def _is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _group_of(user: str | None) -> int | None:
    if user is None:
        return None
    import pwd

    return pwd.getpwnam(user).pw_gid


def stop_all(processes: Sequence[ManagedProcess], *, within_s: float) -> None:
    """Take them down in reverse order of starting, all within about `within_s`."""
    deadline = time.monotonic() + within_s
    for process in reversed(processes):
        process.stop(within_s=min(3.0, deadline - time.monotonic()))


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment without the key of the seals, able to import what we import, plus `extra`."""
    root = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([root, inherited]) if inherited else root
    return {**stripped_environment(), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **extra}
