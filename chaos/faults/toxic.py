"""toxic: the proxy delays, limits, cuts or discards the data that goes through it; see chaos/proxy/toxics."""

from __future__ import annotations

import msgspec

from chaos.faults.disable import require_same
from chaos.faults.tools import ChangedHands, Tools
from chaos.specification.fault import AddToxic


class RemoveToxic(msgspec.Struct, frozen=True, tag="remove_toxic", tag_field="inverse"):
    """The inverse: remove the toxic of this name and type, and no other."""

    url: str
    proxy: str
    listen: str
    upstream: str
    name: str
    type: str

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        return f"remove the toxic {self.name} from {self.proxy} at {self.url}"

    def undo(self, tools: Tools) -> None:
        """Safe to do twice. Raises ToxiproxyProblem, ChangedHands."""
        server = tools.server_at(self.url)
        state = require_same(server, self.proxy, self.listen, self.upstream)
        found = next((toxic for toxic in state.toxics if toxic.name == self.name), None)
        if found is None:
            return
        if found.type != self.type:
            raise ChangedHands(f"the toxic {self.name} is a {found.type} now, not a {self.type}")
        server.remove_toxic(self.proxy, self.name)


def inverse(fault: AddToxic, name: str, tools: Tools) -> RemoveToxic:
    """The inverse of adding this toxic. Raises ToxiproxyProblem."""
    return removal(fault.proxy, name, fault.type, tools)


def removal(proxy: str, name: str, type: str, tools: Tools) -> RemoveToxic:
    """Removes one toxic. Raises ToxiproxyProblem."""
    state = tools.server.proxy(proxy)
    return RemoveToxic(tools.url, proxy, state.listen, state.upstream, name, type)


def inject(fault: AddToxic, name: str, tools: Tools) -> dict[str, float]:
    """Add the toxic. Returns no measurements: the canary measures."""
    tools.server.add_toxic(
        fault.proxy,
        fault.type,
        name=name,
        stream=fault.stream,
        toxicity=fault.toxicity,
        attributes=fault.attributes,
    )
    return {}
