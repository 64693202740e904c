"""The public seat map and the free seats by section: from Redis, and from the orders, marked stale, without it.

Both are cached in each process and dropped when a seat changes. The greatest age of an answer is `REST_S` plus the
time of a read, as long as changes are noticed. When the connection that listens is lost, the map may be `SEATS_TTL_S`
old, and the counts, made from it, `SEATS_TTL_S + COUNTS_TTL_S`. In a process that has too much to do a read may take
longer than that, and so may its callers' turn; an answer that is too old when it is given says that it is stale.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import msgspec

from target.runtime.breakers import UnavailableError
from target.runtime.cache import CachedValue
from target.seats.seat_stream import SeatStream
from target.seats.venue import Venue
from target.storage.keys import SEAT_FREE, SEAT_HELD, SEAT_SOLD, Keys
from target.storage.redis import NotReadyError, RedisStore
from target.telemetry.metrics import FALLBACKS

REST_S: Final = 0.1  # between two notices, so that a sell-out causes a bounded number of refills
RETRY_S: Final = 0.25


class SeatWatch:
    """Calls `notify` within `REST_S` of a change, at each new epoch, and when Redis stops answering."""

    def __init__(self, stream: SeatStream, notify: Callable[[], None]) -> None:
        self._stream = stream
        self._notify = notify

    async def run(self) -> None:
        """For ever."""
        known: tuple[str, int] | None = None
        while True:
            try:
                await self._stream.wait(known[1] if known else 0)
                present = await self._stream.newest()
            except UnavailableError:
                present = None
            if present != known:
                self._notify()
            if present is None or present == known:
                await asyncio.sleep(RETRY_S if present is None else 0)
            else:
                await asyncio.sleep(REST_S)
            known = present


SEATS_TTL_S: Final = 0.5
COUNTS_TTL_S: Final = 1.0
JITTER_RATIO: Final = 0.25
FRESH_RATIO: Final = 0.9  # of the bound that is kept: the answer has a way to go


class Seats(msgspec.Struct, frozen=True):
    """The state of every seat. `source`: redis, or orders (then `stale`, without epoch and seq). A map from Redis is
    `stale` when it was read too long ago."""

    epoch: str
    seq: int
    stale: bool
    source: str
    states: dict[str, str]  # section → one character per seat: 0 free, 1 held, 2 sold


class Counts(msgspec.Struct, frozen=True):
    """Free seats by section."""

    stale: bool
    counts: dict[str, int]


class SeenSeats(msgspec.Struct, frozen=True):
    """Seats, and the monotonic time at which their source was asked."""

    seats: Seats
    document: bytes  # as JSON
    asked_s: float


class SeenCounts(msgspec.Struct, frozen=True):
    """Counts, and when the source of their seats was asked."""

    counts: Counts
    document: bytes
    asked_s: float


class SeatTruth(Protocol):
    """The source of the map without Redis."""

    def seat_states(self) -> Awaitable[Mapping[str, str]]:
        """Seat → pending | confirmed."""


class SeatMap:
    """Both views of one event. Raises `UnavailableError` when neither Redis nor the database answers.

    `late_max_s`: a map that is older than this is `stale`, as are counts that are older than twice this.
    """

    def __init__(
        self, redis: RedisStore, keys: Keys, venue: Venue, truth: SeatTruth, *, late_max_s: float = 1.0
    ) -> None:
        self._fresh_s = late_max_s * FRESH_RATIO
        self._stream = SeatStream(redis, keys)
        self._venue = venue
        self._truth = truth
        self._seats = CachedValue("seats", self._read, ttl_s=SEATS_TTL_S, jitter_ratio=JITTER_RATIO)
        self._counts = CachedValue("sections", self._count, ttl_s=COUNTS_TTL_S, jitter_ratio=JITTER_RATIO)
        self._watch = SeatWatch(self._stream, self.invalidate)

    async def seats(self) -> bytes:
        """A `Seats` as JSON."""
        seen = await self._seats.get()
        if seen.seats.stale:
            FALLBACKS.labels("stale_seat_map").inc()
        elif _age_s(seen) > self._fresh_s:
            return msgspec.json.encode(msgspec.structs.replace(seen.seats, stale=True))
        return seen.document

    async def counts(self) -> bytes:
        """A `Counts` as JSON."""
        seen = await self._counts.get()
        if not seen.counts.stale and _age_s(seen) > 2 * self._fresh_s:
            return msgspec.json.encode(Counts(stale=True, counts=seen.counts.counts))
        return seen.document

    def invalidate(self) -> None:
        """Seats have changed: the next answers are read again."""
        self._seats.invalidate()
        self._counts.invalidate()

    async def run(self) -> None:
        """Listens for changes for ever."""
        await self._watch.run()

    async def _read(self) -> SeenSeats:
        asked_s = time.monotonic()
        try:
            seats = await self._from_redis()
        except UnavailableError:
            seats = await self._from_orders()
        return SeenSeats(seats, msgspec.json.encode(seats), asked_s)

    async def _count(self) -> SeenCounts:
        seen = await self._seats.get()
        free = {section: self._free(states) for section, states in seen.seats.states.items()}
        counts = Counts(seen.seats.stale, free)
        return SeenCounts(counts, msgspec.json.encode(counts), seen.asked_s)

    def _free(self, states: str) -> int:
        return states.count(SEAT_FREE)

    async def _from_redis(self) -> Seats:
        seen = await self._stream.see()
        if seen is None:
            raise NotReadyError
        return Seats(seen.epoch, seen.seq, stale=False, source="redis", states=self._by_section(seen.states.decode()))

    async def _from_orders(self) -> Seats:
        states = [SEAT_FREE] * self._venue.capacity
        for seat, order_state in (await self._truth.seat_states()).items():
            index = self._venue.index(seat)
            if index is not None:
                states[index] = SEAT_SOLD if order_state == "confirmed" else SEAT_HELD
        return Seats("", 0, stale=True, source="orders", states=self._by_section("".join(states)))

    def _by_section(self, states: str) -> dict[str, str]:
        return {section: states[first:end] for section, (first, end) in self._venue.slices.items()}


def _age_s(seen: SeenSeats | SeenCounts) -> float:
    return time.monotonic() - seen.asked_s
