"""The script that holds seats. It runs as often as all others together, so it is written for few instructions.

Every command costs about a tenth of the whole, an argument a hundredth, and what the others begin with is left out.
Of two things it therefore learns on the way: a seat is free if its bit of the map was not set before, and the event is
loaded if there is a feed to be written to. A refusal undoes what was done until then.
The feed is not trimmed here: a seat that was held is not held again before another script has changed it, and trimmed.
"""

from __future__ import annotations

from typing import Final

from target.hold_record import reference, tail
from target.keys import Keys, seat_bit
from target.redis_store import Script
from target.seat_store import Owner, Places

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


def hold_arguments(hold_id: str, owner: Owner, places: Places, *, limit: int, ttl_us: int) -> tuple[str | int, ...]:
    """ARGV of `HOLD`."""
    bits = [part for seat, index in places for part in (seat, seat_bit(index))]
    return (reference(hold_id), tail(hold_id, owner, places), owner.identity, limit, ttl_us, *bits)
