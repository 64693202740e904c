"""Reads the state and the changes of all seats from Redis for the feed, each read within one epoch."""

from __future__ import annotations

from typing import Final

import msgspec

from target.seats.seat_log import SeatChange
from target.storage.keys import Keys, states_on
from target.storage.redis import RedisStore, Reply, Script

READ_MAX: Final = 500
WAIT_MS: Final = 400  # well under the time-out of a call

# KEYS of each script: feed, epoch, map.
_LOAD: Final = Script("return {redis.call('XRANGE', KEYS[1], '-', '+'), redis.call('MGET', KEYS[2], KEYS[3])}")
_SEE: Final = Script(
    "return {redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1), redis.call('MGET', KEYS[2], KEYS[3])}"
)
_NEWEST: Final = Script(
    "return {redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1), {redis.call('GET', KEYS[2]), ''}}"
)
_READ: Final = Script(
    "return {redis.call('GET', KEYS[2]), redis.call('XRANGE', KEYS[1], '(0-' .. ARGV[1], '+', 'COUNT', ARGV[2])}"
)


class Loaded(msgspec.Struct, frozen=True):
    """The seats at one instant: `states` as of `seq`, and the changes before it, as far as they were read."""

    epoch: str
    seq: int
    states: bytes
    history: tuple[SeatChange, ...]


class HistoryGoneError(Exception):
    """The next changes cannot be read: another epoch has begun, or the stream was trimmed."""


class SeatStream:
    """The stream of one event. Raises `UnavailableError` when Redis is away."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._feed = keys.feed
        self._keys = (keys.feed, keys.epoch, keys.map)

    async def load(self) -> Loaded | None:
        """The state of all seats and all changes that Redis keeps. None: the event is not loaded."""
        return await self._whole(_LOAD)

    async def see(self) -> Loaded | None:
        """As `load`, with the last change only."""
        return await self._whole(_SEE)

    async def newest(self) -> tuple[str, int] | None:
        """Epoch and number of the last change. None: the event is not loaded."""
        loaded = await self._whole(_NEWEST)
        return (loaded.epoch, loaded.seq) if loaded else None

    async def read(self, epoch: str, last_seq: int) -> list[SeatChange]:
        """The changes after `last_seq`; empty when there are none. Raises `HistoryGoneError`."""
        present, entries = await self._redis.run(_READ, self._keys, (last_seq, READ_MAX))
        if present is None or present.decode() != epoch:
            raise HistoryGoneError
        changes = [_change(epoch, entry) for entry in entries]
        if changes and changes[0].seq != last_seq + 1:
            raise HistoryGoneError
        return changes

    async def wait(self, last_seq: int) -> None:
        """Returns when there may be changes after `last_seq`, or after a short time."""
        await self._redis.command("XREAD", "COUNT", 1, "BLOCK", WAIT_MS, "STREAMS", self._feed, f"0-{last_seq}")

    async def _whole(self, script: Script) -> Loaded | None:
        entries, (epoch, states) = await self._redis.run(script, self._keys)
        if epoch is None:
            return None
        changes = tuple(_change(epoch.decode(), entry) for entry in entries)
        return Loaded(epoch.decode(), changes[-1].seq if changes else 0, states_on(states), changes)


def _change(epoch: str, entry: Reply) -> SeatChange:
    name, (seat, what) = entry
    state, at_s, at_us = map(int, what.split())
    return SeatChange(epoch, int(name.partition(b"-")[2]), seat.decode(), state, at_s + at_us / 1e6)
