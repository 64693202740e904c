"""What faults can reach besides a proxy: the processes and databases of a stack, if it gives access to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.processes.outside import OutsideProcess


class Part(Protocol):
    """One process of the stack; `harness.processes.managed.ManagedProcess` is one. Its command is kept as data, so that
    another process can start it again when the stack's owner cannot.
    """

    @property
    def name(self) -> str:
        """Its name in the stack."""

    @property
    def pid(self) -> int:
        """Its id, new after each start."""

    @property
    def container(self) -> str:
        """The id of its container; "" for a process of this machine."""

    @property
    def outside(self) -> OutsideProcess | None:
        """How a process that we did not start is found and started again; None for one that we started."""

    @property
    def running(self) -> bool:
        """Whether it lives."""

    @property
    def address(self) -> str:
        """host:port that it listens on, "" for none."""

    @property
    def command(self) -> tuple[str, ...]:
        """How it is started."""

    @property
    def env(self) -> Mapping[str, str] | None:
        """Its environment; None: inherited."""

    @property
    def cwd(self) -> Path | None:
        """Its working directory; None: inherited."""

    @property
    def user(self) -> str | None:
        """The user that it runs as; None: ours."""

    @property
    def log(self) -> Path:
        """Where its output goes."""

    def kill(self) -> None:
        """SIGKILL to it and its group."""

    def start_again(self) -> None:
        """Start it with the same command. Raises EnvironmentProblem."""


class StackControl(Protocol):
    """A stack that gives access to its parts."""

    @property
    def owner_pid(self) -> int:
        """The process whose end takes the whole stack down."""

    def process(self, name: str) -> Part:
        """The process of that name. Raises KeyError."""

    def postgres_dsn(self, server: str) -> str:
        """How a superuser reaches that database server past every proxy. Raises KeyError."""
