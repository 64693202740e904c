"""disable: the dependency refuses, as if its process were gone. Connections that were open are closed."""

from __future__ import annotations

import msgspec

from chaos.experiment import Disable
from chaos.injectors.toxiproxy import Toxiproxy


class Enable(msgspec.Struct, frozen=True, tag="enable"):
    """The inverse: listen again."""

    proxy: str

    def undo(self, server: Toxiproxy) -> None:
        """Safe to do twice."""
        server.enable(self.proxy)


def inverse(fault: Disable) -> Enable:
    """How to put it back."""
    return Enable(fault.proxy)


def inject(fault: Disable, server: Toxiproxy) -> dict[str, float]:
    """Do it. Returns what was measured: nothing, the canary does."""
    server.disable(fault.proxy)
    return {}
