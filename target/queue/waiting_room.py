"""The waiting room: joins, positions, admissions and entries, each one atomic round trip to Redis.

Before the opening fans gather and none is admitted. While Redis is away a join is answered with a ticket that is signed
and stamped now; the ticket is put in its place in the queue, by its stamp, as soon as its fan is seen again. A fan who
is silent for longer than the grace is passed over at the front, and gets the old place back with the ticket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

from target.http.tickets import Ticket
from target.queue import scripts
from target.queue.draw import entry_of
from target.queue.rules import Rules
from target.storage.keys import Keys
from target.storage.redis import NotReadyError, RedisStore, Reply, Script, Value

REPEAT_ENTER_S: Final = 60.0
NO_DEVICE: Final = "-"
HEARD_WITHIN_S: Final = 5.5
"""Whoever waits on an open stream and may soon be let in is asked for at least this often; only then does the grace of
a place begin. Whoever stands far back is asked for less often, and long before it is their turn as often as this."""
LATE_S: Final = 5.0
"""Who was let in so long ago and has not come counts as missed in the turnout, until they come after all."""


class JoinState(StrEnum):
    """gathering: before the opening. paused: a ticket was given, queueing comes when Redis is back."""

    GATHERING = "gathering"
    QUEUED = "queued"
    ADMITTED = "admitted"
    PAUSED = "paused"


class QueuePlace(msgspec.Struct, frozen=True):
    """A fan's place. `position` 1 is next, 0 admitted, null before the draw. `new`: this call made the place."""

    state: JoinState
    position: int | None
    joined_us: int
    identity: str
    epoch: str
    new: bool


class Positions(msgspec.Struct, frozen=True):
    """Places of several fans at one instant: 0 admitted, -1 not in the queue. `gathering`: before the opening.
    `sold_out`: nothing is left to buy."""

    epoch: str
    of: Sequence[int]
    gathering: bool = False
    sold_out: bool = False


class Admitted(msgspec.Struct, frozen=True):
    """The result of one call: how many fans were admitted, wait, were passed over, and let their admission expire."""

    count: int
    waiting: int
    skipped: int = 0
    no_shows: int = 0


class Turnout(msgspec.Struct, frozen=True):
    """How many fans admitted since the data began have entered, and how many have missed their admission so far."""

    entered: int
    missed: int


class Entrants(msgspec.Struct, frozen=True):
    """A part of the draw in its order: (entry, drawn number) of each, out of `total`."""

    total: int
    drawn: tuple[tuple[str, int], ...]


class Entry(msgspec.Struct, frozen=True):
    """An admission that was used. `entered_s`: unix s of the first use. `epoch`: numbers are in order within one."""

    admission_no: int
    entered_s: float
    epoch: str


class ForeignPlaceError(Exception):
    """The fan already has a place, which belongs to another device."""


class CodeSpentError(Exception):
    """The access code has let another fan in."""


class SecondPlaceError(Exception):
    """The identity has a place as another fan already."""


