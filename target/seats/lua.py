"""Holds as Lua scripts: each is atomic, takes its time from Redis and tells the feed what it has changed.

The script that holds seats runs as often as all others together, so it is written to need few instructions.
"""

from __future__ import annotations

from typing import Final

from target.seats.hold_record import reference, tail
from target.seats.store import LIMIT, OK, REMEMBER_HOLD_S, TAKEN, HoldOwner, HoldReply, Places
from target.storage.keys import FEED_LENGTH_MAX, MAP_SOLD, SEAT_SOLD, Keys, seat_bit
from target.storage.redis import RedisStore, Reply, Script, Value

HOLD: Final = Script(
    """
-- KEYS: feed, map, seats, holds, bought. ARGV: name, the record from after its end, identity, limit (0: none), ttl µs,
-- then for each seat its id and its bit. Returns when the hold ends (unix µs), or the refusal in words.
local call, KEYS, ARGV = redis.call, KEYS, ARGV -- globals are dear
local name, identity, limit, count = ARGV[1], ARGV[3], ARGV[4] + 0, (#ARGV - 5) / 2

local n = 6 -- up to the first seat that is not free
while n < #ARGV and call('SETBIT', KEYS[2], ARGV[n + 1], '1') == 0 do n = n + 2 end
local all_free = n > #ARGV

local refusal, bought, time, at
if all_free then
  bought = call('HINCRBY', KEYS[5], identity, count) - count
else
  bought, refusal = limit > 0 and call('HGET', KEYS[5], identity) or 0, {'taken', ARGV[n]}
  for m = n + 2, #ARGV, 2 do
    if call('GETBIT', KEYS[2], ARGV[m + 1]) == 1 then refusal[#refusal + 1] = ARGV[m] end
  end
end
if limit > 0 and bought + count > limit then refusal = {'limit', tostring(bought)} end

if not refusal then
  time = call('TIME')
  at = time[1] .. ' ' .. time[2]
  local change = '1 ' .. at
  for m = 6, #ARGV, 2 do
    if not call('XADD', KEYS[1], 'NOMKSTREAM', '0-*', ARGV[m], change) then refusal = {'unready'} break end
  end
end

if refusal then
  for m = 7, n, 2 do call('SETBIT', KEYS[2], ARGV[m], '0') end
  if all_free and call('HINCRBY', KEYS[5], identity, -count) == 0 then call('HDEL', KEYS[5], identity) end
  if call('EXISTS', KEYS[1]) == 1 then return refusal end
  call('DEL', KEYS[2]) -- there was no map
  return {'unready'}
end

local register = {name, 'held\\n' .. at .. ' ' .. ARGV[5] .. ARGV[2], ARGV[6], name}
for m = 8, #ARGV, 2 do register[m - 3], register[m - 2] = ARGV[m], name end
call('HSET', KEYS[3], unpack(register))
local expires = time[1] * 1000000 + time[2] + ARGV[5]
call('ZADD', KEYS[4], expires, name)
return expires
"""
)


def hold_keys(keys: Keys) -> tuple[str, ...]:
    """KEYS of `HOLD`."""
    return (keys.feed, keys.map, keys.seats, keys.holds, keys.bought)


