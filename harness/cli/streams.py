"""Output that nobody takes any more changes nothing of what a command does and ends with."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class _Forgiving(io.TextIOWrapper):
    """Text that cannot be written, to a pipe that was closed or a disk that is full, is dropped."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def forgive_stderr() -> None:
    """From now on a message that cannot be written to stderr is dropped; where there is no stderr, all are."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives
    else:
        sys.stderr = _Forgiving(sys.stderr.buffer, "utf-8", "backslashreplace", line_buffering=True)


@contextmanager
def spoken() -> Iterator[None]:
    """Within, the answer is printed on stdout. A reader who left early is no trouble; a full disk is said."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives
        if not isinstance(error, BrokenPipeError):
            print(f"gatecrash: the answer cannot be written: {error.strerror}", file=sys.stderr, flush=True)
