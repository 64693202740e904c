"""timeout: nothing gets through. After `timeout` ms without a chunk the connection is closed; 0 never closes it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from chaos.proxy.toxics.stage import MILLISECOND, Attributes, Holder, Stage


class Timeout(Attributes, frozen=True):
    """In ms of idle time."""

    timeout: int = 0


class TimeoutStage(Stage[Timeout]):
    """Discards data, and a connection that lost some cannot be whole again: deleting the toxic closes it.

    Toxiproxy closes every connection then; we leave those that lost nothing alone, unless asked to be strict.
    """

    attributes_type: ClassVar[type[Attributes]] = Timeout

    def __init__(self, link: Holder, attributes: Timeout) -> None:
        super().__init__(link, attributes)
        self._timer: asyncio.TimerHandle | None = None
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
            delay_s = self.attributes.timeout * MILLISECOND
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._expire)

    def release(self) -> None:
        """Nothing is held back; stop counting."""
        self.discard()

    def removed(self, *, strict: bool) -> None:
        """Close the connection, if it lost something."""
        if strict or self._lost:
            self.next.end()

    def discard(self) -> None:
        """Stop counting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        self.next.end()
