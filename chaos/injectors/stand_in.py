"""Keeps a process that was started in place of its owner: `python -m chaos.injectors.stand_in < TASK`.

The process ends when its owner does, so that a stack taken down leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from chaos.injectors.process import Launch, StandIn
from harness.processes.identity import Identity

_LOOK_EVERY_S: Final = 0.2


def main() -> int:
    """Start the process, wait for its end or its owner's; the exit code is that of the process."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=StandIn)
    process = _start(task.launch)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_end(process)))
    return _keep(process, task.owner)


def _start(launch: Launch) -> subprocess.Popen[bytes]:
    with Path(launch.log).open("ab") as out:
        return subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=launch.env,
            cwd=launch.cwd,
            user=launch.user,
            group=pwd.getpwnam(launch.user).pw_gid if launch.user else None,
            extra_groups=[] if launch.user else None,
            start_new_session=True,
        )


def _keep(process: subprocess.Popen[bytes], owner: Identity) -> int:
    while owner.alive:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_EVERY_S)
    return _end(process)


def _end(process: subprocess.Popen[bytes]) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
