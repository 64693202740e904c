"""What this machine gives its processes: cores, and file descriptors, of which every open connection takes one."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import Final

_MOST: Final = Path("/proc/sys/fs/nr_open")
_OF_EARLIER_KERNELS: Final = 1_048_576


def cores() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spare_cores() -> int:
    """One worker per core, one core left for what is under test."""
    return max(1, cores() - 1)


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
