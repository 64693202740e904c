"""pause: a process and its descendants stand still; the kernel still accepts connections, which get no answer."""

from __future__ import annotations

import msgspec

from chaos.faults.tools import Tools
from chaos.injectors import process
from chaos.specification.fault import Pause
from harness.processes.identity import Identity


class GoOn(msgspec.Struct, frozen=True, tag="go_on", tag_field="inverse"):
    """The inverse: SIGCONT to exactly the processes that were stopped."""

    name: str
    members: tuple[Identity, ...]

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        return f"let {self.name} (pid {self.members[0].pid}) go on"

    def undo(self, tools: Tools) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice. Raises EnvironmentProblem."""
        process.go_on(self.members)


def inverse(fault: Pause, tools: Tools) -> GoOn:
    """The inverse of pausing this process. Raises EnvironmentProblem when it does not run."""
    return GoOn(fault.process, process.family(tools.stack_control.process(fault.process).pid))


def inject(inverse: GoOn) -> dict[str, float]:
    """Stop the processes that the inverse will let go on. Returns no measurements: the canary measures."""
    process.pause(inverse.members)
    return {}
