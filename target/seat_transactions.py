"""The verbs of `SeatStore` as optimistic transactions: what to watch and read, and what then to write. No I/O.

Each verb is a generator: it yields commands to be sent, is sent their replies, and ends with a `Plan`. Whoever runs it
sends the plan's writes between MULTI and EXEC, and begins anew when EXEC says that a watched key has changed.

Watched are the event's sequence number, which every change of any seat moves, its epoch, the purchase counts and the
hold itself. Watching single seats would not do: the feed's entries carry the sequence number, a transaction cannot use
what its own INCR answers, and so two changes can never be decided at once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from target.keys import FEED_LENGTH_MAX, SEAT_FREE, SEAT_HELD, SEAT_SOLD, Keys
from target.seat_store import LIMIT, MISSING, OK, REMEMBER_HOLD_S, TAKEN, UNREADY, HoldReply, Owner, Places

T = TypeVar("T")
Command: TypeAlias = tuple[str | int, ...]

ALIVE: Final = ("held", "locked")
_FIELDS: Final = ("state", "fan", "identity", "seats", "indexes", "expires_us", "lapses_us")


class Plan(msgspec.Struct, Generic[T], frozen=True):
    """What the verb answers once `writes` have been done, all at once; without any it may be answered now."""

    answer: T
    writes: tuple[Command, ...] = ()


Transaction: TypeAlias = Generator[list[Command], list[Any], Plan[T]]


class HoldRow(msgspec.Struct, frozen=True):
    """The hash of one hold as it was read; `state` is "" when there is none."""

    state: str
    fan: str
    identity: str
    seats: tuple[str, ...]
    indexes: tuple[int, ...]
    expires_us: int
    lapses_us: int

    @property
    def places(self) -> Places:
        """Seats with their indexes."""
        return tuple(zip(self.seats, self.indexes, strict=True))


class Seen(msgspec.Struct, frozen=True):
    """What every verb reads: the server's time (unix µs), whether the event is loaded, its last change, the hold."""

    now_us: int
    ready: bool
    seq: int
    hold: HoldRow


class Changes:
    """The writes of one transaction, numbered from the sequence number that it has read."""

    def __init__(self, keys: Keys, seen: Seen) -> None:
        self._keys = keys
        self._seen = seen
        self._count = 0
        self._commands: list[Command] = []

    def add(self, *command: str | int) -> None:
        """One more write."""
        self._commands.append(command)

    def change(self, place: tuple[str, int], state: str, hold_id: str) -> None:
        """A seat's new state: on the map, in the register, to the feed."""
        seat, index = place
        self._count += 1
        self.add("SETRANGE", self._keys.map, index, state)
        if state == SEAT_FREE:
            self.add("HDEL", self._keys.seats, seat)
        else:
            self.add("HSET", self._keys.seats, seat, f"{state}:{hold_id}")
        entry, at = f"{self._seen.seq + self._count}-0", f"{self._seen.now_us // 10**6}.{self._seen.now_us % 10**6:06}"
        length = ("MAXLEN", "~", FEED_LENGTH_MAX)
        self.add("XADD", self._keys.feed, *length, entry, "seat", seat, "state", state, "at", at)

    def write_hold(self, hold_id: str, state: str, owner: Owner, places: Places, expires_us: int) -> None:
        """The hold as a whole; it is kept until it ends."""
        key = self._keys.hold(hold_id)
        seats, indexes = " ".join(seat for seat, _ in places), " ".join(str(index) for _, index in places)
        named = ("state", state, "fan", owner.fan, "identity", owner.identity, "seats", seats, "indexes", indexes)
        self.add("HSET", key, *named, "expires_us", expires_us)
        self.add("PERSIST", key)

    def plan(self, answer: T) -> Plan[T]:
        """All of it, and the answer to give then."""
        counted: tuple[Command, ...] = (("INCRBY", self._keys.seq, self._count),) if self._count else ()
        return Plan(answer, (*counted, *self._commands))


