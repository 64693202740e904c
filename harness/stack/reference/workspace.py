"""The temporary directory of an embedded stack: made with room to spare, owned by a process, gone afterwards."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import EnvironmentProblem, InputError
from harness.input_file import read_input
from harness.stack.owner import Fate, StackOwner, fate, owner_of

_PREFIX: Final = "gatecrash-stack-"
_OWNER: Final = "owner.json"
_OWNER_BYTES_MAX: Final = 10_000
_NEEDED_BYTES: Final = 600_000_000


def create(announce: Callable[[str], None] = lambda _: None) -> Path:
    """A fresh directory for a stack's data; directories whose owner is gone are removed first, which is announced.

    Raises EnvironmentProblem when the disk is full, read-only or not ours to write.
    """
    base = Path(tempfile.gettempdir())
    for orphan in remove_orphans(base):
        announce(f"removed {orphan}, which a killed run had left")
    free_bytes = shutil.disk_usage(base).free
    if free_bytes < _NEEDED_BYTES:
        raise EnvironmentProblem(
            f"{base} has {free_bytes / 1e6:.0f} MB free and the embedded stack needs {_NEEDED_BYTES / 1e6:.0f} MB",
            hint="free some space, or set TMPDIR to another disk",
        )
    try:
        root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        root.chmod(0o711)  # Postgres, as another user, must reach its own folder below
        write_private(root / _OWNER, msgspec.json.encode(StackOwner.own()).decode())
    except OSError as error:
        raise disk_problem(base, error) from error
    return root


def write_private(path: Path, text: str) -> None:
    """A new file that other users of this machine cannot read, not for a moment."""
    path.touch(mode=0o600)
    path.write_text(text)


def disk_problem(path: Path, error: OSError) -> EnvironmentProblem:
    """The one clear line for a disk that cannot be written."""
    hints = {
        errno.ENOSPC: "the disk is full: free some space, or use another disk",
        errno.EDQUOT: "your quota is used up: free some space, or use another disk",
        errno.EROFS: "it is read-only: use another disk",
    }
    hint = hints.get(error.errno or 0, "use a directory that you can write")
    return EnvironmentProblem(f"cannot write to {path}: {error.strerror}", hint=hint)


@contextlib.contextmanager
def raising(root: Path, take_down: Callable[[], None]) -> Iterator[None]:
    """Whatever ends the raising of a stack half-way, it is taken down; a disk that fails gets its one clear line."""
    try:
        yield
    except OSError as problem:
        take_down()
        raise disk_problem(root, problem) from problem
    except BaseException:
        take_down()
        raise


def remove(root: Path) -> None:
    """Remove the directory of a stack that is down."""
    shutil.rmtree(root, ignore_errors=True)


def remove_orphans(base: Path) -> Iterator[Path]:
    """Remove what a stack left that was killed outright, where that is sure.

    Anybody may put something of that name there: what is no small regular file is not read.
    """
    here = StackOwner.own()
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            owner = owner_of(read_input(folder / _OWNER, _OWNER_BYTES_MAX).decode())
        except (InputError, UnicodeDecodeError):
            continue
        if fate([owner], here)[0] is Fate.ORPHANED:
            remove(folder)
            yield folder
