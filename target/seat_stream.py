"""The feed's source: the state and the changes of all seats, read so that epoch and data belong together."""

from __future__ import annotations

from typing import Final

import msgspec

from target.keys import Keys
from target.redis_store import RedisStore, Reply, Script
from target.seat_log import SeatChange

READ_MAX: Final = 500
WAIT_MS: Final = 400  # well under the time-out of a call

_LOAD: Final = Script("return {redis.call('MGET', unpack(KEYS, 1, 3)), redis.call('XRANGE', KEYS[4], '-', '+')}")
_READ: Final = Script(
    "return {redis.call('GET', KEYS[1]), redis.call('XRANGE', KEYS[2], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])}"
)


class Loaded(msgspec.Struct, frozen=True):
    """Everything at one instant: `states` as of `seq`, and the changes that led there, as far as Redis keeps them."""

    epoch: str
    seq: int
    states: bytes
    history: tuple[SeatChange, ...]


class HistoryGoneError(Exception):
    """The changes that come next cannot be read: another epoch has begun, or the stream was trimmed."""


class SeatStream:
    """The stream of one event. Raises `UnavailableError` when Redis is away."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def load(self) -> Loaded | None:
        """The state of all seats. None: the event is not loaded."""
        keys = self._keys
        (epoch, seq, states), entries = await self._redis.run(_LOAD, (keys.epoch, keys.seq, keys.map, keys.feed))
        if epoch is None:
            return None
        name = epoch.decode()
        return Loaded(name, int(seq or 0), states, tuple(_change(name, entry) for entry in entries))

    async def read(self, epoch: str, last_seq: int) -> list[SeatChange]:
        """The changes after `last_seq`; none: nothing has changed. Raises `HistoryGoneError`."""
        present, entries = await self._redis.run(_READ, (self._keys.epoch, self._keys.feed), (last_seq, READ_MAX))
        if present is None or present.decode() != epoch:
            raise HistoryGoneError
        changes = [_change(epoch, entry) for entry in entries]
        if changes and changes[0].seq != last_seq + 1:
            raise HistoryGoneError
        return changes

    async def wait(self, last_seq: int) -> None:
        """Returns when there may be something after `last_seq`, or after a short while."""
        await self._redis.command("XREAD", "COUNT", 1, "BLOCK", WAIT_MS, "STREAMS", self._keys.feed, f"{last_seq}-0")


def _change(epoch: str, entry: Reply) -> SeatChange:
    name, fields = entry
    row = dict(zip(fields[::2], fields[1::2], strict=True))
    seq = int(name.partition(b"-")[0])
    return SeatChange(epoch, seq, row[b"seat"].decode(), int(row[b"state"]), float(row[b"at"]))
