"""Holds as WATCH/MULTI/EXEC transactions, for a Redis that runs no scripts.

A transaction names the keys to watch and to read and, from the values read, the writes; it does no I/O. `WatchSeats`
runs it: it reads, decides in this process, and writes if no watched key has changed, else it tries again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from target.runtime.breakers import UnavailableError
from target.runtime.patience import Patience
from target.seats.hold_record import ALIVE, HoldRecord, begun, parse, reference
from target.seats.store import LIMIT, MISSING, OK, REMEMBER_HOLD_S, TAKEN, UNREADY, HoldOwner, HoldReply, Places
from target.storage.keys import FEED_LENGTH_MAX, MAP_SOLD, SEAT_FREE, SEAT_HELD, SEAT_SOLD, Keys
from target.storage.redis import RedisStore
from target.telemetry.metrics import HOLD_TRANSACTIONS

T = TypeVar("T")
Command: TypeAlias = tuple[str | int, ...]


class PlannedWrites(msgspec.Struct, Generic[T], frozen=True):
    """The answer of the verb after its `writes`, which are done all at once; without writes it may be given now."""

    answer: T
    writes: tuple[Command, ...] = ()


Transaction: TypeAlias = Generator[list[Command], list[Any], PlannedWrites[T]]


class Seen(msgspec.Struct, frozen=True):
    """The data that every verb reads: server time (unix µs), whether the event is loaded, the hold in any state."""

    now_us: int
    ready: bool
    hold: HoldRecord | None

    @property
    def state(self) -> str:
        """The state of the hold; "" when there is none."""
        return self.hold.state if self.hold else ""


class Changes:
    """The writes of one transaction about one hold."""

    def __init__(self, keys: Keys, seen: Seen, name: str) -> None:
        self._keys = keys
        self._now_us = seen.now_us
        self._name = name
        self._commands: list[Command] = []

    def add(self, *command: str | int) -> None:
        """Adds a write."""
        self._commands.append(command)

    def change(self, place: tuple[str, int], state: str) -> None:
        """Sets a seat's new state: on the map, in the hash of seats, in the feed."""
        seat, index = place
        self.add("SETRANGE", self._keys.map, index, MAP_SOLD if state == SEAT_SOLD else state)
        if state == SEAT_FREE:
            self.add("HDEL", self._keys.seats, seat)
        else:
            self.add("HSET", self._keys.seats, seat, self._name)
        change = f"{state} {self._now_us // 10**6} {self._now_us % 10**6}"
        self.add("XADD", self._keys.feed, "MAXLEN", "~", FEED_LENGTH_MAX, "0-*", seat, change)

    def write(self, hold: HoldRecord) -> None:
        """Writes the hold, which is alive or sold."""
        self.add("HSET", self._keys.seats, self._name, hold.text)

    def keep(self, hold: HoldRecord, state: str) -> None:
        """Writes all places of a new hold, and the hold itself."""
        for place in hold.places:
            self.change(place, state)
        self.write(hold)
        self.add("DEL", self._keys.ended(self._name))

    def end(self, hold: HoldRecord) -> None:
        """Ends the hold; its record is kept for a while."""
        self.add("SET", self._keys.ended(self._name), hold.text, "EX", REMEMBER_HOLD_S)
        self.add("HDEL", self._keys.seats, self._name)
        self.add("ZREM", self._keys.holds, self._name)

    def plan(self, answer: T) -> PlannedWrites[T]:
        """All writes with their answer."""
        return PlannedWrites(answer, tuple(self._commands))


