"""reset_peer: on the next chunk or end, waits `timeout` ms, then closes both ends with RST."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from chaos.proxy.toxics.stage import MILLISECOND, Attributes, Stage


class ResetPeer(Attributes, frozen=True):
    """In ms."""

    timeout: int = 0


class ResetPeerStage(Stage[ResetPeer]):
    """Data that comes is dropped: once the wait has begun, the connection is lost."""

    attributes_type: ClassVar[type[Attributes]] = ResetPeer
    _timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes, received_s: float) -> None:  # noqa: ARG002 - the stages' interface
        """Begin the wait, once."""
        self.end()

    def end(self) -> None:
        """Begin the wait, once."""
        if self._timer is None:
            delay_s = self.attributes.timeout * MILLISECOND
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.link.reset)

    def release(self) -> None:
        """A connection whose wait has begun has lost data: do not let it live."""
        if self._timer is not None:
            self.link.reset()

    def discard(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
