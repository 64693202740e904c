"""The school of Lua: scripts that change seats. Each is atomic, takes its time from Redis and tells the feed.

KEYS of all: 1 epoch, 2 seq, 3 feed, 4 map, 5 seats, 6 holds, 7 bought, 8 the hold.
A hold is a hash: state held|locked|sold|released|expired, fan, identity, seats, indexes (space separated), expires_us.
`locked` is a hold whose payment is under way: its fan cannot give it back, and it lives until the extended expiry.
"""

from __future__ import annotations

from typing import Final

from target.keys import FEED_LENGTH_MAX, Keys
from target.redis_store import RedisStore, Reply, Script, Value
from target.seat_store import LIMIT, OK, REMEMBER_HOLD_S, TAKEN, HoldReply, Owner, Places

_PRELUDE: Final = f"""
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local at = string.format('%d.%06d', time[1], time[2])

local function whole(number) return string.format('%.0f', number) end

local function words(text)
  local found = {{}}
  for word in string.gmatch(text, '%S+') do found[#found + 1] = word end
  return found
end

local function change(seat, index, state, hold_id)
  redis.call('SETRANGE', KEYS[4], index, state)
  if state == '0' then redis.call('HDEL', KEYS[5], seat)
  else redis.call('HSET', KEYS[5], seat, state .. ':' .. hold_id) end
  local seq = redis.call('INCR', KEYS[2])
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', {FEED_LENGTH_MAX}, whole(seq) .. '-0',
    'seat', seat, 'state', state, 'at', at)
end

local function give_back(key, hold_id, hold, ending)
  local seats, indexes = words(hold[4]), words(hold[5])
  for n, seat in ipairs(seats) do
    if redis.call('HGET', KEYS[5], seat) == '1:' .. hold_id then change(seat, indexes[n], '0', hold_id) end
  end
  if redis.call('HINCRBY', KEYS[7], hold[3], -#seats) <= 0 then redis.call('HDEL', KEYS[7], hold[3]) end
  redis.call('HSET', key, 'state', ending)
  redis.call('EXPIRE', key, {REMEMBER_HOLD_S})
  redis.call('ZREM', KEYS[6], hold_id)
end

local function read(key)
  return redis.call('HMGET', key, 'state', 'fan', 'identity', 'seats', 'indexes', 'expires_us')
end
"""

# Without the prelude and in as few calls as can be: this one runs as often as all others together.
HOLD: Final = Script(
    f"""
-- ARGV: hold id, fan, identity, limit (0: none), ttl µs, then seat and index for each seat
local call, count, limit = redis.call, (#ARGV - 5) / 2, tonumber(ARGV[4])
local held = '1:' .. ARGV[1]
local answer, seats, indexes, register = {{'taken'}}, {{}}, {{}}, {{}}
for n = 1, count do
  local seat, index = ARGV[4 + 2 * n], ARGV[5 + 2 * n]
  seats[n], indexes[n], register[2 * n - 1], register[2 * n] = seat, index, seat, held
  local state = call('GETRANGE', KEYS[4], index, index)
  if state == '' then return {{'unready'}} end -- there is no map
  if state ~= '0' then answer[#answer + 1] = seat end
end
if limit > 0 then
  local bought = call('HGET', KEYS[7], ARGV[3]) or '0'
  if bought + count > limit then return {{'limit', bought}} end
end
if #answer > 1 then return answer end
local time = call('TIME')
local at = string.format('%d.%06d', time[1], time[2])
local expires = string.format('%.0f', time[1] * 1000000 + time[2] + ARGV[5])
local before = call('INCRBY', KEYS[2], count) - count
call('HSET', KEYS[5], unpack(register))
for n = 1, count do
  call('SETRANGE', KEYS[4], indexes[n], '1')
  call('XADD', KEYS[3], 'MAXLEN', '~', '{FEED_LENGTH_MAX}', string.format('%.0f-0', before + n),
    'seat', seats[n], 'state', '1', 'at', at)
end
call('HSET', KEYS[8], 'state', 'held', 'fan', ARGV[2], 'identity', ARGV[3],
  'seats', table.concat(seats, ' '), 'indexes', table.concat(indexes, ' '), 'expires_us', expires)
call('ZADD', KEYS[6], expires, ARGV[1])
call('HINCRBY', KEYS[7], ARGV[3], count)
return {{'ok', expires}}
"""
)

