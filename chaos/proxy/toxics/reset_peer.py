"""reset_peer: on the next chunk or end, waits `timeout` ms, then closes both ends with RST."""

from __future__ import annotations

from typing import ClassVar

from chaos.proxy.toxics.stage import Attributes, WaitingStage


class ResetPeer(Attributes, frozen=True):
    """In ms."""

    timeout: int = 0


class ResetPeerStage(WaitingStage[ResetPeer]):
    """Data that comes is dropped: once the wait has begun, the connection is lost."""

    attributes_type: ClassVar[type[Attributes]] = ResetPeer

    def feed(self, data: bytes, received_s: float) -> None:  # noqa: ARG002 - the stages' interface
        """Begin the wait, once."""
        self.end()

    def end(self) -> None:
        """Begin the wait, once."""
        if self.timer is None:
            self.wait(self.attributes.timeout, self.link.reset)

    def release(self) -> None:
        """A connection whose wait has begun has lost data: do not let it live."""
        if self.timer is not None:
            self.link.reset()
