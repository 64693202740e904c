"""Where gatecrash keeps files that must outlive its processes: journals of faults in force, and the kill switch.

It imports little, because every command looks here first.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from harness.errors import InputError

VARIABLE: Final = "GATECRASH_STATE"
SUFFIX: Final = ".journal"


def folder() -> Path:
    """The directory: $GATECRASH_STATE, else gatecrash below $XDG_STATE_HOME or ~/.local/state, else below the
    directory for temporary files when the home cannot be written."""
    if named := os.environ.get(VARIABLE, "").strip():
        return Path(named)
    home = Path(os.environ.get("XDG_STATE_HOME", "").strip() or Path("~/.local/state").expanduser()) / "gatecrash"
    nearest = next(parent for parent in (home, *home.parents) if parent.exists())
    return home if os.access(nearest, os.W_OK) else Path(tempfile.gettempdir()) / f"gatecrash-{os.getuid()}"


def journals() -> list[Path]:
    """The journals that were not closed: each may hold a fault in force.

    Healing does what a journal says, so one that somebody else wrote is none: the directory may be one that all can
    write to.
    """
    return sorted(filter(_is_own, (folder() / "leases").glob(f"*{SUFFIX}")))


def _is_own(path: Path) -> bool:
    """Whether it is a regular file, and it and its folder are of the user whose command this is."""
    try:
        file, folder = path.lstat(), path.parent.stat()
    except OSError:
        return False
    return stat.S_ISREG(file.st_mode) and {file.st_uid, folder.st_uid} == {os.getuid()}


def kill_switch() -> Path:
    """The file that stops every rehearsal on this machine and heals its faults, for as long as it exists."""
    return folder() / "STOP"


def require_not_stopped() -> None:
    """Raises InputError while the kill switch is set."""
    if (switch := kill_switch()).exists():
        raise InputError(f"the kill switch {switch} is set", hint="remove that file to allow rehearsals again")
