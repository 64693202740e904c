"""The interface of a hold backend: a few verbs, each of which changes all of its seats or none.

Two backends implement it: `lua` and `watch`. They write the same data, so that processes of both may serve
one event at the same time. Each verb answers with a word: `ok`, `unready` (the event is not loaded), `missing` (there
is no such hold) or the state that the hold is in instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

Places: TypeAlias = Sequence[tuple[str, int]]  # seat id and its index in the venue

REMEMBER_HOLD_S: Final = 600  # how long an ended hold is told apart from one that never was

OK: Final = "ok"
UNREADY: Final = "unready"
MISSING: Final = "missing"
TAKEN: Final = "taken"
LIMIT: Final = "limit"


class HoldOwner(msgspec.Struct, frozen=True):
    """Who holds: `fan` may release it, the purchase limit applies to `identity`."""

    fan: str
    identity: str


class HoldReply(msgspec.Struct, frozen=True):
    """ok with `expires_us` (unix µs), taken with the seats `taken`, limit with the `bought` so far; or unready."""

    word: str
    expires_us: int = 0
    taken: tuple[str, ...] = ()
    bought: int = 0


class SeatStore(Protocol):
    """The seats of one event in Redis. Every verb raises `UnavailableError` when Redis cannot be used."""

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """Holds all places or none. `limit`: seats that the identity may have, 0 for no limit."""

    async def release(self, hold_id: str, *, fan: str) -> str:
        """Gives the seats back. `fan` must be the holder; "" is the system, which may end a payment's hold too."""

    async def lock(self, hold_id: str, owner: HoldOwner, places: Places, *, until_us: int) -> str:
        """Keeps the hold until `until_us` at least. One that is gone is made anew of those `places` that are free."""

    async def unlock(self, hold_id: str) -> str:
        """Undoes `lock`: the hold ends when it was promised to."""

    async def sell(self, hold_id: str, owner: HoldOwner, places: Places) -> str:
        """The places are sold to this hold, whoever has them. Idempotent."""

    async def expire(self, most: int) -> int:
        """Ends up to `most` holds whose time is over; answers how many were due."""
