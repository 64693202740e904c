"""timeout: nothing gets through. After `timeout` ms without a chunk the connection is closed; 0 never closes it."""

from __future__ import annotations

from typing import ClassVar

from chaos.proxy.toxics.stage import Attributes, Holder, WaitingStage


class Timeout(Attributes, frozen=True):
    """In ms of idle time."""

    timeout: int = 0


class TimeoutStage(WaitingStage[Timeout]):
    """Discards data, and a connection that lost some cannot be whole again: deleting the toxic closes it.

    Toxiproxy closes every connection then; we leave those that lost nothing alone, unless asked to be strict.
    """

    attributes_type: ClassVar[type[Attributes]] = Timeout

    def __init__(self, link: Holder, attributes: Timeout) -> None:
        super().__init__(link, attributes)
        self._lost = False
        self.updated()

    def feed(self, data: bytes, received_s: float) -> None:  # noqa: ARG002 - the stages' interface
        """Drop the chunk; the idle time starts again."""
        self._lost = True
        self.updated()

    def updated(self) -> None:
        """Start the idle time again."""
        self.discard()
        if self.attributes.timeout > 0:
            self.wait(self.attributes.timeout, self._expire)

    def release(self) -> None:
        """Nothing is held back; stop counting."""
        self.discard()

    def removed(self, *, strict: bool) -> None:
        """Close the connection, if it lost something."""
        if strict or self._lost:
            self.next.end()

    def _expire(self) -> None:
        self.timer = None
        self.next.end()
