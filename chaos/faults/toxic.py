"""toxic: the proxy delays, starves, cuts or discards what goes through it; see chaos/proxy/toxics."""

from __future__ import annotations

import msgspec

from chaos.experiment import AddToxic
from chaos.injectors.toxiproxy import Toxiproxy


class RemoveToxic(msgspec.Struct, frozen=True, tag="remove_toxic"):
    """The inverse: take the toxic of this name away, and no other."""

    proxy: str
    name: str

    def undo(self, server: Toxiproxy) -> None:
        """Safe to do twice."""
        server.remove_toxic(self.proxy, self.name)


def inverse(fault: AddToxic, name: str) -> RemoveToxic:
    """How to put it back."""
    return RemoveToxic(fault.proxy, name)


def inject(fault: AddToxic, name: str, server: Toxiproxy) -> dict[str, float]:
    """Do it. Returns what was measured: nothing, the canary does."""
    server.add_toxic(
        fault.proxy,
        fault.type,
        name=name,
        stream=fault.stream,
        toxicity=fault.toxicity,
        attributes=fault.attributes,
    )
    return {}
