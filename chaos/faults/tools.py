"""What faults work with: fault proxies by address, and the control of a stack."""

from __future__ import annotations

from chaos.injectors.stack_control import StackControl
from chaos.injectors.toxiproxy import Toxiproxy
from harness.errors import GatecrashError, InputError


class ChangedHands(GatecrashError):
    """The component is no longer the one in the journal: it belongs to somebody else and is left alone."""


class Gone(GatecrashError):
    """The broken component does not exist any more, and so the fault is gone too."""


class Tools:
    """`url` is the fault proxy of the stack, "" for none. A healer has neither `url` nor `stack_control`: the journal
    holds all that it needs. Not for use from several threads at once.
    """

    def __init__(self, url: str = "", stack_control: StackControl | None = None) -> None:
        self.url = url
        self._stack_control = stack_control
        self._servers: dict[str, Toxiproxy] = {}

    @property
    def server(self) -> Toxiproxy:
        """The fault proxy of the stack. Raises InputError when it has none."""
        if not self.url:
            raise InputError("this platform has no fault proxy, so nothing can be broken", hint="add --no-chaos")
        return self.server_at(self.url)

    @property
    def stack_control(self) -> StackControl:
        """The stack_control of the stack. Raises InputError when it has none."""
        if self._stack_control is None:
            raise InputError(
                "this platform does not let us at its processes and databases", hint="use an experiment on its proxies"
            )
        return self._stack_control

    @property
    def has_stack_control(self) -> bool:
        """Whether the stack gives control over its processes."""
        return self._stack_control is not None

    def server_at(self, url: str) -> Toxiproxy:
        """The fault proxy at this address."""
        if url not in self._servers:
            self._servers[url] = Toxiproxy(url)
        return self._servers[url]
