"""Files that the user named: regular files of bounded size, so that no pipe and no device holds a command."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import InputError

NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises that somebody else wrote."""


def is_file(path: Path) -> bool:
    """Whether a file can be found there; of a name that no file system takes there is none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such a name


def is_folder(path: Path) -> bool:
    """Whether a directory can be found there; of a name that no file system takes there is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for such a name


def read_input(path: Path, bytes_max: int) -> bytes:
    """The content of a regular file of at most `bytes_max`. Raises InputError; a pipe or device is never waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError("is no regular file", file=str(path), hint="give a file, not a pipe or a device")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(bytes_max + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from error
    except ValueError as error:
        raise InputError(f"cannot be read: {error}", file=repr(str(path))) from error
    if len(content) > bytes_max:
        raise InputError(f"is larger than {bytes_max:,} bytes", file=str(path))
    return content
