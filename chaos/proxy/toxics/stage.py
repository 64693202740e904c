"""What a toxic is at work: a stage in one direction of one connection.

A stage is fed the bytes that were received and hands bytes on to the next stage, at once or later. Everything runs on
the event loop's thread, so stages can be put in and taken out between two chunks without losing a byte.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Generic, Protocol, TypeVar

import msgspec

MILLISECOND: Final = 0.001
SMALL_BUFFER_BYTES: Final = 64 * 1024
_UNSEEDED: Final = random.Random()


class Attributes(msgspec.Struct, frozen=True):
    """Settings of one toxic, as Toxiproxy names them. Whole numbers; a key that is not known is ignored, as there."""

    def problem(self) -> str:
        """Why these values cannot be used, or ""."""
        return ""


A = TypeVar("A", bound=Attributes)


class Holder(Protocol):
    """The link a stage works in: keeps the sum of bytes held back, for flow control, and can cut the connection."""

    def hold(self, change_bytes: int) -> None:
        """The stages hold this many bytes more (or, negative, fewer)."""

    def reset(self) -> None:
        """Close both ends of the connection with RST, now."""


class Sink(Protocol):
    """Where bytes go: the next stage, or the socket at the far end."""

    def feed(self, data: bytes, received_s: float) -> None:
        """Take a chunk; `received_s` is on the monotonic clock."""

    def end(self) -> None:
        """Take the end of the stream."""


class Stage(Generic[A]):
    """Passes everything on. A toxic overrides what it changes. `attributes` may be replaced at any time."""

    attributes_type: ClassVar[type[Attributes]] = Attributes

    def __init__(self, link: Holder, attributes: A) -> None:
        self.link = link
        self.attributes = attributes
        self.next: Sink = _NOWHERE
        self.random = _UNSEEDED  # replaced when the server has a seed

    @property
    def buffer_bytes(self) -> int:
        """How much may be held back before the link stops reading."""
        return SMALL_BUFFER_BYTES

    def feed(self, data: bytes, received_s: float) -> None:
        """Take a chunk."""
        self.next.feed(data, received_s)

    def end(self) -> None:
        """Take the end of the stream."""
        self.next.end()

    def updated(self) -> None:
        """The settings have changed while chunks may be held back."""

    def release(self) -> None:
        """The toxic no longer applies: hand on at once, in order, all that is held back."""

    def removed(self, *, strict: bool) -> None:
        """The toxic was deleted, whether or not it applied to this connection. Called after `release`.

        `strict`: close what Toxiproxy closes, even a connection that took no harm.
        """

    def discard(self) -> None:
        """The connection is gone: forget what is held back and stop all timers."""


class WaitingStage(Stage[A]):
    """Waits once for a number of ms before it acts; `discard` ends the wait."""

    def __init__(self, link: Holder, attributes: A) -> None:
        super().__init__(link, attributes)
        self.timer: asyncio.TimerHandle | None = None

    def wait(self, delay_ms: int, then: Callable[[], None]) -> None:
        """Begin the wait, in place of one that is under way."""
        self.discard()
        self.timer = asyncio.get_running_loop().call_later(delay_ms * MILLISECOND, then)

    def discard(self) -> None:
        """End the wait without acting."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class TimedStage(Stage[A]):
    """Holds chunks back until they are due, in order. A toxic says when each piece of a chunk is due."""

    def __init__(self, link: Holder, attributes: A) -> None:
        super().__init__(link, attributes)
        self.last_due_s = 0.0
        self._queue: deque[tuple[float, bytes, float]] = deque()  # due, piece, received
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def pieces(self, data: bytes, received_s: float) -> Iterator[tuple[float, bytes]]:
        """The parts of a chunk, in order, with when each is due; `math.inf` for never."""
        raise NotImplementedError

    def feed(self, data: bytes, received_s: float) -> None:
        """Queue the chunk's pieces."""
        self._enqueue(data, received_s)
        if self._timer is None:
            self._emit_due()

    def end(self) -> None:
        """The end comes after all that is held back, and is not itself delayed."""
        self._ended = True
        if not self._queue:
            self.next.end()

    def updated(self) -> None:
        """Work out anew when everything held back is due."""
        held = list(self._queue)
        self._clear()
        self.last_due_s = time.monotonic()
        for _, data, received_s in held:
            self._enqueue(data, received_s)
        self._emit_due()

    def release(self) -> None:
        """Hand on everything now."""
        held = list(self._queue)
        self._clear()
        for _, data, received_s in held:
            self.next.feed(data, received_s)
        if self._ended and held:
            self.next.end()

    def discard(self) -> None:
        """Forget everything."""
        self._clear()

    def _enqueue(self, data: bytes, received_s: float) -> None:
        self.link.hold(len(data))
        self._queue.extend((due_s, piece, received_s) for due_s, piece in self.pieces(data, received_s))

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.link.hold(-sum(len(data) for _, data, _ in self._queue))
        self._queue.clear()

    def _emit_due(self) -> None:
        self._timer = None
        horizon_s = time.monotonic() + MILLISECOND / 2
        while self._queue and self._queue[0][0] <= horizon_s:
            due_s, data, _ = self._queue.popleft()
            self.next.feed(data, due_s)
            self.link.hold(-len(data))
        if not self._queue:
            if self._ended:
                self.next.end()
        elif self._queue[0][0] < math.inf:
            delay_s = max(0.0, self._queue[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._emit_due)


class _Nowhere:
    """Before a stage is put into a chain."""

    def feed(self, data: bytes, received_s: float) -> None:  # noqa: ARG002 - the stages' interface
        raise RuntimeError("this stage is in no chain")

    def end(self) -> None:
        raise RuntimeError("this stage is in no chain")


_NOWHERE: Final = _Nowhere()
