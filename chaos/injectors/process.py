"""Breaks processes: SIGKILL and start again, SIGSTOP and SIGCONT. A process is known by its id and its start time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import psutil

from harness.errors import EnvironmentProblem
from harness.processes.identity import Identity
from harness.record.seal_key import stripped_environment

_GONE_WITHIN_S: Final = 5.0
ROOT: Final = Path(__file__).resolve().parents[2]


class Launch(msgspec.Struct, frozen=True):
    """How a process is started, as data. `env` null: inherited. It may hold secrets: never print it."""

    command: tuple[str, ...]
    log: str
    env: dict[str, str] | None = None
    cwd: str | None = None
    user: str | None = None


def family(pid: int) -> tuple[Identity, ...]:
    """A process and all below it, parents first. Raises EnvironmentProblem when it does not run."""
    root = Identity.of(pid)
    if root is None:
        raise EnvironmentProblem(f"the process {pid} does not run", hint="see the log of the stack")
    try:
        below = [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        below = []
    return (root, *(found for found in map(Identity.of, below) if found is not None))


def pause(members: Sequence[Identity]) -> None:
    """SIGSTOP to each process that still has the identity noted. Raises EnvironmentProblem."""
    _signal(members, signal.SIGSTOP)


def go_on(members: Sequence[Identity]) -> None:
    """SIGCONT to each process that still has the identity noted; safe to do twice. Raises EnvironmentProblem."""
    _signal(members, signal.SIGCONT)


def end_family(root: Identity) -> None:
    """SIGKILL to a process that still has the identity noted, and to its descendants; returns when all are gone.

    The process is stopped first, so that it starts no more children. Raises EnvironmentProblem.
    """
    if not root.alive:
        raise EnvironmentProblem(f"the process {root.pid} ended by itself before it could be killed")
    _signal([root], signal.SIGSTOP)
    members = family(root.pid)
    _signal(members, signal.SIGKILL)
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    while any(member.alive for member in members):
        if time.monotonic() > deadline_s:
            raise EnvironmentProblem(f"the process {root.pid} still lives {_GONE_WITHIN_S:g} s after SIGKILL")
        time.sleep(0.005)


def _signal(members: Sequence[Identity], number: signal.Signals) -> None:
    for member in members:
        if not member.alive:
            continue
        try:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, number)
        except PermissionError as error:
            raise EnvironmentProblem(f"the process {member.pid} is not ours: {number.name} was refused") from error


def is_listening(address: str) -> bool:
    """Whether connections are accepted at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=0.5):
            return True
    except OSError:
        return False


def start_for(owner: Identity, launch: Launch) -> None:
    """Start a process in place of its owner, who cannot: it ends when the owner does, as if it were its own child.

    Raises EnvironmentProblem.
    """
    task = msgspec.json.encode(StandIn(owner, launch))
    environment = {
        **stripped_environment(),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "chaos.injectors.stand_in"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            cwd=ROOT,
        )
    except OSError as error:
        raise EnvironmentProblem(f"cannot start {launch.command[0]}: {error}") from error
    with contextlib.suppress(BrokenPipeError), keeper.stdin or contextlib.nullcontext() as pipe:
        if pipe is not None:
            pipe.write(task)
    keeper.returncode = 0  # from here on it is independent: no process waits for it


class StandIn(msgspec.Struct, frozen=True):
    """What `chaos.injectors.stand_in` reads on its standard input."""

    owner: Identity
    launch: Launch
