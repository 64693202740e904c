"""The progress file of a worker: how many requests and operations it has begun, readable after its death.

A mapped file survives SIGKILL up to the last store, which costs no system call. From it the master (or the worker's
launcher on another machine) knows exactly how much of a dead worker is not in the record.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

import msgspec

REQUESTS: Final = 0
OPERATIONS: Final = 1
_FORM: Final = struct.Struct("qq")


class Begun(msgspec.Struct, frozen=True):
    """What a worker has begun so far: requests sent, operations invoked."""

    requests: int
    operations: int


def open_progress(path: Path) -> memoryview:
    """Two numbers, mapped into that file; what is stored in them is there at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_FORM.pack(0, 0))
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _FORM.size)).cast("q")


def read_progress(path: Path) -> Begun | None:
    """What the worker stored last; null: it is not on this machine."""
    try:
        return Begun(*_FORM.unpack(path.read_bytes()))
    except (OSError, struct.error):
        return None
