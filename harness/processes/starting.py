"""Stop signals while a command is still being loaded: it ends at once with one line, for nothing has begun.

This module is the first to be loaded, so it imports nothing that takes time; `typing` would take 25 ms.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

STOPPERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED = 130  # ExitCode.INTERRUPTED


def end_at_once_when_stopped() -> None:
    """Handle stop signals until `harness.processes.signals.stoppable` does; one that is ignored stays so."""
    for number in STOPPERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"gatecrash: interrupted\n")
    os._exit(_INTERRUPTED)
