"""disconnect: a container is taken off its networks. It runs on with its memory, but nothing can reach it."""

from __future__ import annotations

import msgspec

from chaos.faults.container import engine_for
from chaos.faults.tools import Tools
from chaos.injectors.attachment import Attachment
from chaos.specification.fault import Disconnect


class Reattach(msgspec.Struct, frozen=True, tag_field="inverse", tag="reattach"):
    """The inverse: attach the container to each network again, with its aliases and address, unless it is attached."""

    name: str
    container: str
    places: tuple[Attachment, ...]

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        networks = ", ".join(place.network_name for place in self.places)
        return f"put the container of {self.name} ({self.container[:12]}) back on {networks}"

    def undo(self, tools: object) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """Safe to do twice. Raises DockerProblem, Gone when the container or its network was removed."""
        with engine_for(self.name) as engine:
            for place in self.places:
                engine.reconnect(self.container, place)


def inverse(fault: Disconnect, tools: Tools) -> Reattach:
    """The inverse of the disconnect. Raises DockerProblem when it does not run or cannot be attached again."""
    container = tools.stack_control.process(fault.process).container
    with engine_for(fault.process) as engine:
        return Reattach(fault.process, engine.state(container).id, engine.attachments(container))


def inject(inverse: Reattach) -> dict[str, float]:
    """Take the container off the networks that the inverse knows. Returns no measurements: the canary measures."""
    with engine_for(inverse.name) as engine:
        for place in inverse.places:
            engine.disconnect(inverse.container, place)
    return {}
