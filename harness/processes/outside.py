"""Processes that gatecrash did not start: found by the file that has their id, started again by a command of theirs.

The file is read anew each time: whoever starts such a process again writes another id into it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec
import psutil

from harness.errors import EnvironmentProblem, InputError
from harness.input_file import read_input
from harness.processes.identity import Identity
from harness.record.seal_key import stripped_environment

_LOOK_EVERY_S: Final = 0.05
_BYTES_MAX: Final = 10_000
_STALE_S: Final = 60.0
"""By how much a process may seem younger than the file with its id: clocks are set."""


class OutsideProcess(msgspec.Struct, frozen=True):
    """One of them. `start`: a shell command, run in `folder`; "": a supervisor of its own starts it again.

    Plain data, so that a journal can hold it. `start` may hold secrets: never print it.
    """

    name: str
    pid_file: str
    start: str = ""
    folder: str = ""

    def find(self) -> Identity | None:
        """The process that the file names, when it lives; one that took over the id of another is none.

        Raises EnvironmentProblem when the file is no such file.
        """
        try:
            words = read_input(Path(self.pid_file), _BYTES_MAX).decode("utf-8", "replace").split()
        except InputError as error:
            if not Path(self.pid_file).exists():
                return None
            raise EnvironmentProblem(f"{self.pid_file}, the pid file of {self.name}: {error.message}") from error
        if not words:
            return None  # it is being written
        if not words[0].isdecimal() or not 0 < int(words[0]) < 2**31:
            raise EnvironmentProblem(f"{self.pid_file}, the pid file of {self.name}, does not begin with a process id")
        found = Identity.of(int(words[0]))
        return None if found is None or self._is_older_than(found) else found

    def _is_older_than(self, process: Identity) -> bool:
        """Whether the file was written long before the process began: then its id was given to another since."""
        try:
            return Path(self.pid_file).stat().st_mtime + _STALE_S < psutil.Process(process.pid).create_time()
        except (OSError, psutil.Error):
            return True

    def require(self) -> Identity:
        """The process, when it runs and is ours to signal. Raises EnvironmentProblem."""
        found = self.find()
        if found is None:
            hint = f"start it, and let {self.pid_file} have its id"
            raise EnvironmentProblem(f"the part {self.name} does not run", hint=hint)
        try:
            os.kill(found.pid, 0)
        except PermissionError:
            hint = "run gatecrash as the user that it runs as"
            raise EnvironmentProblem(
                f"the part {self.name} (pid {found.pid}) is not ours to signal", hint=hint
            ) from None
        except ProcessLookupError:
            raise EnvironmentProblem(f"the part {self.name} ended just now") from None
        return found

    def start_instead_of(self, ended: Identity, within_s: float) -> None:
        """Run `start` and return when the file names another process that lives. Raises EnvironmentProblem.

        Its variable PYTHON is the interpreter that runs us.

        The process is on its own from here: it must outlive us, as the one before it would have.
        """
        command = subprocess.Popen(  # noqa: S602 - a command of the scenario's own author
            self.start,
            shell=True,
            cwd=self.folder or None,
            env={**stripped_environment(), "PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline_s = time.monotonic() + within_s
        try:
            while (found := self.find()) is None or found == ended:
                if command.poll() not in (None, 0):
                    problem = f"the start of {self.name} failed with exit code {command.returncode}"
                    raise EnvironmentProblem(problem, hint="run it by hand and see what it says")
                if time.monotonic() > deadline_s:
                    hint = f"it must write the new process's id into {self.pid_file}"
                    raise EnvironmentProblem(f"{self.name} did not start within {within_s:g} s", hint=hint)
                time.sleep(_LOOK_EVERY_S)
        finally:
            command.returncode = command.returncode or 0  # it may go on: nobody waits for it
