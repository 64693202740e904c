"""The seat log of a feed node: the state of all seats as of (epoch, seq), and the latest changes. Pure.

A node's log moves by whole steps, and a socket joins it between two steps. So there is no gap between a socket's first
message and the following ones, without any lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

HISTORY_MAX: Final = 20_000  # as long as the stream in Redis
SNAPSHOT_AGE_MAX: Final = 200  # changes; an older snapshot is made again, a younger one is sent with what came after
AHEAD_MAX: Final = 5_000  # changes that a client may have seen at another node before they reach this one

_FREE: Final = ord("0")


class SeatChange(msgspec.Struct, frozen=True, tag="seat"):
    """One seat changed. `state`: 0 free, 1 held, 2 sold. `at`: unix s."""

    epoch: str
    seq: int
    seat: str
    state: int
    at: float


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """Every seat that is not free, as of `seq`."""

    epoch: str
    seq: int
    at: float
    seats: dict[str, int]


class Resync(msgspec.Struct, frozen=True, tag="resync"):
    """The history after the client's last change is lost; a snapshot follows."""

    epoch: str
    seq: int
    at: float


class Score(msgspec.Struct, frozen=True, tag="score"):
    """The match so far."""

    at: float
    home: int
    away: int


class Opening(msgspec.Struct, frozen=True):
    """A client's first messages, and the seq that it then has. `kind`: snapshot | delta | resync."""

    kind: str
    messages: tuple[str, ...]
    seq: int


Message = SeatChange | Snapshot | Resync | Score
_encode: Final = msgspec.json.Encoder().encode


def text(message: Message) -> str:
    """A message as text."""
    return _encode(message).decode()


class SeatLog:
    """The seats of one event. `seats`: index → seat id, as in the venue. Empty until `load`."""

    def __init__(self, seats: Sequence[str]) -> None:
        self._seats = seats
        self._index = {seat: index for index, seat in enumerate(seats)}
        self._history: deque[str] = deque(maxlen=HISTORY_MAX)
        self._states = bytearray()
        self._snapshot = ""
        self._snapshot_seq = 0
        self.epoch = ""
        self.seq = 0

    @property
    def loaded(self) -> bool:
        """Whether the log has been loaded."""
        return bool(self.epoch)

    def load(self, epoch: str, seq: int, states: bytes, history: Sequence[SeatChange], now_s: float) -> None:
        """Starts again: `states` has a character 0|1|2 for each seat as of `seq`; `history` ends there."""
        self.epoch, self.seq = epoch, seq
        self._states = bytearray(states)
        self._history.clear()
        self._history.extend(text(change) for change in history)
        self._take_snapshot(now_s)

    def append(self, change: SeatChange) -> tuple[str, ...]:
        """Appends the next change; returns the message for all sockets. `change.seq` must be `seq` + 1."""
        if change.seq != self.seq + 1 or change.epoch != self.epoch:
            raise ValueError(f"expected {self.epoch}:{self.seq + 1}, got {change.epoch}:{change.seq}")
        self.seq = change.seq
        self._states[self._index[change.seat]] = _FREE + change.state
        message = text(change)
        self._history.append(message)
        return (message,)

    def opening(self, epoch: str, last_seq: int | None, now_s: float) -> Opening:
        """A client's first messages; the changes after the opening's `seq` follow, see `after`.

        Without `last_seq`: a snapshot. With it: no message, or a resync and a snapshot when the log lacks the changes
        that the client missed.
        """
        if last_seq is None:
            return self._snapshot_opening(now_s, "snapshot")
        behind = self.seq - last_seq
        if epoch == self.epoch and -AHEAD_MAX <= behind <= len(self._history):
            return Opening("delta", (), last_seq)
        return self._snapshot_opening(now_s, "resync", text(Resync(self.epoch, self.seq, now_s)))

    def after(self, seq: int, count: int) -> list[str] | None:
        """The next changes after `seq`, at most `count`; empty when there are none. None: the log lacks them."""
        behind = self.seq - seq
        length = len(self._history)
        if behind > length:
            return None
        first = length - behind
        return [self._history[n] for n in range(first, min(length, first + count))]

    def _snapshot_opening(self, now_s: float, kind: str, *before: str) -> Opening:
        behind = self.seq - self._snapshot_seq
        if behind > SNAPSHOT_AGE_MAX or behind > len(self._history):
            self._take_snapshot(now_s)
        return Opening(kind, (*before, self._snapshot), self._snapshot_seq)

    def _take_snapshot(self, now_s: float) -> None:
        taken = {self._seats[n]: state - _FREE for n, state in enumerate(self._states) if state != _FREE}
        self._snapshot = text(Snapshot(self.epoch, self.seq, now_s, taken))
        self._snapshot_seq = self.seq
