"""Every error a user can meet, with what to do about it and the exit code it becomes.

    GatecrashError            1..130, see exit_code
    ├── InputError            2   a file, option or value that cannot be used
    ├── EnvironmentProblem    2   this machine lacks something the work needs
    ├── NoVerdict             3   the work was done but cannot be judged
    └── Interrupted           130 the user stopped it; everything was healed first

Nothing here imports anything of ours but how text is shown, so every room may raise these.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from harness.shown import on_one_line

_LONGEST: Final = 1000
_LONGEST_KEY: Final = 200


class ExitCode(IntEnum):
    """What the shell sees. The numbers are the public contract."""

    READY = 0
    NOT_READY = 1
    BAD_INPUT = 2
    NO_VERDICT = 3
    INVARIANT_VIOLATED = 4
    INTERRUPTED = 130


def _one_line(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, with its control characters escaped; what is very long is cut."""
    return on_one_line(text if len(text) <= longest else f"{text[:longest]}…")


class GatecrashError(Exception):
    """An error with one clear line for the user and a hint that mends it.

    `message` says what is wrong; `hint` says what to do. Both become single lines, whatever names they quote.
    """

    exit_code: ExitCode = ExitCode.NOT_READY

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(_one_line(message))
        self.message = _one_line(message)
        self.hint = _one_line(hint)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(GatecrashError):
    """A file, option or value that cannot be used: nothing was started.

    `file`, `line` and `key` locate it where they are known; they are printed before the message.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(
        self, message: str, *, hint: str = "", file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = None if file is None else _one_line(file)
        self.line = line
        self.key = None if key is None else _one_line(key, _LONGEST_KEY)

    def __str__(self) -> str:
        place = "" if self.file is None else self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [part for part in (place, self.key) if part]
        return ": ".join([*parts, super().__str__()])


class EnvironmentProblem(GatecrashError):
    """This machine lacks something the work needs: a free port, a wheel for its platform, disk space."""

    exit_code = ExitCode.BAD_INPUT


class NoVerdict(GatecrashError):
    """The work was done but its result cannot be judged."""

    exit_code = ExitCode.NO_VERDICT


class Interrupted(GatecrashError):
    """The user stopped it. Raised only after every fault is healed and every process is down."""

    exit_code = ExitCode.INTERRUPTED
