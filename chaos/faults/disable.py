"""disable: the proxy refuses connections, as if the process behind it were gone, and closes the open ones."""

from __future__ import annotations

import msgspec

from chaos.faults.tools import ChangedHands, Tools
from chaos.injectors.toxiproxy import ProxyState, Toxiproxy, ToxiproxyProblem
from chaos.specification.fault import Disable


class Enable(msgspec.Struct, frozen=True, tag="enable", tag_field="inverse"):
    """The inverse: listen again. `listen` and `upstream` show whether it still is the proxy that was disabled."""

    url: str
    proxy: str
    listen: str
    upstream: str

    @property
    def what(self) -> str:
        """What undoing does, in a line for people."""
        return f"enable the proxy {self.proxy} at {self.url}"

    def undo(self, tools: Tools) -> None:
        """Safe to do twice. Raises ToxiproxyProblem, ChangedHands."""
        server = tools.server_at(self.url)
        state = require_same(server, self.proxy, self.listen, self.upstream)
        if not state.enabled:
            server.enable(self.proxy)


def inverse(fault: Disable, tools: Tools) -> Enable:
    """The inverse of disabling this proxy. Raises ToxiproxyProblem."""
    state = tools.server.proxy(fault.proxy)
    return Enable(tools.url, fault.proxy, state.listen, state.upstream)


def inject(fault: Disable, tools: Tools) -> dict[str, float]:
    """Disable the proxy. Returns no measurements: the canary measures."""
    tools.server.disable(fault.proxy)
    return {}


def require_same(server: Toxiproxy, name: str, listen: str, upstream: str) -> ProxyState:
    """The proxy, if it still is the one that was meant. Raises ToxiproxyProblem, ChangedHands."""
    try:
        state = server.proxy(name)
    except ToxiproxyProblem as problem:
        if problem.status == 404:
            raise ChangedHands(f"the proxy {name} is gone from that server") from problem
        raise
    if (state.listen, state.upstream) != (listen, upstream):
        raise ChangedHands(f"the proxy {name} is another now: {state.listen} to {state.upstream}")
    return state
