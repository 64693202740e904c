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
_NAME_BYTES_MAX: Final = 255  # of Linux and macOS: NAME_MAX
_PATH_BYTES_MAX: Final = 4095  # PATH_MAX without the end
_SHOWN: Final = 60
_MODE: Final = 0o666  # as `open` has it, before the umask
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
    one that cannot be written down, as the record and the report name it, or that no file system takes."""
    if not str(text):
        raise InputError("an empty path names nothing", hint="is a variable of your shell unset?")
    if _UNWRITABLE.search(str(text)):
        raise InputError(f"{text} cannot be written down", hint="name it in UTF-8, without control characters")
    path, written = Path(text), os.fsencode(text)
    if len(written) > _PATH_BYTES_MAX or any(len(os.fsencode(part)) > _NAME_BYTES_MAX for part in path.parts):
        hint = f"a name has at most {_NAME_BYTES_MAX} bytes, a path {_PATH_BYTES_MAX:,}"
        raise InputError(f"{str(text)[:_SHOWN]}… is too long for a path", hint=hint)
    return path


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


def write_output(path: Path, content: bytes) -> None:
    """Write a file that the user named. Raises InputError; a pipe that nobody reads is never waited for."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC, _MODE)
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=str(path)) from error