class EntryRefusedError(Exception):
    """`reason`: waiting, used or expired."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WaitingRoom:
    """The queue of one event. Raises `UnavailableError` when Redis cannot be used, `NotReadyError` before loading."""

    repeat_enter_s: ClassVar[float] = REPEAT_ENTER_S

    def __init__(self, redis: RedisStore, keys: Keys, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._redis = redis
        line = (keys.epoch, keys.queue_epoch, keys.queue)
        calls = (keys.awaited, keys.turnout)
        self._join_keys = (
            *line, keys.fans, keys.join_clock, keys.admitted, keys.seen, *calls, keys.draw, keys.codes, keys.identities
        )  # fmt: skip
        self._position_keys = (*line, keys.admitted, keys.seen, keys.sold_out)
        bucket = (keys.admission_no, keys.admission_bucket)
        self._admit_keys = (keys.epoch, keys.queue, keys.admitted, *bucket, keys.seen, *calls, keys.sold_out)
        self._enter_keys = (keys.epoch, keys.admitted, *calls, keys.fans)
        self._turnout_keys = calls
        self._draw_key = keys.draw
        self._opened = not self.rules.opens_at_us
        self._newest_us = 0  # the newest join time that this process has seen or given
        self.stamped_s = float("-inf")  # when this process last gave a ticket without Redis, by its monotonic clock

    async def join(self, fan: str, identity: str, *, device: str = "", code: str = "") -> QueuePlace:
        """Puts the fan at the end, or returns the fan's present place.

        Raises `ForeignPlaceError`, `CodeSpentError`, `SecondPlaceError`. `device`: its digest, "" for none; from then
        on the place is this device's. `code`: the digest of the access code, "" for none.
        """
        return await self._join(fan, identity, device, "", code)

    async def rejoin(self, ticket: Ticket) -> QueuePlace:
        """Puts a ticket's fan at the place of its join time, unless the fan has a place. Raises as `join`."""
        return await self._join(ticket.fan, ticket.identity, ticket.device, ticket.joined_us, ticket.code)

    def stamp(self) -> int:
        """A join time (unix µs) for a ticket given while Redis is away: later than all join times known here."""
        earliest_us = self.rules.opens_at_us if self._opened else 0
        self._newest_us = max(self._newest_us + 1, time.time_ns() // 1000, earliest_us)
        self.stamped_s = time.monotonic()
        return self._newest_us

    async def opened(self) -> bool:
        """Whether the opening is past by Redis's clock, which alone decides; from then on no fan joins the draw."""
        if not self._opened:
            self._opened = await self._redis.time_us() >= self.rules.opens_at_us
        return self._opened

    async def positions(self, fans: Sequence[str]) -> Positions:
        """The places of these fans at one instant."""
        arguments: tuple[Value, ...] = (self.rules.opens_at_us, *fans)
        epoch, *seen = await self._run(scripts.POSITIONS, self._position_keys, arguments)
        if not epoch:
            raise NotReadyError
        gathering, sold_out, *of = seen
        self._opened = self._opened or not gathering
        return Positions(epoch.decode(), of, gathering=bool(gathering), sold_out=bool(sold_out))

    async def admit(self, *, rate_per_s: float, burst: int) -> Admitted:
        """Admits as many fans from the front as the token bucket allows; passes over silent fans."""
        spans_s = (HEARD_WITHIN_S, self.rules.place_grace_s)
        limits = (round(self.rules.admission_valid_s * 1e6), self.rules.opens_at_us, *(round(s * 1e6) for s in spans_s))
        count, *rest = await self._run(scripts.ADMIT, self._admit_keys, (rate_per_s, burst, *limits))
        if count < 0:
            raise NotReadyError
        return Admitted(count, *rest)

    async def turnout(self) -> Turnout:
        """How many admitted fans have entered."""
        spans_us = (round(self.rules.admission_valid_s * 1e6), round(LATE_S * 1e6))
        entered, no_shows, late = await self._run(scripts.TURNOUT, self._turnout_keys, spans_us)
        return Turnout(entered, no_shows + late)

    async def entrants(self, *, first: int, count: int) -> Entrants:
        """`count` entries of the draw from the `first`-th on (0 is the front place)."""
        draw = self.rules.draw
        if draw is None:
            return Entrants(0, ())
        asked = (self._draw_key, first, first + count - 1, "WITHSCORES")
        total, rows = await asyncio.gather(
            self._redis.command("ZCARD", self._draw_key), self._redis.command("ZRANGE", *asked)
        )
        pairs = zip(rows[::2], rows[1::2], strict=True)
        return Entrants(total, tuple((entry.decode(), draw.number(float(score))) for entry, score in pairs))

    async def enter(self, ticket: Ticket) -> Entry:
        """Uses an admission, once; a repeat within a minute gets the same answer.

        Raises `EntryRefusedError`, `ForeignPlaceError`.
        """
        arguments = (ticket.fan, ticket.device or NO_DEVICE, round(self.repeat_enter_s * 1e6))
        reason, *entry = await self._run(scripts.ENTER, self._enter_keys, arguments)
        _expect_own(reason)
        if reason != b"ok":
            raise EntryRefusedError(reason.decode())
        return Entry(int(entry[0]), int(entry[1]) / 1e6, entry[2].decode())

    async def _join(self, fan: str, identity: str, device: str, joined_us: int | str, code: str = "") -> QueuePlace:
        draw = self.rules.draw
        drawn: tuple[Value, Value] = (draw.score(fan), entry_of(fan)) if draw else ("", "")
        limits = (code, self.rules.places_per_identity)
        arguments = (fan, identity, device or NO_DEVICE, joined_us, self.rules.opens_at_us, *drawn, *limits)
        answer = await self._run(scripts.JOIN, self._join_keys, arguments)
        _expect_own(answer[0])
        outcome, position, joined, known_as, epoch, gathering = answer
        self._newest_us = max(self._newest_us, int(joined))
        self._opened = self._opened or not gathering
        state = JoinState.GATHERING if gathering else JoinState.QUEUED
        if outcome == b"admitted":
            state = JoinState.ADMITTED
        place = position if not (gathering and draw) else None
        return QueuePlace(state, place, int(joined), known_as.decode(), epoch.decode(), outcome == b"new")

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[Value]) -> Reply:
        return await self._redis.run(script, keys, arguments)


def _expect_own(answer: bytes) -> None:
    if answer == b"unready":
        raise NotReadyError
    if answer == b"foreign":
        raise ForeignPlaceError
    if answer == b"spent":
        raise CodeSpentError
    if answer == b"second":
        raise SecondPlaceError
