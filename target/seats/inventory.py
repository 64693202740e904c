"""Seats in Redis: hold, release, extend, sell, expire, and the loading of an event from the truth in Postgres.

It does not decide ownership finally: the unique (event, seat) of `orders` does. All times are Redis's own.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from target.seats import lua, store
from target.seats.hold_record import parse, reference
from target.seats.promises import HoldPromise, Promises
from target.seats.store import MISSING, OK, UNREADY, HoldOwner, HoldReply, SeatStore
from target.seats.venue import Venue
from target.storage.keys import SEAT_FREE, Keys
from target.storage.redis import NotReadyError, RedisStore, Value

EXPIRE_BATCH: Final = 200
KEEP_PENDING_S: Final = 60.0  # seats of pending orders after a rebuild: long enough for the saga to finish them


class HoldState(StrEnum):
    """locked: a payment is under way. The last three states are final."""

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


class SeatsClaim(Protocol):
    """A claim to seats: a hold that is asked for, a checkout, an order."""

    @property
    def hold_id(self) -> str:
        """Names the hold."""

    @property
    def fan(self) -> str:
        """The fan who asked."""

    @property
    def identity(self) -> str:
        """The identity to which the purchase limit applies."""

    @property
    def seats(self) -> tuple[str, ...]:
        """Seat ids."""


class SeatsTakenError(Exception):
    """Another fan holds or owns at least one of the seats; no seat was held."""

    def __init__(self, seats: Sequence[str]) -> None:
        super().__init__(", ".join(seats))
        self.seats = tuple(seats)


class PurchaseLimitError(Exception):
    """The identity would hold and own more seats than allowed. `bought`: how many it has now."""

    def __init__(self, bought: int) -> None:
        super().__init__(str(bought))
        self.bought = bought


class HoldGoneError(Exception):
    """The fan does not have this hold. `state`: how it ended; None: there never was one."""

    def __init__(self, state: HoldState | None) -> None:
        super().__init__(state or "missing")
        self.state = state


class Inventory:
    """The seats of one event. Raises `UnavailableError` when Redis cannot be used, `NotReadyError` before loading.

    `store`: the backend that changes seats; Lua unless another is given.
    """

    def __init__(
        self, redis: RedisStore, keys: Keys, venue: Venue, *, hold_ttl_s: float, store: SeatStore | None = None
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._venue = venue
        self._store: SeatStore = store or lua.LuaSeats(redis, keys)
        self.hold_ttl_s = hold_ttl_s
        self.promises = Promises(remember_s=hold_ttl_s)

    async def hold(self, claim: SeatsClaim, *, limit: int) -> float:
        """Holds all of the claim's seats or none; they must exist. Returns when the hold ends (unix s).

        `limit`: seats the identity may hold and own, 0 for no limit. Raises `SeatsTakenError`, `PurchaseLimitError`.
        """
        ttl_us = round(self.hold_ttl_s * 1e6)
        reply = await self._store.hold(claim.hold_id, _owner(claim), self._places(claim), limit=limit, ttl_us=ttl_us)
        match reply.word:
            case store.OK:
                return self._promise(claim, reply)
            case store.TAKEN:
                raise SeatsTakenError(reply.taken)
            case store.LIMIT:
                raise PurchaseLimitError(reply.bought)
        raise NotReadyError

    async def release(self, hold_id: str, *, fan: str) -> None:
        """The fan gives the seats back. Raises `HoldGoneError`: not the fan's, over, or its payment is under way."""
        _expect_ok(await self._store.release(hold_id, fan=fan))
        self.promises.end(hold_id)

    async def lock(self, claim: SeatsClaim, *, until_s: float, promised_s: float = 0.0, limit: int = 0) -> bool:
        """A payment is under way: the hold lives until `until_s` (unix) at least, and its fan cannot release it.

        False: it is gone. `until_s` must outlast the longest outage that the payment may sit through. When Redis does
        not know a hold that was promised until `promised_s` (unix), its data was lost: the hold is made again if all of
        its seats are still free and the identity stays within `limit`, as in `hold`.
        """
        owner, until_us = _owner(claim), round(until_s * 1e6)
        word = await self._store.lock(claim.hold_id, owner, (), until_us=until_us)
        left_us = round((promised_s - time.time()) * 1e6)
        if word == MISSING and left_us > 0:
            places = self._places(claim)
            again = await self._store.hold(claim.hold_id, owner, places, limit=limit, ttl_us=left_us)
            if again.word == OK:
                self._promise(claim, again)
                word = await self._store.lock(claim.hold_id, owner, (), until_us=until_us)
        return _is_ok(word)

    async def unlock(self, claim: SeatsClaim) -> None:
        """The payment failed: the fan has the hold again until the promised end, which may be over."""
        await self._store.unlock(claim.hold_id)

    async def restore(self, claim: SeatsClaim, *, until_s: float) -> None:
        """As `lock`; when Redis lost the hold, its seats that are free are held again."""
        await self._store.lock(claim.hold_id, _owner(claim), self._places(claim), until_us=round(until_s * 1e6))

    async def mark_sold(self, claim: SeatsClaim) -> None:
        """The order is confirmed: the seats become the claim's, even if another fan holds them here. Idempotent."""
        _expect_ok(await self._store.sell(claim.hold_id, _owner(claim), self._places(claim)))

    async def let_go(self, claim: SeatsClaim) -> None:
        """The claim is over: its seats become free, unless another fan has them by now."""
        self.promises.end(claim.hold_id)
        with contextlib.suppress(HoldGoneError):
            _expect_ok(await self._store.release(claim.hold_id, fan=""))

    async def hold_of(self, seat: str) -> Hold | None:
        """The hold that has the seat now; None when the seat is free."""
        name = await self._redis.command("HGET", self._keys.seats, seat)
        return await self._read(name.decode()) if name else None

    async def get_hold(self, hold_id: str) -> Hold | None:
        """The hold in any state; None when there never was one, or it ended long ago."""
        return await self._read(reference(hold_id))

    async def remember_promises(self) -> None:
        """Adds every hold that is alive now to `promises`, also those of other processes."""
        names = await self._redis.command("ZRANGE", self._keys.holds, 0, -1)
        texts = await self._redis.command("HMGET", self._keys.seats, *names) if names else ()
        for hold in map(parse, filter(None, texts)):
            ends_us = hold.expires_us if hold.state == HoldState.HELD else hold.lapses_us
            self.promises.grant(HoldPromise(hold.hold_id, hold.fan, hold.identity, hold.seats, ends_us / 1e6))

    async def expire_due(self) -> int:
        """Frees the seats of every hold whose time is over; returns the number of these holds."""
        expired = 0
        while True:
            batch = await self._store.expire(EXPIRE_BATCH)
            expired += batch
            if batch < EXPIRE_BATCH:
                return expired

    async def holds_count(self) -> int:
        """How many holds are alive."""
        return int(await self._redis.command("ZCARD", self._keys.holds))

    async def sold_out(self) -> bool:
        """Whether no seat is free: each is held or sold. False before the event is loaded."""
        seat_map = await self._redis.command("GET", self._keys.map)
        return bool(seat_map) and SEAT_FREE.encode() not in seat_map

    async def loaded(self) -> bool:
        """Whether the event is loaded into the Redis process that answers now; a restarted one may have lost writes."""
        return await self.began_on() == await self._run_id()

    async def began_on(self) -> str:
        """The run id of the Redis process that the event was loaded into; "" when it is not loaded."""
        return str((await self._redis.command("GET", self._keys.server) or b"").decode())

    async def load(
        self,
        *,
        sold: Iterable[SeatsClaim] = (),
        pending: Iterable[SeatsClaim] = (),
        promised: Iterable[HoldPromise] = (),
    ) -> bool:
        """Begins a new epoch in which exactly these seats are not free. False: another process just did.

        An order's claim to a seat wins over a promise, which is then left out as a whole.
        """
        head: tuple[Value, ...] = (
            secrets.token_hex(4),
            await self._run_id(),
            self._venue.capacity,
            round(KEEP_PENDING_S * 1e6),
            self._keys.ended(""),
            await self.began_on(),
        )
        arguments: list[Value] = []
        owned: set[str] = set()
        for state, claims in ((HoldState.SOLD, sold), (HoldState.LOCKED, pending)):
            for claim in claims:
                owned.update(claim.seats)
                arguments += self._loaded(claim, state, "")
        for promise in promised:
            if owned.isdisjoint(promise.seats):
                owned.update(promise.seats)
                arguments += self._loaded(promise, HoldState.HELD, round(promise.expires_at * 1e6))
        keys = (*lua.seat_keys(self._keys), self._keys.server, self._keys.hold_recovery, self._keys.answers)
        return bool(await self._redis.run(lua.LOAD, keys, (*head, *arguments)))

    def _loaded(self, claim: SeatsClaim, state: HoldState, expires_us: int | str) -> list[Value]:
        """The arguments of `LOAD` for each seat of a claim."""
        owner = (reference(claim.hold_id), claim.hold_id, claim.fan, claim.identity)
        return [part for seat in claim.seats for part in (*owner, seat, self._index(seat), state, expires_us)]

    def _promise(self, claim: SeatsClaim, reply: HoldReply) -> float:
        expires_at = reply.expires_us / 1e6
        self.promises.grant(HoldPromise(claim.hold_id, claim.fan, claim.identity, claim.seats, expires_at))
        return expires_at

    async def _read(self, name: str) -> Hold | None:
        text = await self._redis.command("HGET", self._keys.seats, name)
        text = text or await self._redis.command("GET", self._keys.ended(name))
        if not text:
            return None
        found = parse(text)
        state, ends_at = HoldState(found.state), found.expires_us / 1e6
        return Hold(found.hold_id, state, found.fan, found.identity, found.seats, ends_at)

    async def _run_id(self) -> str:
        return str((await self._redis.command("INFO", "server"))["run_id"])

    def _places(self, claim: SeatsClaim) -> list[tuple[str, int]]:
        return [(seat, self._index(seat)) for seat in claim.seats]

    def _index(self, seat: str) -> int:
        index = self._venue.index(seat)
        if index is None:
            raise KeyError(seat)
        return index


def _owner(claim: SeatsClaim) -> HoldOwner:
    return HoldOwner(claim.fan, claim.identity)


def _is_ok(word: str) -> bool:
    if word == UNREADY:
        raise NotReadyError
    return word == OK


def _expect_ok(word: str) -> None:
    if not _is_ok(word):
        raise HoldGoneError(None if word == MISSING else HoldState(word))
