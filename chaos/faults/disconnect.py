"""disconnect: a container is off its networks. It runs on and forgets nothing, and nobody reaches it."""

from __future__ import annotations

import msgspec

from chaos.faults.container import engine_for
from chaos.faults.tools import Tools
from chaos.injectors.attachment import Attachment
from chaos.specification.fault import Disconnect


class Reattach(msgspec.Struct, frozen=True, tag_field="inverse", tag="reattach"):
    """The inverse: each place that it had, with its aliases and address. One that it has again is left as it is."""

    name: str
    container: str
    places: tuple[Attachment, ...]

    @property
    def what(self) -> str:
        """For people."""
        networks = ", ".join(place.network_name for place in self.places)
        return f"put the container of {self.name} ({self.container[:12]}) back on {networks}"

    def undo(self, tools: object) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice. Raises DockerProblem, Gone when the container or its network was removed."""
        with engine_for(self.name) as engine:
            for place in self.places:
                engine.reconnect(self.container, place)


def inverse(fault: Disconnect, tools: Tools) -> Reattach:
    """How to put it back. Raises DockerProblem when it does not run, or could not be put back as it was."""
    container = tools.stack_control.process(fault.process).container
    with engine_for(fault.process) as engine:
        return Reattach(fault.process, engine.state(container).id, engine.attachments(container))


def inject(inverse: Reattach) -> dict[str, float]:
    """Take it off the networks that the inverse knows. Returns what was measured: nothing, the canary does."""
    with engine_for(inverse.name) as engine:
        for place in inverse.places:
            engine.disconnect(inverse.container, place)
    return {}
