"""slicer: cuts chunks into small pieces, with a pause after each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from chaos.proxy.toxics.stage import Attributes, TimedStage

_MICROSECOND: Final = 1e-6


class Slicer(Attributes, frozen=True):
    """Sizes in bytes; `delay` in µs after each slice."""

    average_size: int = 0
    size_variation: int = 0
    delay: int = 0

    def problem(self) -> str:
        """Slices of no size would never end."""
        if self.average_size <= 0:
            return "average_size must be above 0"
        return "size_variation must not be negative" if self.size_variation < 0 else ""


class SlicerStage(TimedStage[Slicer]):
    """Halves a chunk, give or take the variation, until the halves are small enough."""

    attributes_type: ClassVar[type[Attributes]] = Slicer

    def pieces(self, data: bytes, received_s: float) -> Iterator[tuple[float, bytes]]:
        """Slices, the first at once and each of the others `delay` after the one before."""
        due_s = max(self.last_due_s, received_s)
        for start, end in self._cuts(0, len(data)):
            yield due_s, data[start:end]
            due_s += self.attributes.delay * _MICROSECOND
        self.last_due_s = due_s

    def _cuts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        variation = self.attributes.size_variation
        if end - start - self.attributes.average_size <= variation:
            yield start, end
            return
        middle = start + (end - start) // 2
        if variation > 0:
            middle += self.random.randrange(-variation, variation)
        middle = min(max(middle, start + 1), end - 1)
        yield from self._cuts(start, middle)
        yield from self._cuts(middle, end)