def hold_arguments(hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> tuple[str | int, ...]:
    """ARGV of `HOLD`."""
    bits = [part for seat, index in places for part in (seat, seat_bit(index))]
    return (reference(hold_id), tail(hold_id, owner, places), owner.identity, limit, ttl_us, *bits)


_PRELUDE: Final = f"""
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local at = time[1] .. ' ' .. time[2]

local STATE, EXPIRES, LAPSES, FAN, IDENTITY, SEATS, INDEXES = 1, 2, 3, 5, 6, 7, 8

local function split(text, pattern)
  local found = {{}}
  for part in string.gmatch(text, pattern) do found[#found + 1] = part end
  return found
end

local function whole(number) return string.format('%.0f', number) end

local function words(text) return split(text, '%S+') end

local function read(name, ended)
  local text = redis.call('HGET', KEYS[3], name) or redis.call('GET', ended)
  local hold = text and split(text, '[^\\n]+') or {{}}
  local s, us, ttl_us = string.match(hold[EXPIRES] or '', '(%d+) (%d+) (%d+)')
  if s then hold[EXPIRES] = whole(s * 1000000 + us + ttl_us) end
  return hold
end

local function write(name, hold) redis.call('HSET', KEYS[3], name, table.concat(hold, '\\n')) end

local function begin(name, state, expires, id, fan, identity, seats, indexes)
  write(name, {{state, expires, '0', id, fan, identity, table.concat(seats, ' '), table.concat(indexes, ' ')}})
  redis.call('DEL', KEYS[7])
end

local function change(seat, index, state, name)
  redis.call('SETRANGE', KEYS[2], index, state == '{SEAT_SOLD}' and '{MAP_SOLD}' or state)
  if state == '0' then redis.call('HDEL', KEYS[3], seat) else redis.call('HSET', KEYS[3], seat, name) end
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', '{FEED_LENGTH_MAX}', '0-*', seat, state .. ' ' .. at)
end

local function give_back(name, hold, ending, ended)
  local seats, indexes = words(hold[SEATS]), words(hold[INDEXES])
  for n, seat in ipairs(seats) do
    if redis.call('HGET', KEYS[3], seat) == name then change(seat, indexes[n], '0') end
  end
  if redis.call('HINCRBY', KEYS[5], hold[IDENTITY], -#seats) <= 0 then redis.call('HDEL', KEYS[5], hold[IDENTITY]) end
  hold[STATE] = ending
  redis.call('SET', ended, table.concat(hold, '\\n'), 'EX', {REMEMBER_HOLD_S})
  redis.call('HDEL', KEYS[3], name)
  redis.call('ZREM', KEYS[4], name)
end
"""

RELEASE: Final = Script(
    _PRELUDE
    + """
-- ARGV: name, fan ('' for the system itself)
if redis.call('EXISTS', KEYS[6]) == 0 then return 'unready' end
local hold = read(ARGV[1], KEYS[7])
if not hold[STATE] or (ARGV[2] ~= '' and hold[FAN] ~= ARGV[2]) then return 'missing' end
if hold[STATE] == 'locked' and ARGV[2] ~= '' then return 'locked' end
if hold[STATE] ~= 'held' and hold[STATE] ~= 'locked' then return hold[STATE] end
give_back(ARGV[1], hold, 'released', KEYS[7])
return 'ok'
"""
)

UNLOCK: Final = Script(
    _PRELUDE
    + """
-- ARGV: name. Its fan has it again for as long as it was promised before the payment began.
if redis.call('EXISTS', KEYS[6]) == 0 then return 'unready' end
local hold = read(ARGV[1], KEYS[7])
if hold[STATE] ~= 'locked' then return hold[STATE] or 'missing' end
hold[STATE], hold[EXPIRES] = 'held', hold[LAPSES]
write(ARGV[1], hold)
redis.call('ZADD', KEYS[4], hold[LAPSES], ARGV[1])
return 'ok'
"""
)

LOCK: Final = Script(
    _PRELUDE
    + """
-- ARGV: name, until (unix µs), id, fan, identity, then seat and index for each seat to hold again if the hold is gone
-- and the seat is free. Without seats a hold that is gone stays so.
if redis.call('EXISTS', KEYS[6]) == 0 then return 'unready' end
local hold = read(ARGV[1], KEYS[7])
if hold[STATE] == 'held' or hold[STATE] == 'locked' then
  if hold[STATE] == 'held' then hold[LAPSES] = hold[EXPIRES] end
  hold[STATE], hold[EXPIRES] = 'locked', whole(math.max(hold[EXPIRES], ARGV[2]))
  write(ARGV[1], hold)
  redis.call('ZADD', KEYS[4], hold[EXPIRES], ARGV[1])
  return 'ok'
end
if hold[STATE] == 'sold' or #ARGV == 5 then return hold[STATE] or 'missing' end
local seats, indexes = {}, {}
for n = 6, #ARGV, 2 do
  if redis.call('GETRANGE', KEYS[2], ARGV[n + 1], ARGV[n + 1]) == '0' then
    seats[#seats + 1], indexes[#indexes + 1] = ARGV[n], ARGV[n + 1]
    change(ARGV[n], ARGV[n + 1], '1', ARGV[1])
  end
end
if #seats == 0 then return hold[STATE] or 'missing' end
begin(ARGV[1], 'locked', ARGV[2], ARGV[3], ARGV[4], ARGV[5], seats, indexes)
redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
redis.call('HINCRBY', KEYS[5], ARGV[5], #seats)
return 'ok'
"""
)

SELL: Final = Script(
    _PRELUDE
    + """
-- ARGV: name, id, fan, identity, then seat and index for each seat. The truth has decided: a seat that another hold
-- took in the meantime changes hands.
if redis.call('EXISTS', KEYS[6]) == 0 then return 'unready' end
local hold = read(ARGV[1], KEYS[7])
if hold[STATE] == 'sold' then return 'ok' end
local counted = 0
if hold[STATE] == 'held' or hold[STATE] == 'locked' then counted = #words(hold[SEATS]) end
local seats, indexes = {}, {}
for n = 5, #ARGV, 2 do
  seats[#seats + 1], indexes[#indexes + 1] = ARGV[n], ARGV[n + 1]
  change(ARGV[n], ARGV[n + 1], '2', ARGV[1])
end
begin(ARGV[1], 'sold', '0', ARGV[2], ARGV[3], ARGV[4], seats, indexes)
redis.call('HINCRBY', KEYS[5], ARGV[4], #seats - counted)
redis.call('ZREM', KEYS[4], ARGV[1])
return 'ok'
"""
)

EXPIRE: Final = Script(
    _PRELUDE
    + """
-- ARGV: most holds at once, prefix of the ended holds' keys, when its caller asked (unix µs), so long the caller waits
-- (µs). Gives back what was due then; returns how many holds. A call that hung until nobody waits for it does nothing:
-- meanwhile holds may have been paid for of which Redis has not heard.
if now_us > ARGV[3] + ARGV[4] then return 0 end
local due = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', whole(ARGV[3]), 'LIMIT', 0, ARGV[1])
for _, name in ipairs(due) do
  local ended = ARGV[2] .. name
  local hold = read(name, ended)
  if hold[STATE] == 'held' or hold[STATE] == 'locked' then give_back(name, hold, 'expired', ended)
  else redis.call('ZREM', KEYS[4], name) end
end
return #due
"""
)

LOAD: Final = Script(
    """
-- Begins a new epoch, unless somebody else has just done so. KEYS: as above, but 7 is the server's run id; 8 and 9 are
-- the roll call that ends with it. ARGV: epoch, run id, capacity, µs that a pending order's seats are kept, prefix of
-- the ended holds' keys, the run id to be replaced, then for each seat that is not free: name and id of the hold, fan,
-- identity, seat, index, state of the hold, its expiry ('': a pending order's). The seats of a hold come together.
if (redis.call('GET', KEYS[7]) or '') ~= ARGV[6] then return 0 end
local time = redis.call('TIME')
local pending_until = string.format('%.0f', time[1] * 1000000 + time[2] + ARGV[4])
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], string.rep('0', tonumber(ARGV[3])))
redis.call('XGROUP', 'CREATE', KEYS[1], 'none', '$', 'MKSTREAM') -- a feed without entries
redis.call('XGROUP', 'DESTROY', KEYS[1], 'none')
local seats, indexes = {}, {}
for n = 7, #ARGV, 8 do
  local name, id, fan, identity, seat, index, state, expires = unpack(ARGV, n, n + 7)
  if expires == '' then expires = pending_until end
  redis.call('SETRANGE', KEYS[2], index, state == 'sold' and '3' or '1')
  redis.call('HSET', KEYS[3], seat, name)
  redis.call('HINCRBY', KEYS[5], identity, 1)
  seats[#seats + 1], indexes[#indexes + 1] = seat, index
  if ARGV[n + 8] ~= name then -- that was its last seat
    redis.call('HSET', KEYS[3], name, table.concat({state, expires, '0', id, fan, identity,
      table.concat(seats, ' '), table.concat(indexes, ' ')}, '\\n'))
    if state ~= 'sold' then redis.call('ZADD', KEYS[4], expires, name) end
    redis.call('DEL', ARGV[5] .. name)
    seats, indexes = {}, {}
  end
end
redis.call('SET', KEYS[7], ARGV[2])
redis.call('SET', KEYS[6], ARGV[1])
return 1
"""
)


def seat_keys(keys: Keys) -> tuple[str, ...]:
    """KEYS 1 to 6 of every script."""
    return (*hold_keys(keys), keys.epoch)


class LuaSeats:
    """The Lua backend, a `SeatStore`: one round trip for each verb, without retries."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._seat_keys = seat_keys(keys)
        self._hold_keys = hold_keys(keys)

    async def hold(self, hold_id: str, owner: HoldOwner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See `SeatStore`."""
        answer = await self._hold(HOLD, hold_arguments(hold_id, owner, places, limit=limit, ttl_us=ttl_us))
        if isinstance(answer, int):
            return HoldReply(OK, expires_us=answer)
        word, *rest = [part.decode() for part in answer]
        match word:
            case "taken":
                return HoldReply(TAKEN, taken=tuple(rest))
            case "limit":
                return HoldReply(LIMIT, bought=int(rest[0]))
        return HoldReply(word)

    async def release(self, hold_id: str, *, fan: str) -> str:
        """See `SeatStore`."""
        return await self._run(RELEASE, hold_id, fan)

    async def lock(self, hold_id: str, owner: HoldOwner, places: Places, *, until_us: int) -> str:
        """See `SeatStore`."""
        return await self._run(LOCK, hold_id, until_us, hold_id, owner.fan, owner.identity, *_flat(places))

    async def unlock(self, hold_id: str) -> str:
        """See `SeatStore`."""
        return await self._run(UNLOCK, hold_id)

    async def sell(self, hold_id: str, owner: HoldOwner, places: Places) -> str:
        """See `SeatStore`."""
        return await self._run(SELL, hold_id, hold_id, owner.fan, owner.identity, *_flat(places))

    async def expire(self, most: int) -> int:
        """See `SeatStore`."""
        return await self._expire(EXPIRE, most)

    async def _hold(self, script: Script, arguments: tuple[Value, ...]) -> Reply:
        return await self._redis.run(script, self._hold_keys, arguments)

    async def _expire(self, script: Script, most: int) -> int:
        prefix = self._keys.ended("")
        asked_us = await self._redis.time_us()
        patience_us = round(2 * self._redis.guard.timeout_s * 1e6)  # of both calls
        return int(await self._redis.run(script, (*self._seat_keys, prefix), (most, prefix, asked_us, patience_us)))

    async def _run(self, script: Script, hold_id: str, *arguments: Value) -> str:
        name = reference(hold_id)
        answer = await self._redis.run(script, (*self._seat_keys, self._keys.ended(name)), (name, *arguments))
        return str(answer.decode())


def _flat(places: Places) -> list[Value]:
    return [part for place in places for part in place]
