"""The promises of one booking process: the holds that it granted or found, kept in memory. Pure.

A Redis that has lost its data knows of no hold, but the processes that granted them do; see `hold_recovery`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import msgspec

CLOCKS_S: Final = 5.0  # how far the clocks of two machines may be apart: a promise is not forgotten too soon


class HoldPromise(msgspec.Struct, frozen=True):
    """A hold that was granted until `expires_at` (unix s, Redis's clock). A claim, as the inventory understands it."""

    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]
    expires_at: float


class Memory(msgspec.Struct, frozen=True):
    """What a process answers when it is asked: what it granted, and which holds, whoever granted them, it saw end."""

    granted: tuple[HoldPromise, ...]
    ended: tuple[str, ...]


class Promises:
    """The ledger of one process. The seats there are bound it: no two promises that count share one.

    `remember_s`: how long a hold that has ended is told, which is as long as any promise lasts.
    """

    def __init__(self, *, remember_s: float) -> None:
        self._remember_s = remember_s
        self._granted: dict[str, HoldPromise] = {}
        self._ended: dict[str, float] = {}  # hold id → when nobody can believe in it any more, unix s

    def grant(self, promise: HoldPromise) -> None:
        """A fan is about to be told."""
        self._granted[promise.hold_id] = promise

    def end(self, hold_id: str) -> None:
        """The hold was given back, or its order came to nothing: the seats may be anybody's."""
        self._granted.pop(hold_id, None)
        self._ended[hold_id] = time.time() + self._remember_s

    def memory(self) -> Memory:
        """All that still counts."""
        self.forget()
        return Memory(tuple(self._granted.values()), tuple(self._ended))

    def forget(self) -> None:
        """Drops what is over."""
        over_s = time.time() - CLOCKS_S
        for hold_id in [promise.hold_id for promise in self._granted.values() if promise.expires_at < over_s]:
            del self._granted[hold_id]
        for hold_id in [hold_id for hold_id, until_s in self._ended.items() if until_s < over_s]:
            del self._ended[hold_id]


def standing(memories: Iterable[Memory]) -> list[HoldPromise]:
    """Every promise of these processes that none of them saw end, each once."""
    memories = tuple(memories)
    ended = {hold_id for memory in memories for hold_id in memory.ended}
    granted = {promise.hold_id: promise for memory in memories for promise in memory.granted}
    return [promise for hold_id, promise in granted.items() if hold_id not in ended]
