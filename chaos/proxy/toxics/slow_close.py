"""slow_close: delays the end of the stream, and nothing else."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from chaos.proxy.toxics.stage import MILLISECOND, Attributes, Stage


class SlowClose(Attributes, frozen=True):
    """In ms."""

    delay: int = 0


class SlowCloseStage(Stage[SlowClose]):
    """Keeps the connection open for `delay` after its end."""

    attributes_type: ClassVar[type[Attributes]] = SlowClose
    _timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Start the delay."""
        delay_s = self.attributes.delay * MILLISECOND
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.release)

    def updated(self) -> None:
        """An end that is being delayed waits anew."""
        if self._timer is not None:
            self._timer.cancel()
            self.end()

    def release(self) -> None:
        """Let a delayed end through."""
        if self._timer is not None:
            self.discard()
            self.next.end()

    def discard(self) -> None:
        """Forget a delayed end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
