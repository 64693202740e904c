"""Leases: before a fault is injected, its inverse is on disk, and a separate process is ready to apply it.

A keeper (the process that injects) has one journal. Before it injects a fault, it writes the fault there with its
inverse and the state before it, and syncs the file. A reaper (`chaos.lease.reaper`) listens to the keeper's heartbeat;
when that stops, it heals the faults that are in force by the journal. When keeper and reaper are both dead, the next
command heals.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, TypeAlias

import msgspec

from chaos.faults import Inverse
from chaos.lease import state
from harness.errors import EnvironmentProblem, InputError
from harness.input_file import NOT_JSON
from harness.processes.identity import Identity
from harness.record.seal_key import stripped_environment

LEASE_S: Final = 10.0
_ROOT: Final = Path(__file__).resolve().parents[2]
_READY_WITHIN_S: Final = 20.0
_ENDS_WITHIN_S: Final = 20.0  # the reaper has nothing left to do, but the machine may be busy
_BEATS_PER_LEASE: Final = 5


class Opened(msgspec.Struct, frozen=True, tag="opened", tag_field="record"):
    """The first record: the keeper. `run`: the faults.json of the run."""

    keeper: Identity
    lease_s: float
    run: str


class Intended(msgspec.Struct, frozen=True, tag="intended", tag_field="record"):
    """A fault is about to be injected: from now on it may be in force. `t_wall_s`: unix time."""

    number: int
    experiment: str
    inverse: Inverse
    t_wall_s: float


class Undone(msgspec.Struct, frozen=True, tag="undone", tag_field="record"):
    """The fault is not in force any more. `by`: keeper, reaper or heal. `how`: "", or why there was nothing to do."""

    number: int
    by: str
    how: str = ""


Record: TypeAlias = Opened | Intended | Undone


class JournalState(msgspec.Struct, frozen=True):
    """The state of a journal. `pending`: the faults that may be in force, in the order of injection."""

    opened: Opened
    pending: tuple[Intended, ...]
    undone_by_others: tuple[Undone, ...]


def read(path: Path) -> JournalState:
    """Raises FileNotFoundError when it was closed, InputError when it cannot be understood.

    A line that was cut short is skipped: the fault in it was not injected yet.
    """
    records: list[Record] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(msgspec.json.decode(line, type=Record))
        except msgspec.ValidationError as error:
            hint = "heal with the version of gatecrash that wrote it, or undo it by hand and remove the file"
            raise InputError(f"cannot be understood: {error}", file=str(path), line=number, hint=hint) from error
        except NOT_JSON:
            continue
    opened = next((record for record in records if isinstance(record, Opened)), None)
    if opened is None:
        raise InputError("does not say who keeps it", file=str(path), line=1, hint="remove it: nothing was begun")
    done = {record.number: record for record in records if isinstance(record, Undone)}
    pending = [record for record in records if isinstance(record, Intended) and record.number not in done]
    return JournalState(opened, tuple(pending), tuple(one for one in done.values() if one.by != "keeper"))


def append(path: Path, record: Record) -> None:
    """Write one record at the end and sync it. Raises FileNotFoundError when the journal was closed, OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if torn else b"") + msgspec.json.encode(record) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def healing(path: Path, within_s: float) -> Iterator[bool]:
    """Lets one process heal at a time: true when it is our turn, false when another was healing all the time."""
    deadline_s = time.monotonic() + within_s
    with path.open("rb") as journal:
        ours = _lock(journal, deadline_s)
        try:
            yield ours
        finally:
            if ours:
                fcntl.flock(journal, fcntl.LOCK_UN)


def _lock(journal: IO[bytes], deadline_s: float) -> bool:
    while True:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.05)
        else:
            return True


