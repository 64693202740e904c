"""Heals faults when their keeper cannot: `python -m chaos.lease.reaper JOURNAL`, the heartbeat on standard input.

The keeper is the process that injected the faults. End of file means that it is dead or has closed its journal; no byte
for the length of a lease means that it hangs. In both cases the reaper undoes the faults that are in force by the
journal. The reaper leads its own session, so that Ctrl-C and a closed terminal do not reach it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from chaos.lease import lease
from chaos.lease.healing import heal
from harness.errors import InputError

_AGAIN_S: Final = 1.0
_TRY_FOR_S: Final = 60.0


def main() -> int:
    """Listen, then heal. Exit code 0 when no fault is left in force, else 1."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    path = Path(sys.argv[1])
    try:
        lease_s = lease.read(path).opened.lease_s
        with contextlib.suppress(BrokenPipeError):
            os.write(1, b"r")
        with contextlib.suppress(OSError):
            os.close(1)
        _listen(path, lease_s)
        return 0 if _heal(path, "the keeper is gone", _TRY_FOR_S, given_up=True) else 1
    except FileNotFoundError:
        return 0
    except InputError as error:
        _say(str(error))
        return 1


def _listen(path: Path, lease_s: float) -> None:
    """Read heartbeats until the end of file. Raises FileNotFoundError when the journal was closed."""
    patience_s = lease_s
    while True:
        heard, _, _ = select.select([0], [], [], patience_s)
        if not heard:
            _heal(path, f"no heartbeat for {lease_s:g} s", _AGAIN_S)
            patience_s = _AGAIN_S
        elif os.read(0, 4096):
            patience_s = lease_s
        else:
            return


def _heal(path: Path, why: str, within_s: float, *, given_up: bool = False) -> bool:
    outcomes = heal(path, "reaper", within_s, given_up=given_up)
    for outcome in outcomes:
        _say(f"{why}: {outcome.experiment}: {outcome.undo}: {outcome.how or 'done'}")
    return all(outcome.healed for outcome in outcomes)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{datetime.now(UTC):%H:%M:%S} reaper: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
