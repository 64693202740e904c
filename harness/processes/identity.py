"""The identity of a process: its id and its start, so that a reused id is not mistaken for it."""

from __future__ import annotations

import contextlib
import os
import sys
from enum import StrEnum
from pathlib import Path

import msgspec
import psutil


class Sight(StrEnum):
    """What can be seen of a process. `HIDDEN`: there may be one, and nobody lets us look."""

    LIVES = "lives"
    ENDED = "ended"
    HIDDEN = "hidden"


class Identity(msgspec.Struct, frozen=True):
    """A process. `started` tells it from any other that has or had the same id: boot and clock tick on Linux."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this id now; None when there is none, or only a zombie."""
        started = _started(pid)
        return cls(pid, started) if started else None

    @classmethod
    def own(cls) -> Identity:
        """This process."""
        found = cls.of(os.getpid())
        if found is None:
            raise RuntimeError("a process that runs has a start time")
        return found

    @property
    def boot(self) -> str:
        """The boot of its machine; "" where the system does not name it."""
        return self.started.rpartition(":")[0]

    @property
    def alive(self) -> bool:
        """Whether it is seen to live."""
        return self.sight is Sight.LIVES

    @property
    def sight(self) -> Sight:
        """What is seen of it from here: tells one that surely ended from one that cannot be seen."""
        started = _started(self.pid)
        if started is None:
            return Sight.HIDDEN if _is_taken(self.pid) else Sight.ENDED
        return Sight.LIVES if started == self.started else Sight.ENDED


def _started(pid: int) -> str | None:
    """When the process of this id started; "" for a zombie, None when there is none or it cannot be seen."""
    if sys.platform == "linux":
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return "" if after_name[0] in {"Z", "X"} else f"{boot}:{after_name[19]}"
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def _is_taken(pid: int) -> bool:
    """Whether any process has this id, be it one that /proc hides from us."""
    with contextlib.suppress(PermissionError, OverflowError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
