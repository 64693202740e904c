"""Keeps a command at work, with the same exit code, when its output can no longer be written."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO


class _Messages(io.TextIOWrapper):
    """Messages: text that cannot be written, because of a closed pipe or a full disk, is dropped."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


class _Answers(io.TextIOWrapper):
    """Answers: text that cannot be written is dropped, and so is all text after it.

    A reader that closed the pipe is no error; any other failure is reported once on stderr.
    """

    def write(self, text: str, /) -> int:
        try:
            super().write(text)
        except OSError as error:
            self._give_up(error)
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # what is still buffered goes there too
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            print(f"gatecrash: the answer cannot be written: {error.strerror}", file=sys.stderr, flush=True)


def forgive_broken_output() -> None:
    """From now on, output that cannot be written raises no error; without stdout or stderr it is dropped."""
    sys.stderr = (
        _nowhere()
        if sys.stderr is None
        else _Messages(sys.stderr.buffer, "utf-8", "backslashreplace", line_buffering=True)
    )
    if sys.stdout is None:
        sys.stdout = _nowhere()
    else:
        out = sys.stdout
        sys.stdout = _Answers(out.buffer, out.encoding, "backslashreplace", line_buffering=out.isatty())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")