RELEASE: Final = Script(
    _PRELUDE
    + """
-- ARGV: hold id, fan ('' for the system itself)
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unready' end
local hold = read(KEYS[8])
if not hold[1] or (ARGV[2] ~= '' and hold[2] ~= ARGV[2]) then return 'missing' end
if hold[1] == 'locked' and ARGV[2] ~= '' then return 'locked' end
if hold[1] ~= 'held' and hold[1] ~= 'locked' then return hold[1] end
give_back(KEYS[8], ARGV[1], hold, 'released')
return 'ok'
"""
)

UNLOCK: Final = Script(
    _PRELUDE
    + """
-- ARGV: hold id. Its fan has it again for as long as it was promised before the payment began.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unready' end
local hold = read(KEYS[8])
if hold[1] ~= 'locked' then return hold[1] or 'missing' end
local lapses = redis.call('HGET', KEYS[8], 'lapses_us') or '0'
redis.call('HSET', KEYS[8], 'state', 'held', 'expires_us', lapses)
redis.call('ZADD', KEYS[6], lapses, ARGV[1])
return 'ok'
"""
)

LOCK: Final = Script(
    _PRELUDE
    + """
-- ARGV: hold id, until (unix µs), fan, identity, then seat and index for each seat to hold again if the hold is gone
-- and the seat is free. Without seats a hold that is gone stays so.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unready' end
local hold = read(KEYS[8])
if hold[1] == 'held' or hold[1] == 'locked' then
  local expires = whole(math.max(tonumber(hold[6]), tonumber(ARGV[2])))
  if hold[1] == 'held' then redis.call('HSET', KEYS[8], 'lapses_us', hold[6]) end
  redis.call('HSET', KEYS[8], 'state', 'locked', 'expires_us', expires)
  redis.call('ZADD', KEYS[6], expires, ARGV[1])
  return 'ok'
end
if hold[1] == 'sold' or #ARGV == 4 then return hold[1] or 'missing' end
local seats, indexes = {}, {}
for n = 5, #ARGV, 2 do
  if redis.call('GETRANGE', KEYS[4], ARGV[n + 1], ARGV[n + 1]) == '0' then
    seats[#seats + 1], indexes[#indexes + 1] = ARGV[n], ARGV[n + 1]
    change(ARGV[n], ARGV[n + 1], '1', ARGV[1])
  end
end
if #seats == 0 then return hold[1] or 'missing' end
redis.call('HSET', KEYS[8], 'state', 'locked', 'fan', ARGV[3], 'identity', ARGV[4],
  'seats', table.concat(seats, ' '), 'indexes', table.concat(indexes, ' '), 'expires_us', ARGV[2])
redis.call('PERSIST', KEYS[8])
redis.call('ZADD', KEYS[6], ARGV[2], ARGV[1])
redis.call('HINCRBY', KEYS[7], ARGV[4], #seats)
return 'ok'
"""
)

SELL: Final = Script(
    _PRELUDE
    + """
-- ARGV: hold id, fan, identity, then seat and index for each seat. The truth has decided: a seat that another hold took
-- in the meantime changes hands.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'unready' end
local hold = read(KEYS[8])
if hold[1] == 'sold' then return 'ok' end
local counted = 0
if hold[1] == 'held' or hold[1] == 'locked' then counted = #words(hold[4]) end
local seats, indexes = {}, {}
for n = 4, #ARGV, 2 do
  seats[#seats + 1], indexes[#indexes + 1] = ARGV[n], ARGV[n + 1]
  change(ARGV[n], ARGV[n + 1], '2', ARGV[1])
end
redis.call('HSET', KEYS[8], 'state', 'sold', 'fan', ARGV[2], 'identity', ARGV[3],
  'seats', table.concat(seats, ' '), 'indexes', table.concat(indexes, ' '), 'expires_us', '0')
redis.call('PERSIST', KEYS[8])
redis.call('HINCRBY', KEYS[7], ARGV[3], #seats - counted)
redis.call('ZREM', KEYS[6], ARGV[1])
return 'ok'
"""
)

EXPIRE: Final = Script(
    _PRELUDE
    + """
-- ARGV: most holds at once, prefix of the holds' keys. Gives back what is due; returns how many holds.
local due = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', whole(now_us), 'LIMIT', 0, ARGV[1])
for _, hold_id in ipairs(due) do
  local key = ARGV[2] .. hold_id
  local hold = read(key)
  if hold[1] == 'held' or hold[1] == 'locked' then give_back(key, hold_id, hold, 'expired')
  else redis.call('ZREM', KEYS[6], hold_id) end
end
return #due
"""
)

