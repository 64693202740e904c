"""slow_close: delays the end of the stream, and nothing else."""

from __future__ import annotations

from typing import ClassVar

from chaos.proxy.toxics.stage import Attributes, WaitingStage


class SlowClose(Attributes, frozen=True):
    """In ms."""

    delay: int = 0


class SlowCloseStage(WaitingStage[SlowClose]):
    """Keeps the connection open for `delay` after its end."""

    attributes_type: ClassVar[type[Attributes]] = SlowClose

    def end(self) -> None:
        """Start the delay."""
        self.wait(self.attributes.delay, self.release)

    def updated(self) -> None:
        """An end that is being delayed waits anew."""
        if self.timer is not None:
            self.end()

    def release(self) -> None:
        """Let a delayed end through."""
        if self.timer is not None:
            self.discard()
            self.next.end()
