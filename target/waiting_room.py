"""The waiting room: joins, positions, admissions and entries, each one atomic round trip to Redis.

While Redis is away a join is answered with a ticket that is signed and stamped now; the ticket is put in its place in
the queue, by its stamp, as soon as its fan is seen again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from target import queue_lua
from target.keys import Keys
from target.redis_store import NotReadyError, RedisStore
from target.tickets import Ticket

ADMISSION_VALID_S: Final = 600.0
REPEAT_ENTER_S: Final = 60.0


class JoinState(StrEnum):
    """paused: a ticket was given, queueing comes when Redis is back."""

    QUEUED = "queued"
    ADMITTED = "admitted"
    PAUSED = "paused"


class Place(msgspec.Struct, frozen=True):
    """A fan's place. `position` 1 is next, 0 admitted. `new`: this call put them in."""

    state: JoinState
    position: int
    joined_us: int
    identity: str
    epoch: str
    new: bool


class Positions(msgspec.Struct, frozen=True):
    """Places of several fans at one instant: 0 admitted, -1 not in the queue."""

    epoch: str
    of: Sequence[int]


class Admitted(msgspec.Struct, frozen=True):
    """How many were let in by one call, and how many still wait."""

    count: int
    waiting: int


class Entry(msgspec.Struct, frozen=True):
    """An admission that was taken up. `entered_s`: unix s of the first time."""

    admission_no: int
    entered_s: float


class EntryRefusedError(Exception):
    """`reason`: waiting, used or expired."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WaitingRoom:
    """The queue of one event. Raises `UnavailableError` when Redis cannot be used, `NotReadyError` before loading."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._join_keys = (keys.epoch, keys.queue_epoch, keys.queue, keys.fans, keys.join_clock, keys.admitted)
        self._position_keys = (keys.epoch, keys.queue_epoch, keys.queue, keys.admitted)
        self._admit_keys = (keys.epoch, keys.queue, keys.admitted, keys.admission_no, keys.admission_bucket)
        self._enter_keys = (keys.epoch, keys.admitted)
        self._newest_us = 0  # the newest join time this process has seen or given

    async def join(self, fan: str, identity: str) -> Place:
        """Puts the fan at the end, or tells the place they have."""
        return await self._join(fan, identity, "")

    async def rejoin(self, ticket: Ticket) -> Place:
        """Puts the holder of a ticket where its join time says, unless they are in already."""
        return await self._join(ticket.fan, ticket.identity, ticket.joined_us)

    def stamp(self) -> int:
        """A join time (unix µs) for a ticket given while Redis is away: later than all that this process knows of."""
        self._newest_us = max(self._newest_us + 1, time.time_ns() // 1000)
        return self._newest_us

    async def positions(self, fans: Sequence[str]) -> Positions:
        """Where these fans are, as one consistent picture."""
        epoch, *of = await self._redis.run(queue_lua.POSITIONS, self._position_keys, fans)
        if not epoch:
            raise NotReadyError
        return Positions(epoch.decode(), of)

    async def admit(self, *, rate_per_s: float, burst: int) -> Admitted:
        """Lets in as many from the front as the token bucket gives."""
        arguments = (rate_per_s, burst, round(ADMISSION_VALID_S * 1e6))
        count, *waiting = await self._redis.run(queue_lua.ADMIT, self._admit_keys, arguments)
        if count < 0:
            raise NotReadyError
        return Admitted(count, waiting[0])

    async def enter(self, ticket: Ticket) -> Entry:
        """Takes up an admission, once; a repeat within a minute gets the same answer. Raises `EntryRefusedError`."""
        arguments = (ticket.fan, round(REPEAT_ENTER_S * 1e6))
        reason, *entry = await self._redis.run(queue_lua.ENTER, self._enter_keys, arguments)
        if reason == b"unready":
            raise NotReadyError
        if reason != b"ok":
            raise EntryRefusedError(reason.decode())
        return Entry(int(entry[0]), int(entry[1]) / 1e6)

    async def _join(self, fan: str, identity: str, joined_us: int | str) -> Place:
        answer = await self._redis.run(queue_lua.JOIN, self._join_keys, (fan, identity, joined_us))
        if answer[0] == b"unready":
            raise NotReadyError
        state = JoinState.ADMITTED if answer[0] == b"admitted" else JoinState.QUEUED
        joined = int(answer[2])
        self._newest_us = max(self._newest_us, joined)
        return Place(state, answer[1], joined, answer[3].decode(), answer[4].decode(), answer[0] == b"new")
