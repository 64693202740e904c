"""The key with which records and verdicts are sealed: the content of GATECRASH_SEAL_KEY_FILE, or GATECRASH_SEAL_KEY.

Without a key a seal shows that a file was changed by accident: whoever edits a record on purpose can compute the seal
again. With a key only its owners can compute a seal. Both variables are removed from the environment when they are
first read, so that no child process inherits them. The key is never written, logged or sent. A file is the better way:
the environment with which a process was started stays readable for its user in /proc/PID/environ as long as the process
lives, whatever the process does with its environment later.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.input_file import read_input

VARIABLE: Final = "GATECRASH_SEAL_KEY"
FILE_VARIABLE: Final = "GATECRASH_SEAL_KEY_FILE"
LENGTH_MIN: Final = 16
_FILE_BYTES_MAX: Final = 4096
_HINT: Final = (
    f"give at least {LENGTH_MIN} characters, as `openssl rand -hex 32` does, or unset it to seal without a key"
)

_key: bytes | None = None
_file = ""


def take() -> None:
    """Move the key from the environment into this process alone. Raises InputError when it cannot be used."""
    global _key, _file
    given, file = os.environ.pop(VARIABLE, None), os.environ.pop(FILE_VARIABLE, None)
    if given is not None and file is not None:
        raise InputError(f"is set beside {FILE_VARIABLE}", key=VARIABLE, hint="set one of them")
    if file is not None:
        _key, _file = _long_enough(_content(Path(file)), FILE_VARIABLE), str(Path(file).absolute())
    elif given is not None:
        _key, _file = _long_enough(os.fsencode(given), VARIABLE), ""


def _long_enough(given: bytes, variable: str) -> bytes:
    key = given.strip()
    if len(key) < LENGTH_MIN:
        length = f"has only {len(key)} characters" if key else "is set but empty"
        raise InputError(length, key=variable, hint=_HINT)
    return key


def _content(file: Path) -> bytes:
    """The file's content. Raises InputError when anybody but its owner may read or write it."""
    if not file.name:
        raise InputError("is set but empty", key=FILE_VARIABLE, hint="give the path of a file that holds the key")
    content = read_input(file, _FILE_BYTES_MAX)
    if (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        message = f"may be used by others than its owner (its mode is {mode:04o})"
        raise InputError(message, file=str(file), key=FILE_VARIABLE, hint=f"chmod 600 {file}")
    return content


def current() -> bytes | None:
    """The key with which seals are made and checked; null without a key. Raises InputError when it is too short."""
    take()
    return _key


def stripped_environment() -> dict[str, str]:
    """Our environment for a child process: without the key, even when `take` was never called."""
    return {name: value for name, value in os.environ.items() if name not in {VARIABLE, FILE_VARIABLE}}


def for_our_own() -> dict[str, str]:
    """The variables that a child which is `gatecrash` itself needs to seal with our key."""
    key = current()
    if _file:
        return {FILE_VARIABLE: _file}
    return {} if key is None else {VARIABLE: os.fsdecode(key)}
