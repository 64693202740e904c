"""Writes a folder whole or not at all: its files are written aside, and moved to their place when all are there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError

_PROGRAMS: Final = frozenset({".sh"})
_PROGRAM_MODE: Final = 0o111


def require_free(folder: Path) -> None:
    """Raises InputError unless the folder is empty, or can be made."""
    try:
        if folder.is_symlink() and not folder.exists():
            raise InputError("is a link that leads nowhere", file=str(folder))
        if not folder.exists():
            if not folder.absolute().parent.is_dir():
                hint = "make it first"
                raise InputError(f"there is no folder {folder.absolute().parent} to make it in", hint=hint)
        elif not folder.is_dir():
            raise InputError("is no folder", file=str(folder), hint="name a new one")
        elif any(folder.iterdir()):
            raise InputError("is not empty", file=str(folder), hint="name a new folder: nothing is overwritten")
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from None


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Name → content. Raises InputError: then the folder is as it was before."""
    require_free(folder)
    is_new = not folder.exists()
    place = folder.absolute().parent if is_new else folder
    aside = place / f".gatecrash-init-{secrets.token_hex(6)}"
    try:
        aside.mkdir()
        for name, content in files.items():
            _write(aside / name, content)
        if is_new:
            aside.rename(folder)
        else:
            _move_all(aside, folder)
    except (OSError, ValueError) as error:
        raise _unusable(folder, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8", newline="\n") as opened:
        opened.write(content)
        if file.suffix in _PROGRAMS:
            mode = os.fstat(opened.fileno()).st_mode
            os.fchmod(opened.fileno(), mode | (_PROGRAM_MODE & mode >> 2))


def _move_all(aside: Path, folder: Path) -> None:
    """An existing folder stays the same one, since a shell may stand in it; what was moved goes back on an error."""
    moved: list[Path] = []
    try:
        for entry in sorted(aside.iterdir()):
            target = folder / entry.name
            entry.rename(target)
            moved.append(target)
    except BaseException:
        for target in moved:
            with contextlib.suppress(OSError):
                target.rename(aside / target.name)
        raise


def _unusable(folder: Path, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return InputError(f"cannot be written: {reason}", file=str(folder))
