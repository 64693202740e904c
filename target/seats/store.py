"""The interface of a hold backend: a few verbs, each of which changes all of its seats or none.

Two backends implement it: `lua` and `watch`. They write the same data, so that processes of both may serve one event at
the same time. Each verb answers with a word: `ok`, `unready` (the event is not loaded), `missing` (there is no such
hold) or the state of the hold that prevents the verb.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

Places: TypeAlias = Sequence[tuple[str, int]]  # seat id and its index in the venue

REMEMBER_HOLD_S: Final = 600  # how long an ended hold is known as ended

OK: Final = "ok"
UNREADY: Final = "unready"
MISSING: Final = "missing"
TAKEN: Final = "taken"
LIMIT: Final = "limit"


class HoldOwner(msgspec.Struct, frozen=True):
    """The owner of a hold: `fan` may release it, the purchase limit applies to `identity`."""

    fan: str
    identity: str


class HoldReply(msgspec.Struct, frozen=True):
    """The answer to `hold`: ok with `expires_us` (unix µs), taken with `taken`, limit with `bought`; or unready."""

    word: str
    expires_us: int = 0
    taken: tuple[str, ...] = ()
    bought: int = 0


class SeatStore(Protocol):
    """The seats of one event in Redis. Every verb raises `UnavailableError` when Redis cannot be used."""

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """Holds all places or none. `limit`: seats that the identity may have, 0 for no limit."""

    async def release(self, hold_id: str, *, fan: str) -> str:
        """Frees the seats. `fan` must be the holder; "" is the system, which may also end a locked hold."""

    async def lock(self, hold_id: str, owner: HoldOwner, places: Places, *, until_us: int) -> str:
        """Keeps the hold until `until_us` at least. A lost hold is made again from the `places` that are free."""

    async def unlock(self, hold_id: str) -> str:
        """Undoes `lock`: the hold ends at the promised time."""

    async def sell(self, hold_id: str, owner: HoldOwner, places: Places) -> str:
        """Sells the places to this hold, even if another hold has them. Idempotent."""

    async def expire(self, most: int) -> int:
        """Ends up to `most` holds whose time is over; returns how many were due."""
