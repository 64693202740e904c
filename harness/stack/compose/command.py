"""Docker Compose, whichever there is: v2 (`docker compose`) before v1.29 (`docker-compose`).

This code uses only what both share. Containers are called …-redis-1 by one and …_redis_1 by the
other: parts are found by their labels, which both set. Only v2 can wait for health (`up --wait`): neither is asked to.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import EnvironmentProblem

FILE: Final = Path(__file__).resolve().parents[3] / "docker-compose.yml"
PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
TIMED_OUT: Final = 124
_KNOWN: Final = (("docker", "compose"), ("docker-compose",))
_OLDEST: Final = (1, 29)
_ASKED_WITHIN_S: Final = 30.0


class Compose(msgspec.Struct, frozen=True):
    """A Compose of this machine: how it is called, and its version as it tells it."""

    command: tuple[str, ...]
    version: str

    def run(
        self, arguments: tuple[str, ...], *, project: str, environment: Mapping[str, str], log: Path, within_s: float
    ) -> int:
        """Run it on that project; what it says is appended to `log`. Returns its exit code, 124 when out of time."""
        command = [*self.command, "-f", str(FILE), "-p", project, *arguments]
        with log.open("ab") as words:
            try:
                return subprocess.run(
                    command,
                    env=environment,
                    cwd=FILE.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=subprocess.STDOUT,
                    timeout=within_s,
                    check=False,
                    start_new_session=True,  # Ctrl-C is for us: we take the project down in order
                ).returncode
            except subprocess.TimeoutExpired:
                return TIMED_OUT


def find_compose() -> Compose:
    """Compose v2 where there is one, else v1.29. Raises EnvironmentProblem when there is none, or an older one only."""
    if not FILE.exists():
        raise EnvironmentProblem(f"{FILE.name} is not here", hint="the compose stack needs a checkout of gatecrash")
    hint = "install the Compose plugin of Docker, or docker-compose 1.29"
    too_old = ""
    for command in _KNOWN:
        version = _version_of(command)
        if version and _numbers(version) >= _OLDEST:
            return Compose(command, version)
        too_old = too_old or version
    if too_old:
        raise EnvironmentProblem(f"the Compose of this machine is too old: {too_old}", hint=hint)
    raise EnvironmentProblem("there is no Compose on this machine", hint=hint)


def _version_of(command: tuple[str, ...]) -> str:
    """Empty when there is no such Compose."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        asked = subprocess.run(
            [*command, "version", "--short"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_ASKED_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _numbers(version: str) -> tuple[int, ...]:
    """1.29.2, v2.40.3 and 2.26.1-4 as numbers; what is none of these sorts first."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()
