"""What this machine gives its processes: cores, and file descriptors, of which every open connection takes one."""

from __future__ import annotations

import math
import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST: Final = Path("/proc/sys/fs/nr_open")
_SHARE: Final = 0.8  # beyond it the load generator counts as short of them
_OWN: Final = 500  # logs, other connections, and what is closed late
_OF_EARLIER_KERNELS: Final = 1_048_576


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spare_cores() -> int:
    """One worker per core, one core left for what is under test."""
    return max(1, cores() - 1)


def descriptors() -> int:
    """How many files, and so connections, a process of ours may have open once its limit is raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, hard if hard != resource.RLIM_INFINITY else _most())


def processes_for(connections: int, descriptors_each: int | None = None) -> int:
    """How many processes it takes to hold so many connections, none of them with all that it may have."""
    most = descriptors_each or descriptors()
    return max(1, math.ceil(connections / max(most * _SHARE - _OWN, most / 2)))


def workers_for(users: int, cores_each: int | None = None, descriptors_each: int | None = None) -> int:
    """Load workers that this machine starts for so many users, or one with so much: one per spare core, and more only
    where one process may not open so many connections."""
    return max(spare_cores() if cores_each is None else cores_each - 1, processes_for(users, descriptors_each))


def workers_here(asked: int | None, users: int, remote_workers: int) -> int:
    """Load workers of this machine in a rehearsal. `asked`: by the user; null: as many as it needs, and beside those of
    other machines as many as it has cores for."""
    return asked or workers_for(0 if remote_workers else users)


def raise_descriptors() -> None:
    """Raise this process's limit, which its children inherit: as far as the kernel goes where the rights allow it, else
    to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (_most(), hard):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return


def _most() -> int:
    try:
        return int(_MOST.read_text())
    except (OSError, ValueError):
        return _OF_EARLIER_KERNELS