class SeatTransactions:
    """The verbs for one event; see `SeatStore` for what they do."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def hold(
        self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int
    ) -> Transaction[HoldReply]:
        """Answers `taken` and `limit` without a transaction, because they were true at the time of reading."""
        more: list[Command] = [("HGET", self._keys.bought, owner.identity)]
        more += [("GETRANGE", self._keys.map, index, index) for _, index in places]
        name = reference(hold_id)
        seen, (bought, *states) = yield from self._look(name, more)
        if not seen.ready:
            return PlannedWrites(HoldReply(UNREADY))
        if 0 < limit < int(bought or 0) + len(places):
            return PlannedWrites(HoldReply(LIMIT, bought=int(bought or 0)))
        taken = tuple(seat for (seat, _), state in zip(places, states, strict=True) if state != SEAT_FREE.encode())
        if taken:
            return PlannedWrites(HoldReply(TAKEN, taken=taken))
        changes = Changes(self._keys, seen, name)
        self._begin(changes, begun("held", hold_id, owner, places, seen.now_us + ttl_us))
        return changes.plan(HoldReply(OK, expires_us=seen.now_us + ttl_us))

    def release(self, hold_id: str, *, fan: str) -> Transaction[str]:
        """With `fan` "" also a locked hold."""
        name = reference(hold_id)
        seen, _ = yield from self._look(name)
        hold = seen.hold
        if not seen.ready:
            return PlannedWrites(UNREADY)
        if hold is None or (fan and hold.fan != fan):
            return PlannedWrites(MISSING)
        if hold.state not in ALIVE or (fan and hold.state == "locked"):
            return PlannedWrites(hold.state)
        return (yield from self._give_back(seen, name, hold, "released"))

    def lock(self, hold_id: str, owner: HoldOwner, places: Places, *, until_us: int) -> Transaction[str]:
        """For a lost hold it also reads the states of the places."""
        name = reference(hold_id)
        seen, states = yield from self._look(name, [("GETRANGE", self._keys.map, i, i) for _, i in places])
        hold = seen.hold
        if not seen.ready:
            return PlannedWrites(UNREADY)
        changes = Changes(self._keys, seen, name)
        if hold and hold.state in ALIVE:
            lapses_us = hold.expires_us if hold.state == "held" else hold.lapses_us
            self._extend(changes, name, hold, "locked", max(hold.expires_us, until_us), lapses_us)
            return changes.plan(OK)
        free = [place for place, state in zip(places, states, strict=True) if state == SEAT_FREE.encode()]
        if seen.state == "sold" or not free:
            return PlannedWrites(seen.state or MISSING)
        self._begin(changes, begun("locked", hold_id, owner, free, until_us))
        return changes.plan(OK)

    def unlock(self, hold_id: str) -> Transaction[str]:
        """Only a locked hold can be unlocked."""
        name = reference(hold_id)
        seen, _ = yield from self._look(name)
        if not seen.ready:
            return PlannedWrites(UNREADY)
        if seen.hold is None or seen.state != "locked":
            return PlannedWrites(seen.state or MISSING)
        changes = Changes(self._keys, seen, name)
        self._extend(changes, name, seen.hold, "held", seen.hold.lapses_us, seen.hold.lapses_us)
        return changes.plan(OK)

    def sell(self, hold_id: str, owner: HoldOwner, places: Places) -> Transaction[str]:
        """The purchase count grows by the seats that the hold had not counted."""
        name = reference(hold_id)
        seen, _ = yield from self._look(name)
        if not seen.ready:
            return PlannedWrites(UNREADY)
        if seen.state == "sold":
            return PlannedWrites(OK)
        changes = Changes(self._keys, seen, name)
        changes.keep(begun("sold", hold_id, owner, places, 0), SEAT_SOLD)
        counted = len(seen.hold.seats) if seen.hold and seen.state in ALIVE else 0
        changes.add("HINCRBY", self._keys.bought, owner.identity, len(places) - counted)
        changes.add("ZREM", self._keys.holds, name)
        return changes.plan(OK)

    def expire(self, name: str) -> Transaction[bool]:
        """Ends the hold of this name when it is due, and answers whether it was; removes an entry without a hold."""
        seen, _ = yield from self._look(name)
        alive = seen.hold if seen.hold and seen.state in ALIVE else None
        if not seen.ready or (alive and alive.expires_us > seen.now_us):
            return PlannedWrites(answer=False)
        if alive is None:
            return PlannedWrites(answer=False, writes=(("ZREM", self._keys.holds, name),))
        ended = yield from self._give_back(seen, name, alive, "expired")
        return PlannedWrites(answer=True, writes=ended.writes)

    def _look(
        self, name: str, more: Sequence[Command] = ()
    ) -> Generator[list[Command], list[Any], tuple[Seen, list[Any]]]:
        keys, ended = self._keys, self._keys.ended(name)
        _, time, ready, living, over, *rest = yield [
            ("WATCH", keys.epoch, keys.seats, ended),
            ("TIME",),
            ("EXISTS", keys.epoch),
            ("HGET", keys.seats, name),
            ("GET", ended),
            *more,
        ]
        text = living or over
        return Seen(int(time[0]) * 10**6 + int(time[1]), bool(ready), parse(text) if text else None), rest

    def _begin(self, changes: Changes, hold: HoldRecord) -> None:
        changes.keep(hold, SEAT_HELD)
        changes.add("ZADD", self._keys.holds, hold.expires_us, reference(hold.hold_id))
        changes.add("HINCRBY", self._keys.bought, hold.identity, len(hold.seats))

    def _extend(
        self, changes: Changes, name: str, hold: HoldRecord, state: str, expires_us: int, lapses_us: int
    ) -> None:
        changes.write(msgspec.structs.replace(hold, state=state, expires_us=expires_us, lapses_us=lapses_us))
        changes.add("ZADD", self._keys.holds, expires_us, name)

    def _give_back(self, seen: Seen, name: str, hold: HoldRecord, ending: str) -> Transaction[str]:
        owners, bought = yield [
            ("HMGET", self._keys.seats, *hold.seats),
            ("HGET", self._keys.bought, hold.identity),
        ]
        changes = Changes(self._keys, seen, name)
        for place, owner in zip(hold.places, owners, strict=True):
            if owner == name.encode():
                changes.change(place, SEAT_FREE)
        if int(bought or 0) > len(hold.seats):
            changes.add("HINCRBY", self._keys.bought, hold.identity, -len(hold.seats))
        else:
            changes.add("HDEL", self._keys.bought, hold.identity)
        changes.end(msgspec.structs.replace(hold, state=ending))
        return changes.plan(OK)


TRIES_MAX: Final = 24
BACKOFF_S: Final = 0.0005  # the first pause is up to this long, each further one up to twice as long
BACKOFF_MAX_S: Final = 0.02


class ContendedError(UnavailableError):
    """Other processes changed the seats at each try, or the turn never came; no seat was changed."""

    def __init__(self) -> None:
        super().__init__("redis", "too many changes at once", maybe_done=False)


class WatchSeats:
    """A `SeatStore`. The transactions of one process take turns, because they could only abort each other."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._verbs = SeatTransactions(keys)
        self._turn = asyncio.Lock()

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.hold(hold_id, owner, places, limit=limit, ttl_us=ttl_us))

    async def release(self, hold_id: str, *, fan: str) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.release(hold_id, fan=fan))

    async def lock(self, hold_id: str, owner: HoldOwner, places: Places, *, until_us: int) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.lock(hold_id, owner, places, until_us=until_us))

    async def unlock(self, hold_id: str) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.unlock(hold_id))

    async def sell(self, hold_id: str, owner: HoldOwner, places: Places) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.sell(hold_id, owner, places))

    async def expire(self, most: int) -> int:
        """See `SeatStore`. One transaction for each hold, so that busy seats cannot keep other holds from ending."""
        now_us = await self._redis.time_us()
        due = await self._redis.command("ZRANGEBYSCORE", self._keys.holds, "-inf", now_us, "LIMIT", 0, most)
        for name in due:
            await self._transact(partial(self._verbs.expire, name.decode()))
        return len(due)

    async def _transact(self, begin: Callable[[], Transaction[T]]) -> T:
        for number in range(TRIES_MAX):
            plan = await self._in_turn(begin)
            if plan is not None:
                HOLD_TRANSACTIONS.labels("done").inc()
                return plan.answer
            HOLD_TRANSACTIONS.labels("aborted").inc()
            await asyncio.sleep(random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2**number)))
        HOLD_TRANSACTIONS.labels("given_up").inc()
        raise ContendedError

    async def _in_turn(self, begin: Callable[[], Transaction[T]]) -> PlannedWrites[T] | None:
        """One try. Waiting for the turn is no failure of Redis, so the breaker does not count it."""
        try:
            async with Patience(self._redis.guard.timeout_s):
                await self._turn.acquire()
        except TimeoutError:
            raise ContendedError from None
        try:
            return await self._redis.converse(lambda: self._try(begin()), operation="WATCH")
        finally:
            self._turn.release()

    async def _try(self, transaction: Transaction[T]) -> PlannedWrites[T] | None:
        """One try on a connection of its own. None: a watched key changed."""
        pool = self._redis.client.connection_pool
        connection = await pool.get_connection()
        try:
            return await _converse(connection, transaction)
        except BaseException:  # after any error, answers or a WATCH may be left on the connection
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


async def _converse(connection: Any, transaction: Transaction[T]) -> PlannedWrites[T] | None:  # noqa: ANN401 - redis-py's
    """Carries out the transaction. None: a watched key changed, and no write was made."""
    plan = await _read(connection, transaction)
    if not plan.writes:
        await _exchange(connection, [("UNWATCH",)])
        return plan
    *_, done = await _exchange(connection, [("MULTI",), *plan.writes, ("EXEC",)])
    if done is None:
        return None
    for reply in done:
        if isinstance(reply, Exception):
            raise reply
    return plan


async def _read(connection: Any, transaction: Transaction[T]) -> PlannedWrites[T]:  # noqa: ANN401
    commands = next(transaction)
    while True:
        replies = await _exchange(connection, commands)
        try:
            commands = transaction.send(replies)
        except StopIteration as end:
            plan: PlannedWrites[T] = end.value
            return plan


async def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:  # noqa: ANN401
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [await connection.read_response() for _ in commands]
