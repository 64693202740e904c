"""The access codes of a presale: who may join. A code lets one fan in.

The codes are in a file, one a line. Processes keep digests of them; tickets and Redis know codes by their digests only.
Whose a code is decides the waiting room's script, in the same step as the place; see `target.queue.scripts.JOIN`.
"""

from __future__ import annotations

from pathlib import Path

from target.http.tickets import device_digest
from target.settings import SettingsError


class CodeRefusedError(Exception):
    """The fan shows no code, or one that is not in the file; the text says which."""


class AccessCodes:
    """The codes of one event. `digests` null: nobody needs one."""

    def __init__(self, digests: frozenset[str] | None = None) -> None:
        self._digests = digests

    @classmethod
    def of_file(cls, path: str) -> AccessCodes:
        """Those of a file; "" for none. Raises `SettingsError` for a file without codes, or that cannot be read."""
        if not path:
            return cls()
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"TARGET_CODES={path!r}: {error}") from error
        digests = frozenset(device_digest(spelled(line)) for line in lines if line.strip())
        if not digests:
            raise SettingsError(f"TARGET_CODES={path!r}: it has no codes")
        return cls(digests)

    def digest_of(self, code: str) -> str:
        """The digest of a code that is good, "" where nobody needs one. Raises `CodeRefusedError`."""
        if self._digests is None:
            return ""
        if not code:
            raise CodeRefusedError("a header `Access-Code` is needed")
        digest = device_digest(spelled(code))
        if digest not in self._digests:
            raise CodeRefusedError("no such code")
        return digest


def spelled(code: str) -> str:
    """One spelling of a code: people type it by hand. Beyond ASCII nothing is changed: "ß" is not "SS"."""
    typed = code.strip()
    return typed.upper() if typed.isascii() else typed
