"""kill of a process that we did not start: the user's command, or the process's supervisor, starts it again."""

from __future__ import annotations

from typing import Final

import msgspec

from chaos.faults.tools import Tools
from chaos.injectors import process
from harness.errors import EnvironmentProblem
from harness.processes.identity import Identity
from harness.processes.outside import OutsideProcess

_STARTS_WITHIN_S: Final = 10.0


class StartOutside(msgspec.Struct, frozen=True, tag="start_outside", tag_field="inverse"):
    """The inverse. `killed`: the process that was meant, by id and start."""

    name: str
    killed: Identity
    process: OutsideProcess

    @property
    def what(self) -> str:
        """What undoing does, in a line for people. The command, which may have secrets, is left out."""
        how = "by its start command" if self.process.start else "by its own supervisor"
        return f"see {self.name} (was pid {self.killed.pid}) started again {how}"

    def undo(self, tools: Tools) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice: a process that lives is left as it is, whoever started it. Raises EnvironmentProblem."""
        if self.killed.alive or self.process.find() is not None:
            return
        if not self.process.start:
            hint = "give the part a start command, or start it by hand"
            raise EnvironmentProblem(f"the supervisor of {self.name} has not started it again", hint=hint)
        self.process.start_instead_of(self.killed, _STARTS_WITHIN_S)


def inverse(found: OutsideProcess) -> StartOutside:
    """The inverse of killing this process. Raises EnvironmentProblem when it does not run or is not ours to signal."""
    return StartOutside(found.name, found.require(), found)


def kill(inverse: StartOutside) -> dict[str, float]:
    """End the very process that the inverse noted, and all below it. Raises EnvironmentProblem.

    Returns no measurements: the canary measures.
    """
    process.end_family(inverse.killed)
    return {}