class Lease:
    """The keeper's side: a journal, a reaper, a heartbeat. `run` is the faults.json of the run.

    Only its owner can read the journal, because the command that starts a process again may hold passwords.
    """

    def __init__(self, run: Path, *, lease_s: float = LEASE_S) -> None:
        """Raises EnvironmentProblem when the journal cannot be written or the reaper does not start."""
        self.id = secrets.token_hex(4)
        self._run = run
        self._lease_s = lease_s
        self._next = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._reaper_died = False
        self.path = self._create()
        try:
            self.reaper = self._start_reaper()
            self._require_ready()
        except BaseException:
            self.path.unlink(missing_ok=True)
            raise
        self._beat = threading.Thread(target=self._keep_beating, name="lease", daemon=True)
        self._beat.start()

    @property
    def reaper_died(self) -> bool:
        """Whether a reaper ended before the lease was given back. Another one is started at the next heartbeat."""
        return self._reaper_died or (not self._closed.is_set() and self.reaper.poll() is not None)

    def undone_by_others(self) -> frozenset[int]:
        """The numbers of the faults that another process undid."""
        with contextlib.suppress(FileNotFoundError):
            return frozenset(one.number for one in read(self.path).undone_by_others)
        return frozenset()

    @property
    def lost(self) -> bool:
        """Whether another process undid our faults, because it missed our heartbeat or was told to heal."""
        try:
            return bool(read(self.path).undone_by_others)
        except FileNotFoundError:
            return not self._closed.is_set()

    def intend(self, experiment: str, inverse: Inverse) -> int:
        """Write the fault to disk before it is injected; returns the number for `undone`. Raises EnvironmentProblem."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            try:
                append(self.path, Intended(number, experiment, inverse, time.time()))
            except OSError as error:
                raise EnvironmentProblem(f"the journal {self.path} cannot be written: {error}") from error
            return number

    def undone(self, number: int) -> None:
        """Note that a fault is healed. A journal that cannot be written is no error here, because healing twice is
        safe.
        """
        with self._lock, contextlib.suppress(OSError):
            append(self.path, Undone(number, "keeper"))

    def close(self) -> None:
        """End the lease. Faults that are still pending stay in the journal, and the reaper goes on trying."""
        if self._closed.is_set():
            return
        self._reaper_died = self.reaper_died
        self._closed.set()
        self._beat.join(timeout=2)
        with contextlib.suppress(FileNotFoundError):
            if not read(self.path).pending:
                self.path.unlink()
        with contextlib.suppress(OSError):
            self._pipe.close()
        if not self.path.exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.reaper.wait(_ENDS_WITHIN_S)
        self.reaper.returncode = self.reaper.returncode or 0  # the reaper must be able to outlive us

    def _create(self) -> Path:
        folder = state.folder() / "leases"
        path = folder / f"{self.id}{state.SUFFIX}"
        opened = Opened(Identity.own(), self._lease_s, str(self._run.resolve()))
        fresh = path.with_suffix(".new")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.close(descriptor)
            append(fresh, opened)
            fresh.rename(path)
            _sync_folder(folder)
        except OSError as error:
            hint = f"set {state.VARIABLE} to a directory that you can write"
            raise EnvironmentProblem(f"cannot keep a journal in {folder}: {error.strerror}", hint=hint) from error
        return path

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        logs = self._run.parent / "logs"
        with (logs / "reaper.log" if logs.is_dir() else Path(os.devnull)).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "chaos.lease.reaper", str(self.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C must not reach the reaper
                cwd=_ROOT,
                env={
                    **stripped_environment(),
                    "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
                },
            )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("both were asked for")
        self._pipe, self._words = process.stdin, process.stdout
        return process

    def _require_ready(self) -> None:
        """Check that a reaper is ready before any fault is injected."""
        ready, _, _ = select.select([self._words], [], [], _READY_WITHIN_S)
        if not ready or not os.read(self._words.fileno(), 1):
            self.reaper.kill()
            self.reaper.wait()
            self._words.close()
            self._pipe.close()
            hint = "see logs/reaper.log in the run directory"
            raise EnvironmentProblem("the reaper did not start, so no fault could be healed if we died", hint=hint)
        self._words.close()

    def _keep_beating(self) -> None:
        while not self._closed.wait(self._lease_s / _BEATS_PER_LEASE):
            try:
                os.write(self._pipe.fileno(), b".")
            except (OSError, ValueError):  # ValueError: the pipe is closed, because no other reaper could be started
                self._replace_reaper()

    def _replace_reaper(self) -> None:
        """Start another reaper, because the first one ended."""
        self._reaper_died = True
        self.reaper.wait()
        with contextlib.suppress(OSError):
            self._pipe.close()
        with contextlib.suppress(OSError):
            self.reaper = self._start_reaper()
            self._words.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
