"""The promises of one booking process: the holds that it granted or found, kept in memory. Pure.

A Redis that has lost its data knows of no hold, but the processes that granted them do; see `hold_recovery`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import msgspec

CLOCKS_S: Final = 5.0  # how much the clocks of two machines may differ, so that no promise is dropped too soon


class HoldPromise(msgspec.Struct, frozen=True):
    """A hold that was granted until `expires_at` (unix s, Redis's clock). A claim, as the inventory understands it."""

    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]
    expires_at: float


class Memory(msgspec.Struct, frozen=True):
    """What a process answers in a recovery: the holds that it granted, and the ends of holds that it saw."""

    granted: tuple[HoldPromise, ...]
    ended: tuple[str, ...]


class Promises:
    """The promises of one process. The number of seats limits it, because valid promises do not share a seat.

    `remember_s`: how long an ended hold is told, which is as long as any promise lasts.
    """

    def __init__(self, *, remember_s: float) -> None:
        self._remember_s = remember_s
        self._granted: dict[str, HoldPromise] = {}
        self._ended: dict[str, float] = {}  # hold id → when every promise of it is over, unix s

    def grant(self, promise: HoldPromise) -> None:
        """Remembers a hold before the fan is told."""
        self._granted[promise.hold_id] = promise

    def end(self, hold_id: str) -> None:
        """The hold was given back, or its order failed: other fans may get the seats."""
        self._granted.pop(hold_id, None)
        self._ended[hold_id] = time.time() + self._remember_s

    def memory(self) -> Memory:
        """All that is still valid."""
        self.forget()
        return Memory(tuple(self._granted.values()), tuple(self._ended))

    def forget(self) -> None:
        """Drops promises that are over."""
        over_s = time.time() - CLOCKS_S
        for hold_id in [promise.hold_id for promise in self._granted.values() if promise.expires_at < over_s]:
            del self._granted[hold_id]
        for hold_id in [hold_id for hold_id, until_s in self._ended.items() if until_s < over_s]:
            del self._ended[hold_id]


def standing(memories: Iterable[Memory]) -> list[HoldPromise]:
    """Every promise of these processes whose end none of them saw, each once."""
    memories = tuple(memories)
    ended = {hold_id for memory in memories for hold_id in memory.ended}
    granted = {promise.hold_id: promise for memory in memories for promise in memory.granted}
    return [promise for hold_id, promise in granted.items() if hold_id not in ended]