LOAD: Final = Script(
    """
-- Begins a new epoch, unless somebody else has just done so. KEYS: as above, but 8 is the server's run id.
-- ARGV: epoch, run id, capacity, µs that a pending order's seats are kept, prefix of the holds' keys, the run id to be
-- replaced, then for each seat that an order owns: hold id, fan, identity, seat, index, state. The seats of one
-- hold come together.
if (redis.call('GET', KEYS[8]) or '') ~= ARGV[6] then return 0 end
local time = redis.call('TIME')
local expires = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[4]))
for _, hold_id in ipairs(redis.call('ZRANGE', KEYS[6], 0, -1)) do redis.call('DEL', ARGV[5] .. hold_id) end
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[4], string.rep('0', tonumber(ARGV[3])))
redis.call('SET', KEYS[2], 0)
local last = ''
for n = 7, #ARGV, 6 do
  local hold_id, fan, identity, seat, index, state = unpack(ARGV, n, n + 5)
  local key = ARGV[5] .. hold_id
  if hold_id ~= last then
    redis.call('DEL', key)
    redis.call('HSET', key, 'state', state == '2' and 'sold' or 'locked', 'fan', fan, 'identity', identity,
      'seats', seat, 'indexes', index, 'expires_us', expires)
    if state == '1' then redis.call('ZADD', KEYS[6], expires, hold_id) end
    last = hold_id
  else
    redis.call('HSET', key, 'seats', redis.call('HGET', key, 'seats') .. ' ' .. seat,
      'indexes', redis.call('HGET', key, 'indexes') .. ' ' .. index)
  end
  redis.call('SETRANGE', KEYS[4], index, state)
  redis.call('HSET', KEYS[5], seat, state .. ':' .. hold_id)
  redis.call('HINCRBY', KEYS[7], identity, 1)
end
redis.call('SET', KEYS[8], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""
)


def seat_keys(keys: Keys) -> tuple[str, ...]:
    """KEYS 1 to 7 of every script."""
    return (keys.epoch, keys.seq, keys.feed, keys.map, keys.seats, keys.holds, keys.bought)


class LuaSeats:
    """The school of scripts, a `SeatStore`: one round trip for each verb, nothing to retry."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._seat_keys = seat_keys(keys)

    async def hold(self, hold_id: str, owner: Owner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See `SeatStore`."""
        arguments = (owner.fan, owner.identity, limit, ttl_us, *_flat(places))
        word, *rest = [part.decode() for part in await self._run(HOLD, hold_id, *arguments)]
        match word:
            case "ok":
                return HoldReply(OK, expires_us=int(rest[0]))
            case "taken":
                return HoldReply(TAKEN, taken=tuple(rest))
            case "limit":
                return HoldReply(LIMIT, bought=int(rest[0]))
        return HoldReply(word)

    async def release(self, hold_id: str, *, fan: str) -> str:
        """See `SeatStore`."""
        return _word(await self._run(RELEASE, hold_id, fan))

    async def lock(self, hold_id: str, owner: Owner, places: Places, *, until_us: int) -> str:
        """See `SeatStore`."""
        return _word(await self._run(LOCK, hold_id, until_us, owner.fan, owner.identity, *_flat(places)))

    async def unlock(self, hold_id: str) -> str:
        """See `SeatStore`."""
        return _word(await self._run(UNLOCK, hold_id))

    async def sell(self, hold_id: str, owner: Owner, places: Places) -> str:
        """See `SeatStore`."""
        return _word(await self._run(SELL, hold_id, owner.fan, owner.identity, *_flat(places)))

    async def expire(self, most: int) -> int:
        """See `SeatStore`."""
        return await self._expire(EXPIRE, most)

    async def _expire(self, script: Script, most: int) -> int:
        prefix = self._keys.hold("")
        return int(await self._redis.run(script, (*self._seat_keys, prefix), (most, prefix)))

    async def _run(self, script: Script, hold_id: str, *arguments: Value) -> Reply:
        return await self._redis.run(script, (*self._seat_keys, self._keys.hold(hold_id)), (hold_id, *arguments))


def _flat(places: Places) -> list[Value]:
    return [part for place in places for part in place]


def _word(answer: bytes) -> str:
    return answer.decode()
