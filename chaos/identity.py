"""Which process is meant: its id and when it started, so that a number that was given out again is not mistaken."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import psutil


class Identity(msgspec.Struct, frozen=True):
    """A process. `started` tells it from any other that has or had the same id: boot and clock tick on Linux."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this id now; None when there is none, or only a zombie."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    @classmethod
    def own(cls) -> Identity:
        """This process."""
        found = cls.of(os.getpid())
        if found is None:
            raise RuntimeError("a process that runs has a start time")
        return found

    @property
    def alive(self) -> bool:
        """Whether it still lives."""
        return _started(self.pid) == self.started


def _started(pid: int) -> str | None:
    if sys.platform == "linux":
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if after_name[0] in {"Z", "X"} else f"{boot}:{after_name[19]}"
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None
