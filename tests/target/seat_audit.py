"""What must be true of an event's seats in Redis at every moment, checked on one atomic reading of all its keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from target.keys import Keys
from target.redis_store import RedisStore, Script
from target.venue import Venue

ALIVE = {"held", "locked"}

_DUMP = Script(
    """
local function hash(key)
  local flat, found = redis.call('HGETALL', key), {}
  for n = 1, #flat, 2 do found[flat[n]] = flat[n + 1] end
  return found
end
local holds, feed = {}, {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do holds[string.sub(key, #ARGV[1] + 1)] = hash(key) end
for n, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do
  feed[n] = {id = entry[1], seat = entry[2][2], state = entry[2][4]}
end
local text = cjson.encode({seq = redis.call('GET', KEYS[2]), map = redis.call('GET', KEYS[4]), holds = holds,
  seats = hash(KEYS[5]), due = redis.call('ZRANGE', KEYS[6], 0, -1, 'WITHSCORES'), bought = hash(KEYS[7]), feed = feed})
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

    seq: str
    map: str
    holds: dict[str, dict[str, str]]
    seats: dict[str, str]
    due: list[str]
    bought: dict[str, str]
    feed: list[Entry]


async def audit(redis: RedisStore, keys: Keys, venue: Venue) -> Dump:
    """Reads everything at once; AssertionError where the parts contradict each other."""
    names = (keys.epoch, keys.seq, keys.feed, keys.map, keys.seats, keys.holds, keys.bought)
    dump = msgspec.json.decode(await redis.run(_DUMP, names, (keys.hold(""),)), type=Dump)
    _check_feed(dump, venue)
    _check_seats(dump, venue)
    _check_holds(dump)
    return dump


def _check_feed(dump: Dump, venue: Venue) -> None:
    """Numbered without a gap, and adding up to the map."""
    assert [entry.id for entry in dump.feed] == [f"{n}-0" for n in range(1, int(dump.seq) + 1)]
    states = ["0"] * venue.capacity
    for entry in dump.feed:
        index = venue.index(entry.seat)
        assert index is not None
        states[index] = entry.state
    assert "".join(states) == dump.map


def _check_seats(dump: Dump, venue: Venue) -> None:
    """The register says what the map says, and each seat that is not free has one hold that knows of it."""
    taken = {venue.seats[n]: state for n, state in enumerate(dump.map) if state != "0"}
    assert {seat: register[0] for seat, register in dump.seats.items()} == taken
    for seat, register in dump.seats.items():
        state, hold_id = register.split(":", 1)
        hold = dump.holds[hold_id]
        assert seat in hold["seats"].split()
        assert hold["state"] in (ALIVE if state == "1" else {"sold"})


def _check_holds(dump: Dump) -> None:
    """Exactly the holds that are alive have an end, all of their seats, and a place in the purchase counts."""
    ends = dict(zip(dump.due[::2], map(int, map(float, dump.due[1::2])), strict=True))
    alive = {hold_id: hold for hold_id, hold in dump.holds.items() if hold["state"] in ALIVE}
    assert ends == {hold_id: int(hold["expires_us"]) for hold_id, hold in alive.items()}
    for hold_id, hold in alive.items():
        for seat in hold["seats"].split():
            assert dump.seats[seat] == f"1:{hold_id}" or dump.seats[seat].startswith("2:")
    assert _counts(dump.bought) == _counted(dump.holds.values())


def _counts(bought: Mapping[str, str]) -> dict[str, int]:
    return {identity: int(count) for identity, count in bought.items() if int(count)}


def _counted(holds: Iterable[dict[str, str]]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for hold in holds:
        if hold["state"] in ALIVE | {"sold"}:
            counted[hold["identity"]] += len(hold["seats"].split())
    return dict(counted)
