"""bandwidth: at most `rate` KB/s (1 KB = 1,000 bytes). Rate 0 stalls the stream and loses nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Final

from chaos.proxy.toxics.stage import SMALL_BUFFER_BYTES, Attributes, TimedStage

_SLICE_S: Final = 0.1


class Bandwidth(Attributes, frozen=True):
    """In KB/s."""

    rate: int = 0

    def problem(self) -> str:
        """A negative rate has no meaning."""
        return "rate must not be negative" if self.rate < 0 else ""


class BandwidthStage(TimedStage[Bandwidth]):
    """A chunk that is worth more than 100 ms is handed on in slices of 100 ms."""

    attributes_type: ClassVar[type[Attributes]] = Bandwidth

    @property
    def buffer_bytes(self) -> int:
        """Two slices at least: a line that has to wait for its next chunk falls behind its rate."""
        return max(SMALL_BUFFER_BYTES, int(self.attributes.rate * 1000 * 2 * _SLICE_S))

    def pieces(self, data: bytes, received_s: float) -> Iterator[tuple[float, bytes]]:
        """Slices, each due when the line has had the time to carry it."""
        bytes_per_s = self.attributes.rate * 1000
        if bytes_per_s == 0:
            yield math.inf, data
            return
        slice_bytes = int(bytes_per_s * _SLICE_S)
        self.last_due_s = max(self.last_due_s, received_s)
        for start in range(0, len(data), slice_bytes):
            piece = data[start : start + slice_bytes]
            self.last_due_s += len(piece) / bytes_per_s
            yield self.last_due_s, piece
