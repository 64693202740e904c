"""kill of a process that we did not start: its own command, or its own supervisor, starts it again."""

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
        """For people; the command may have secrets."""
        how = "by its start command" if self.process.start else "by its own supervisor"
        return f"see {self.name} (was pid {self.killed.pid}) started again {how}"

    def undo(self, tools: Tools) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice: one that lives, started by whomever, is left as it is. Raises EnvironmentProblem."""
        if self.killed.alive or self.process.find() is not None:
            return
        if not self.process.start:
            hint = "give the part a start command, or start it by hand"
            raise EnvironmentProblem(f"the supervisor of {self.name} has not started it again", hint=hint)
        self.process.start_instead_of(self.killed, _STARTS_WITHIN_S)


def inverse(found: OutsideProcess) -> StartOutside:
    """How to put it back. Raises EnvironmentProblem when it does not run or is not ours."""
    return StartOutside(found.name, found.require(), found)


def kill(inverse: StartOutside) -> dict[str, float]:
    """End the very process that the inverse noted, and all below it. Raises EnvironmentProblem.

    Returns what was measured: nothing, the canary does.
    """
    process.end_family(inverse.killed)
    return {}
