"""Seats in Redis: hold, release, extend, sell, expire, and the loading of an event from the truth in Postgres.

Nothing here decides ownership for good: that is the unique (event, seat) of `orders`. All times are Redis's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from target import holds_lua
from target.keys import Keys
from target.redis_store import NotReadyError, RedisStore, Reply, Script, Value
from target.venue import Venue

EXPIRE_BATCH: Final = 200
KEEP_PENDING_S: Final = 60.0  # seats of pending orders after a rebuild: long enough for the saga to finish them


class HoldState(StrEnum):
    """locked: a payment is under way. The last three are ends."""

    HELD = "held"
    LOCKED = "locked"
    SOLD = "sold"
    RELEASED = "released"
    EXPIRED = "expired"

    @property
    def alive(self) -> bool:
        """Whether the seats are kept for the holder."""
        return self in {HoldState.HELD, HoldState.LOCKED}


class Hold(msgspec.Struct, frozen=True):
    """Some seats kept for one fan until `expires_at` (unix s)."""

    hold_id: str
    state: HoldState
    fan: str
    identity: str
    seats: tuple[str, ...]
    expires_at: float


class OwnedSeats(msgspec.Struct, frozen=True):
    """Seats that a live order owns, as the truth has it. `sold`: the order is confirmed, not only pending."""

    hold_id: str
    fan: str
    seats: tuple[str, ...]
    sold: bool


class SeatsTakenError(Exception):
    """Somebody holds or owns at least one of the seats; nothing was held."""

    def __init__(self, seats: Sequence[str]) -> None:
        super().__init__(", ".join(seats))
        self.seats = tuple(seats)


class PurchaseLimitError(Exception):
    """The identity would hold and own more seats than allowed. `bought`: how many it has now."""

    def __init__(self, bought: int) -> None:
        super().__init__(str(bought))
        self.bought = bought


class HoldGoneError(Exception):
    """The hold is not there for this fan. `state`: how it ended, or None: there never was one."""

    def __init__(self, state: HoldState | None) -> None:
        super().__init__(state or "missing")
        self.state = state


class Inventory:
    """The seats of one event. Raises `UnavailableError` when Redis cannot be used, `NotReadyError` before loading."""

    def __init__(self, redis: RedisStore, keys: Keys, venue: Venue, *, hold_ttl_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._venue = venue
        self.hold_ttl_s = hold_ttl_s
        self._seat_keys = (keys.epoch, keys.seq, keys.feed, keys.map, keys.seats, keys.holds, keys.bought)

    async def hold(self, seats: Sequence[str], *, fan: str, identity: str, limit: int) -> Hold:
        """Holds all of `seats` or none. `limit`: seats the identity may have, 0 for no limit. Seats must exist.

        Raises `SeatsTakenError`, `PurchaseLimitError`.
        """
        hold_id = f"h{secrets.token_hex(10)}"
        ttl_us = round(self.hold_ttl_s * 1e6)
        answer = await self._run(holds_lua.HOLD, hold_id, fan, identity, limit, ttl_us, *self._placed(seats))
        match answer[0]:
            case b"ok":
                return Hold(hold_id, HoldState.HELD, fan, identity, tuple(seats), int(answer[1]) / 1e6)
            case b"taken":
                raise SeatsTakenError([seat.decode() for seat in answer[1:]])
            case b"limit":
                raise PurchaseLimitError(int(answer[1]))
        raise NotReadyError

    async def release(self, hold_id: str, *, fan: str = "") -> None:
        """Gives the seats back. With `fan`: only if it is theirs and no payment is under way. `HoldGoneError` else."""
        _expect_ok(await self._run(holds_lua.RELEASE, hold_id, fan))

    async def extend_hold(self, hold_id: str, seconds: float) -> None:
        """A payment is under way: the hold lives for at least `seconds` from now, and its fan cannot release it.

        Raises `HoldGoneError`. The extension must outlast the longest outage that the saga may sit through.
        """
        _expect_ok(await self._run(holds_lua.EXTEND, hold_id, round(seconds * 1e6)))

    async def mark_sold(self, hold_id: str, *, seats: Sequence[str] = (), fan: str = "") -> None:
        """The truth has confirmed the sale. Idempotent. `seats` and `fan` restore a hold that Redis has forgotten.

        Raises `HoldGoneError` for an unknown hold without `seats`.
        """
        _expect_ok(await self._run(holds_lua.SELL, hold_id, fan, fan, *self._placed(seats)))

    async def get_hold(self, hold_id: str) -> Hold | None:
        """The hold in any state; None when there never was one, or it ended long ago."""
        fields = ("state", "fan", "identity", "seats", "expires_us")
        row = await self._redis.command("HMGET", self._keys.hold(hold_id), *fields)
        if row[0] is None:
            return None
        state, fan, identity, seats, expires_us = (value.decode() for value in row)
        return Hold(hold_id, HoldState(state), fan, identity, tuple(seats.split()), int(expires_us) / 1e6)

    async def expire_due(self) -> int:
        """Gives back the seats of every hold whose time is over; returns how many holds."""
        prefix = self._keys.hold("")
        expired = 0
        while True:
            batch = int(await self._redis.run(holds_lua.EXPIRE, (*self._seat_keys, prefix), (EXPIRE_BATCH, prefix)))
            expired += batch
            if batch < EXPIRE_BATCH:
                return expired

    async def holds_count(self) -> int:
        """How many holds are alive."""
        return int(await self._redis.command("ZCARD", self._keys.holds))

    async def loaded(self) -> bool:
        """Whether the event is loaded, and by the Redis process that answers now: a restarted one may lack writes."""
        began_on = await self._redis.command("GET", self._keys.server)
        return began_on is not None and began_on.decode() == await self._run_id()

    async def load(self, owned: Iterable[OwnedSeats]) -> str:
        """Begins a new epoch in which exactly the seats of `owned` are not free; returns its name."""
        epoch = secrets.token_hex(4)
        arguments: list[Value] = []
        for hold in owned:
            for seat in hold.seats:
                arguments += (hold.hold_id, hold.fan, seat, self._index(seat), "2" if hold.sold else "1")
        head = (epoch, await self._run_id(), self._venue.capacity, round(KEEP_PENDING_S * 1e6), self._keys.hold(""))
        await self._redis.run(holds_lua.LOAD, (*self._seat_keys, self._keys.server), (*head, *arguments))
        return epoch

    async def _run_id(self) -> str:
        return str((await self._redis.command("INFO", "server"))["run_id"])

    async def _run(self, script: Script, hold_id: str, *arguments: Value) -> Reply:
        return await self._redis.run(script, (*self._seat_keys, self._keys.hold(hold_id)), (hold_id, *arguments))

    def _placed(self, seats: Sequence[str]) -> list[Value]:
        return [part for seat in seats for part in (seat, self._index(seat))]

    def _index(self, seat: str) -> int:
        index = self._venue.index(seat)
        if index is None:
            raise KeyError(seat)
        return index


def _expect_ok(answer: bytes) -> None:
    match answer:
        case b"ok":
            return
        case b"unready":
            raise NotReadyError
        case b"missing":
            raise HoldGoneError(None)
    raise HoldGoneError(HoldState(answer.decode()))
