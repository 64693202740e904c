"""latency: every chunk arrives late, counted from when it was received; chunks do not wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from chaos.proxy.toxics.stage import MILLISECOND, Attributes, TimedStage


class Latency(Attributes, frozen=True):
    """In ms: each chunk is late by latency + U[−jitter, +jitter)."""

    latency: int = 0
    jitter: int = 0


class LatencyStage(TimedStage[Latency]):
    """Pipelined: throughput stays what it was. Stacked latencies add."""

    attributes_type: ClassVar[type[Attributes]] = Latency

    @property
    def buffer_bytes(self) -> int:
        """Much: a sender must not feel that the way is long."""
        return 32 * 1024 * 1024

    def pieces(self, data: bytes, received_s: float) -> Iterator[tuple[float, bytes]]:
        """The chunk, never before an earlier one."""
        jitter = self.attributes.jitter
        late_ms = self.attributes.latency + (self.random.randrange(-jitter, jitter) if jitter > 0 else 0)
        self.last_due_s = max(self.last_due_s, received_s + late_ms * MILLISECOND)
        yield self.last_due_s, data
