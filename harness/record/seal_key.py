"""The key in GATECRASH_SEAL_KEY, with which records and verdicts are sealed.

Without a key a seal shows that a file was changed by accident; whoever edits a record on purpose can compute it again.
With a key nobody can who does not have it. The key is taken out of the environment when it is first read, so that no
child process inherits it; it is never written, logged or sent.
"""

from __future__ import annotations

import os
from typing import Final

from harness.errors import InputError

VARIABLE: Final = "GATECRASH_SEAL_KEY"
LENGTH_MIN: Final = 16
_HINT: Final = (
    f"give at least {LENGTH_MIN} characters, as `openssl rand -hex 32` does, or unset it to seal without a key"
)

_key: bytes | None = None


def take() -> None:
    """Move the key out of the environment into this process alone. Raises InputError when it is too short."""
    global _key  # noqa: PLW0603 - a process has one key, as it has one environment
    given = os.environ.pop(VARIABLE, None)
    if given is None:
        return
    key = os.fsencode(given.strip())
    if len(key) < LENGTH_MIN:
        length = f"has only {len(key)} characters" if key else "is set but empty"
        raise InputError(length, key=VARIABLE, hint=_HINT)
    _key = key


def current() -> bytes | None:
    """The key that seals are made and checked with; null: there is none. Raises InputError when it is too short."""
    take()
    return _key


def stripped_environment() -> dict[str, str]:
    """Our environment for a child process: without the key, also where `take` was never called."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def for_our_own() -> dict[str, str]:
    """What a child that is `gatecrash` itself needs in its environment to seal as this process does."""
    key = current()
    return {} if key is None else {VARIABLE: os.fsdecode(key)}
