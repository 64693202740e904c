"""The bugs that the reference booking system can plant in itself, as its own process tells them."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from harness.errors import EnvironmentProblem, InputError
from harness.processes.managed import child_environment
from harness.yaml_file import suggest

_TELLS_WITHIN_S = 30.0


class PlantedBug(msgspec.Struct, frozen=True):
    """One bug. `breaks`: the invariant that a rehearsal then finds violated."""

    name: str
    description: str
    breaks: str


def planted_bugs() -> tuple[PlantedBug, ...]:
    """All of them, by name. Raises EnvironmentProblem when the system does not start here."""
    command = [sys.executable, "-m", "target", "bugs"]
    try:
        told = subprocess.run(
            command, env=child_environment({}), capture_output=True, check=True, timeout=_TELLS_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentProblem(f"the reference system cannot be asked for its bugs: {error}") from error
    return tuple(msgspec.json.decode(line, type=PlantedBug) for line in told.stdout.splitlines())


def require_bug(name: str, option: str) -> None:
    """Refuses a name that is no bug; "" asks for none. Raises InputError."""
    if name and name not in (known := [bug.name for bug in planted_bugs()]):
        raise InputError(f"{name!r} is no planted bug", key=option, hint=suggest(name, known))