class SeatTransactions:
    """The verbs for one event; see `SeatStore` for what they do."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def hold(self, hold_id: str, owner: Owner, places: Places, *, limit: int, ttl_us: int) -> Transaction[HoldReply]:
        """Answers taken or over the limit without a transaction: it was so at the moment of reading."""
        more: list[Command] = [("HGET", self._keys.bought, owner.identity)]
        more += [("GETRANGE", self._keys.map, index, index) for _, index in places]
        seen, (bought, *states) = yield from self._look(hold_id, more)
        if not seen.ready:
            return Plan(HoldReply(UNREADY))
        if 0 < limit < int(bought or 0) + len(places):
            return Plan(HoldReply(LIMIT, bought=int(bought or 0)))
        taken = tuple(seat for (seat, _), state in zip(places, states, strict=True) if state != SEAT_FREE.encode())
        if taken:
            return Plan(HoldReply(TAKEN, taken=taken))
        changes = Changes(self._keys, seen)
        self._keep(changes, hold_id, "held", owner, places, seen.now_us + ttl_us)
        return changes.plan(HoldReply(OK, expires_us=seen.now_us + ttl_us))

    def release(self, hold_id: str, *, fan: str) -> Transaction[str]:
        """With `fan` "" also a locked hold."""
        seen, _ = yield from self._look(hold_id)
        hold = seen.hold
        if not seen.ready:
            return Plan(UNREADY)
        if not hold.state or (fan and hold.fan != fan):
            return Plan(MISSING)
        if hold.state not in ALIVE or (fan and hold.state == "locked"):
            return Plan(hold.state)
        return (yield from self._give_back(seen, hold_id, "released"))

    def lock(self, hold_id: str, owner: Owner, places: Places, *, until_us: int) -> Transaction[str]:
        """A hold that is gone needs the places' states too."""
        seen, states = yield from self._look(hold_id, [("GETRANGE", self._keys.map, i, i) for _, i in places])
        hold, key = seen.hold, self._keys.hold(hold_id)
        if not seen.ready:
            return Plan(UNREADY)
        changes = Changes(self._keys, seen)
        if hold.state in ALIVE:
            expires_us = max(hold.expires_us, until_us)
            lapses: Command = ("lapses_us", hold.expires_us) if hold.state == "held" else ()
            changes.add("HSET", key, "state", "locked", "expires_us", expires_us, *lapses)
            changes.add("ZADD", self._keys.holds, expires_us, hold_id)
            return changes.plan(OK)
        free = [place for place, state in zip(places, states, strict=True) if state == SEAT_FREE.encode()]
        if hold.state == "sold" or not free:
            return Plan(hold.state or MISSING)
        self._keep(changes, hold_id, "locked", owner, free, until_us)
        return changes.plan(OK)

    def unlock(self, hold_id: str) -> Transaction[str]:
        """Only a locked hold can be unlocked."""
        seen, _ = yield from self._look(hold_id)
        if not seen.ready:
            return Plan(UNREADY)
        if seen.hold.state != "locked":
            return Plan(seen.hold.state or MISSING)
        changes = Changes(self._keys, seen)
        changes.add("HSET", self._keys.hold(hold_id), "state", "held", "expires_us", seen.hold.lapses_us)
        changes.add("ZADD", self._keys.holds, seen.hold.lapses_us, hold_id)
        return changes.plan(OK)

    def sell(self, hold_id: str, owner: Owner, places: Places) -> Transaction[str]:
        """The purchase count grows by what the hold did not count already."""
        seen, _ = yield from self._look(hold_id)
        if not seen.ready:
            return Plan(UNREADY)
        if seen.hold.state == "sold":
            return Plan(OK)
        changes = Changes(self._keys, seen)
        for place in places:
            changes.change(place, SEAT_SOLD, hold_id)
        changes.write_hold(hold_id, "sold", owner, places, 0)
        counted = len(seen.hold.seats) if seen.hold.state in ALIVE else 0
        changes.add("HINCRBY", self._keys.bought, owner.identity, len(places) - counted)
        changes.add("ZREM", self._keys.holds, hold_id)
        return changes.plan(OK)

    def expire(self, hold_id: str) -> Transaction[bool]:
        """Ends the hold if it is due. Answers whether it was; an entry without a hold is removed."""
        seen, _ = yield from self._look(hold_id)
        if not seen.ready or (seen.hold.state in ALIVE and seen.hold.expires_us > seen.now_us):
            return Plan(answer=False)
        if seen.hold.state not in ALIVE:
            return Plan(answer=False, writes=(("ZREM", self._keys.holds, hold_id),))
        ended = yield from self._give_back(seen, hold_id, "expired")
        return Plan(answer=True, writes=ended.writes)

    def _look(
        self, hold_id: str, more: Sequence[Command] = ()
    ) -> Generator[list[Command], list[Any], tuple[Seen, list[Any]]]:
        keys, key = self._keys, self._keys.hold(hold_id)
        watch: Command = ("WATCH", keys.epoch, keys.seq, keys.bought, key)
        _, time, ready, seq, row, *rest = yield [
            watch,
            ("TIME",),
            ("EXISTS", keys.epoch),
            ("GET", keys.seq),
            ("HMGET", key, *_FIELDS),
            *more,
        ]
        return Seen(int(time[0]) * 10**6 + int(time[1]), bool(ready), int(seq or 0), _hold_row(row)), rest

    def _keep(self, changes: Changes, hold_id: str, state: str, owner: Owner, places: Places, expires_us: int) -> None:
        for place in places:
            changes.change(place, SEAT_HELD, hold_id)
        changes.write_hold(hold_id, state, owner, places, expires_us)
        changes.add("ZADD", self._keys.holds, expires_us, hold_id)
        changes.add("HINCRBY", self._keys.bought, owner.identity, len(places))

    def _give_back(self, seen: Seen, hold_id: str, ending: str) -> Transaction[str]:
        hold, key = seen.hold, self._keys.hold(hold_id)
        owners, bought = yield [
            ("HMGET", self._keys.seats, *hold.seats),
            ("HGET", self._keys.bought, hold.identity),
        ]
        changes = Changes(self._keys, seen)
        for place, owner in zip(hold.places, owners, strict=True):
            if owner == f"{SEAT_HELD}:{hold_id}".encode():
                changes.change(place, SEAT_FREE, hold_id)
        if int(bought or 0) > len(hold.seats):
            changes.add("HINCRBY", self._keys.bought, hold.identity, -len(hold.seats))
        else:
            changes.add("HDEL", self._keys.bought, hold.identity)
        changes.add("HSET", key, "state", ending)
        changes.add("EXPIRE", key, REMEMBER_HOLD_S)
        changes.add("ZREM", self._keys.holds, hold_id)
        return changes.plan(OK)


def _hold_row(row: Sequence[bytes | None]) -> HoldRow:
    state, fan, identity, seats, indexes, expires_us, lapses_us = (value.decode() if value else "" for value in row)
    numbers = tuple(int(index) for index in indexes.split())
    return HoldRow(state, fan, identity, tuple(seats.split()), numbers, int(expires_us or 0), int(lapses_us or 0))
