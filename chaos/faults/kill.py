"""kill: a process ends at once and loses its memory; healing starts it again."""

from __future__ import annotations

import msgspec

from chaos.faults.tools import ChangedHands, Gone, Tools
from chaos.injectors import process
from chaos.injectors.process import Launch
from chaos.specification.fault import Kill
from harness.processes.identity import Identity


class StartAgain(msgspec.Struct, frozen=True, tag="start_again", tag_field="inverse"):
    """The inverse: start the process again. `killed`: the process that was killed; `owner`: the process whose end takes
    the stack down.
    """

    name: str
    killed: Identity
    owner: Identity
    address: str
    launch: Launch

    @property
    def what(self) -> str:
        """What undoing does, in a line for people. The launch, which has secrets, is left out."""
        return f"start {self.name} (was pid {self.killed.pid}) again"

    def undo(self, tools: Tools) -> None:
        """Safe to do twice. Raises EnvironmentProblem, ChangedHands, Gone."""
        if self.killed.alive:
            return
        if tools.has_stack_control and self.owner == Identity.own():
            part = tools.stack_control.process(self.name)
            if not part.running:
                part.start_again()
            return
        if not self.owner.alive:
            raise Gone(f"the stack of {self.name} is gone")
        if self.address and process.is_listening(self.address):
            raise ChangedHands(f"another process listens at {self.address} already")
        process.start_for(self.owner, self.launch)


def inverse(fault: Kill, tools: Tools) -> StartAgain:
    """The inverse of killing this process. Raises EnvironmentProblem when it does not run."""
    part = tools.stack_control.process(fault.process)
    killed = process.family(part.pid)[0]
    owner = process.family(tools.stack_control.owner_pid)[0]
    launch = Launch(
        command=tuple(part.command),
        log=str(part.log.resolve()),
        env=None if part.env is None else dict(part.env),
        cwd=None if part.cwd is None else str(part.cwd.resolve()),
        user=part.user,
    )
    return StartAgain(fault.process, killed, owner, part.address, launch)


def inject(fault: Kill, tools: Tools) -> dict[str, float]:
    """Kill the process. Returns no measurements: the canary measures."""
    tools.stack_control.process(fault.process).kill()
    return {}
