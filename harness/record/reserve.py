"""Keeps room on the disk of a run directory, so that a run which fills the disk can still say so.

A file of real blocks lies in the run directory while the run goes on. Its space is freed when the end of the run is
written: the end of run.json, the verdict, the reports.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from harness.errors import EnvironmentProblem
from harness.record.paths import RunPaths

RESERVE_BYTES: Final = 1024 * 1024


def reserve(paths: RunPaths) -> None:
    """Reserve the space. Raises EnvironmentProblem when the disk does not have it."""
    try:
        with paths.reserve.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            else:
                file.write(bytes(RESERVE_BYTES))
    except OSError as error:
        give_back(paths)
        raise EnvironmentProblem(
            f"{paths.root} has no room for a verdict ({RESERVE_BYTES:,} bytes): {error.strerror}",
            hint="free space or choose another place with --out",
        ) from error


def give_back(paths: RunPaths) -> None:
    """Free the space. Does nothing when none is reserved, or when the directory cannot be written."""
    with suppress(OSError):
        paths.reserve.unlink(missing_ok=True)
