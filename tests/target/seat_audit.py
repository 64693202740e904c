"""What must be true of an event's seats in Redis at every moment, checked on one atomic reading of all its keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from target.seats import Venue
from target.seats.hold_record import ALIVE, MARK, HoldRecord, parse, reference
from target.seats.lua import seat_keys
from target.storage.keys import Keys, states_on
from target.storage.redis import RedisStore, Script

_DUMP = Script(
    """
local function hash(key)
  local flat, found = redis.call('HGETALL', key), {}
  for n = 1, #flat, 2 do found[flat[n]] = flat[n + 1] end
  return found
end
local ended, feed = {}, {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  ended[string.sub(key, #ARGV[1] + 1)] = redis.call('GET', key)
end
for n, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  feed[n] = {id = entry[1], seat = entry[2][1], state = string.sub(entry[2][2], 1, 1)}
end
local text = cjson.encode({map = redis.call('GET', KEYS[2]), ended = ended, seats = hash(KEYS[3]),
  due = redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'), bought = hash(KEYS[5]), feed = feed})
return (string.gsub(string.gsub(text, '"feed":{}', '"feed":[]'), '"due":{}', '"due":[]'))
"""
)


class Entry(msgspec.Struct):
    """One change in the feed."""

    id: str
    seat: str
    state: str


class Dump(msgspec.Struct):
    """All keys of one event at one moment."""

    map: str
    ended: dict[str, str]
    seats: dict[str, str]
    due: list[str]
    bought: dict[str, str]
    feed: list[Entry]

    @property
    def register(self) -> dict[str, str]:
        """Seat → name of its hold."""
        return {field: name for field, name in self.seats.items() if not field.startswith(MARK)}

    @property
    def living(self) -> dict[str, HoldRecord]:
        """Name → hold that lives or is sold."""
        return {name: parse(text.encode()) for name, text in self.seats.items() if name.startswith(MARK)}

    @property
    def holds(self) -> dict[str, HoldRecord]:
        """Name → hold, in any state; none is in two places."""
        over = {name: parse(text.encode()) for name, text in self.ended.items()}
        living = self.living
        assert not over.keys() & living.keys()
        return over | living


async def audit(redis: RedisStore, keys: Keys, venue: Venue) -> Dump:
    """Reads everything at once; AssertionError where the parts contradict each other."""
    dump = msgspec.json.decode(await redis.run(_DUMP, seat_keys(keys), (keys.ended(""),)), type=Dump)
    dump.map = states_on(dump.map.encode()).decode()
    _check_feed(dump, venue)
    _check_seats(dump, venue)
    _check_holds(dump)
    return dump


def _check_feed(dump: Dump, venue: Venue) -> None:
    """Numbered without a gap, and adding up to the map."""
    assert [entry.id for entry in dump.feed] == [f"0-{n}" for n in range(1, len(dump.feed) + 1)]
    states = ["0"] * venue.capacity
    for entry in dump.feed:
        index = venue.index(entry.seat)
        assert index is not None
        states[index] = entry.state
    assert "".join(states) == dump.map


def _check_seats(dump: Dump, venue: Venue) -> None:
    """The register says what the map says, and each seat that is not free has one hold that knows of it."""
    taken = {venue.seats[n]: state for n, state in enumerate(dump.map) if state != "0"}
    assert dump.register.keys() == taken.keys()
    for seat, name in dump.register.items():
        hold = dump.living[name]
        assert reference(hold.hold_id) == name
        assert seat in hold.seats
        assert hold.state in (ALIVE if taken[seat] == "1" else {"sold"})


def _check_holds(dump: Dump) -> None:
    """Exactly the holds that are alive have an end, all of their seats, and a place in the purchase counts."""
    ends = dict(zip(dump.due[::2], map(int, map(float, dump.due[1::2])), strict=True))
    assert not any(hold.state in {"released", "expired"} for hold in dump.living.values())
    alive = {name: hold for name, hold in dump.holds.items() if hold.state in ALIVE}
    assert ends == {name: hold.expires_us for name, hold in alive.items()}
    for name, hold in alive.items():
        for seat, index in hold.places:
            assert dump.register[seat] == name or dump.map[index] == "2"
    assert _counts(dump.bought) == _counted(dump.holds.values())


def _counts(bought: Mapping[str, str]) -> dict[str, int]:
    return {identity: int(count) for identity, count in bought.items() if int(count)}


def _counted(holds: Iterable[HoldRecord]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for hold in holds:
        if hold.state in {*ALIVE, "sold"}:
            counted[hold.identity] += len(hold.seats)
    return dict(counted)
