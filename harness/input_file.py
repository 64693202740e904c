"""Paths and files that the user named: none is empty, and what is read is a regular file of bounded size."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import InputError

_UNWRITABLE: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises that somebody else wrote."""


def is_file(path: Path) -> bool:
    """Whether a file can be found there; of a name that no file system takes there is none."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such a name


def is_folder(path: Path) -> bool:
    """Whether a directory can be found there; of a name that no file system takes there is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for such a name


def path_of(text: str | Path) -> Path:
    """A path that the user gave. Raises InputError for an empty one, which would be the working directory, and for
    one that cannot be written down: the record and the report name it."""
    if not str(text):
        raise InputError("an empty path names nothing", hint="is a variable of your shell unset?")
    if _UNWRITABLE.search(str(text)):
        raise InputError(f"{text} cannot be written down", hint="name it in UTF-8, without control characters")
    return Path(text)


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
