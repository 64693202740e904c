"""A keeper of its own process, that kills itself at a chosen step: `python -m tests.chaos.keeper TASK.json`.

The step is a function of chaos/ and whether it is entered ("call") or left ("return").
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from chaos.injection.conductor import Conductor
from chaos.specification import experiment
from chaos.specification.timeline import Planned
from harness.processes.outside import OutsideProcess


class PartOf(msgspec.Struct, frozen=True):
    """A process that the test started, and started not through us."""

    name: str
    pid: int
    address: str
    command: tuple[str, ...]
    log_path: str
    env: dict[str, str] | None = None
    cwd: None = None
    user: str | None = None
    running: bool = True
    container: str = ""
    outside: OutsideProcess | None = None

    @property
    def log(self) -> Path:
        return Path(self.log_path)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def start_again(self) -> None:
        raise AssertionError("a keeper that does not own the stack has a stand-in start it")


class Task(msgspec.Struct, frozen=True):
    """What to break, and where to die. `owner_pid` and the stack control are the test's."""

    url: str
    experiment: str
    faults_path: str
    lease_s: float
    lasts_s: float
    owner_pid: int
    step: str = ""
    event: str = ""
    parts: tuple[PartOf, ...] = ()
    dsns: dict[str, str] = {}

    @property
    def toxiproxy(self) -> str:
        return self.url

    @property
    def metrics(self) -> dict[str, str]:
        return {}

    def process(self, name: str) -> PartOf:
        return {part.name: part for part in self.parts}[name]

    def postgres_dsn(self, server: str) -> str:
        return self.dsns[server]


class Addresses:
    def __init__(self, task: Task) -> None:
        self.toxiproxy, self.event, self.metrics = task.url, "e1", dict[str, str]()


def main() -> None:
    task = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Task)

    def die(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == task.event and code.co_qualname == task.step and "/chaos/" in code.co_filename:
            os.kill(os.getpid(), signal.SIGKILL)

    plan = Planned(experiment.load(task.experiment), 0.2, task.lasts_s)
    with Conductor([plan], Addresses(task), Path(task.faults_path), task, lease_s=task.lease_s) as conductor:
        conductor.preflight()
        if task.step:
            threading.setprofile(die)
            sys.setprofile(die)
        conductor.start(time.monotonic())
        while conductor._thread.is_alive() and not _is_over(conductor):
            time.sleep(0.02)


def _is_over(conductor: Conductor) -> bool:
    return all(injection._heal_requested_s is not None for injection in conductor._injections)


if __name__ == "__main__":
    main()
