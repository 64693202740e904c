"""What the three stacks have in common: their addresses, the process that owns them, and the processes they watch."""

from __future__ import annotations

import os

from harness.processes.managed import ManagedProcess
from harness.record.schema import Anomaly, ProcessInfo
from harness.stack import Addresses


class RaisedStack:
    """Base of the stacks: they fill `_addresses` and `_processes` while they are raised."""

    _addresses: Addresses | None
    _processes: list[ManagedProcess]

    @property
    def addresses(self) -> Addresses:
        """Where the platform's parts are. Only after entering."""
        if self._addresses is None:
            raise RuntimeError("the stack was not raised")
        return self._addresses

    @property
    def processes(self) -> tuple[ProcessInfo, ...]:
        """The processes that the stack started, for the record."""
        return tuple(process.info() for process in self._processes)

    @property
    def owner_pid(self) -> int:
        """The process whose end takes the whole stack down: this one."""
        return os.getpid()

    def deaths(self) -> tuple[Anomaly, ...]:
        """Processes that died on their own since the last call."""
        found = (process.death(None) for process in self._processes)
        return tuple(death for death in found if death is not None)
