"""The scripts of the waiting room. The score orders the queue: it is the join time or, before the opening of an event
that draws lots, the drawn number, which is lower than every join time from the opening on. All times are Redis's own.
`fans` keeps which fans have joined, when and as whom; `admitted` keeps which were admitted; `seen` keeps when each
waiting fan was last heard of. A position is a rank: it can grow only when a fan is put in before others, which begins a
new queue epoch. A silent fan loses the place only when it is this fan's turn, and gets it back by coming back.
"""

from __future__ import annotations

from typing import Final

from target.storage.redis import Script

GAP_US: Final = 1_000_000
"""The admission loop asks ten times a second. A longer gap means that the worker or Redis was away."""
WALK_MAX: Final = 1_000
"""At most so many places are looked at in one admission: a line of the absent must not block Redis."""

_PRELUDE: Final = """
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function whole(number) return string.format('%.0f', number) end

local function name_epoch(epoch, part) return epoch .. '.' .. (part or '0') end
"""

JOIN: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, queue epoch, queue, fans, join clock, admitted, seen, awaited, turnout, draw, codes, identities.
-- ARGV: fan, identity, device ('-': none), join time of a ticket in µs or '', opening in µs, drawn score or '', name
-- in the draw, digest of the access code or '', how many places an identity gets (0: any number).
-- A code is that of the fan whom it let in first, and so is an identity where it gets one place.
-- A place is its device's. But an earlier ticket from another device is the true one: Redis had forgotten it when the
-- fan's name was used again. So is an earlier ticket from the same device: the join that nobody could wait for any more
-- was carried out after the ticket was given. Only a place that was given up ('*': let in, and did not come) never
-- comes back.
-- Returns {state new|known|admitted|unready|foreign|spent|second, position, join time, identity, epoch, 1 while fans
-- gather}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return {'unready'} end
local fan, identity, device, joined, opens_us, drawn = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local gathering = now_us < opens_us and 1 or 0
local state = 'new'
local known = redis.call('HGET', KEYS[4], fan)
local was_joined, given_up, was_device, was_identity = string.match(known or '', '^(%d+)(%*?) (%S+) (.*)$')
given_up = given_up or ''
local code, places = ARGV[8], ARGV[9]
local coded = code ~= '' and redis.call('HGET', KEYS[11], code)
if coded and coded ~= fan then return {'spent'} end
local placed = places == '1' and redis.call('HGET', KEYS[12], was_identity or identity)
if placed and placed ~= fan then return {'second'} end
if known and was_device ~= device and (joined == '' or tonumber(joined) >= tonumber(was_joined)) then
  return {'foreign'}
end
if code ~= '' then redis.call('HSET', KEYS[11], code, fan) end
if places == '1' then redis.call('HSET', KEYS[12], was_identity or identity, fan) end
if known and was_device ~= device then
  redis.call('ZREM', KEYS[3], fan)
  redis.call('HDEL', KEYS[6], fan)
  redis.call('ZREM', KEYS[8], fan)
  given_up = ''
elseif known then
  identity = was_identity
  local earlier = joined ~= '' and given_up == '' and tonumber(joined) < tonumber(was_joined)
  local queue_epoch = name_epoch(epoch, redis.call('GET', KEYS[2]))
  local rank = redis.call('ZRANK', KEYS[3], fan)
  if rank and not earlier then
    redis.call('ZADD', KEYS[7], whole(now_us), fan)
    return {'known', rank + 1, was_joined, identity, queue_epoch, gathering}
  end
  local admission = redis.call('HGET', KEYS[6], fan)
  if admission then
    local _, expires, entered = string.match(admission, '^(%d+) (%d+) (%d+) ')
    if entered ~= '0' or tonumber(expires) > now_us then
      return {'admitted', 0, was_joined, identity, queue_epoch, gathering}
    end
    redis.call('HDEL', KEYS[6], fan)
    if redis.call('ZREM', KEYS[8], fan) == 1 then redis.call('HINCRBY', KEYS[9], 'no_shows', 1) end
    joined, given_up = '', '*'
  else
    if not earlier then joined = was_joined end
    state = 'known'
  end
end
local clock = tonumber(redis.call('GET', KEYS[5]) or '0')
if joined == '' then joined = whole(math.max(now_us, clock + 1)) end
if tonumber(joined) > clock then redis.call('SET', KEYS[5], joined) end
local score = joined
if drawn ~= '' and tonumber(joined) < opens_us then
  score = drawn
  redis.call('ZADD', KEYS[10], drawn, ARGV[7])
end
redis.call('ZADD', KEYS[3], score, fan)
redis.call('ZADD', KEYS[7], whole(now_us), fan)
redis.call('HSET', KEYS[4], fan, joined .. given_up .. ' ' .. device .. ' ' .. identity)
local rank = redis.call('ZRANK', KEYS[3], fan)
local untold = gathering == 1 and drawn ~= ''
if rank + 1 < redis.call('ZCARD', KEYS[3]) and not untold then redis.call('INCR', KEYS[2]) end
return {state, rank + 1, joined, identity, name_epoch(epoch, redis.call('GET', KEYS[2])), gathering}
"""
)

POSITIONS: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, queue epoch, queue, admitted, seen, sold out. ARGV: opening in µs, then fans, who are heard of by this.
-- Returns {epoch, 1 while fans gather, 1 while nothing is left, position of each: 0 admitted, -1 not here}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return {''} end
local answer = {name_epoch(epoch, redis.call('GET', KEYS[2])), now_us < tonumber(ARGV[1]) and 1 or 0,
  redis.call('EXISTS', KEYS[6])}
local now = whole(now_us)
for n = 2, #ARGV do
  local rank = redis.call('ZRANK', KEYS[3], ARGV[n])
  if rank then
    answer[n + 2] = rank + 1
    redis.call('ZADD', KEYS[5], now, ARGV[n])
  elseif redis.call('HEXISTS', KEYS[4], ARGV[n]) == 1 then answer[n + 2] = 0
  else answer[n + 2] = -1 end
end
return answer
"""
)

ADMIT: Final = Script(
    _PRELUDE
    + f"local GAP_US, WALK_MAX = {GAP_US}, {WALK_MAX}\n"
    + """
-- KEYS: epoch, queue, admitted, admission no, bucket, seen, awaited, turnout, sold out.
-- ARGV: rate per s, burst, µs that an admission is valid, opening in µs, µs within which whoever waits is heard of,
-- µs that a place is kept after that.
-- A token bucket in Redis: several workers, or a restarted one, together stay within rate and burst. Without a bucket
-- (the first time, after a loss of data, at the opening) it starts empty.
-- Nobody counts as silent for a time in which nobody could be heard: before a gap between two admissions, or while not
-- one of those who wait was heard of. `deaf_us` is the end of the last such time.
-- While nothing is left to buy nobody is let in, and the bucket starts empty afterwards.
-- An admission remembers its epoch: a Redis that comes back with old data or none gives numbers again, in another one.
-- Returns {admitted, waiting, skipped, no-shows} or {-1}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return {-1} end
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[5], 'tokens', 'at_us', 'deaf_us')
local tokens, at_us, deaf_us = tonumber(bucket[1] or '0'), tonumber(bucket[2] or '0'), tonumber(bucket[3] or '0')
if at_us == 0 then at_us, deaf_us = now_us, now_us end
if now_us - at_us > GAP_US then deaf_us = now_us end
local newest = redis.call('ZREVRANGE', KEYS[6], 0, 0, 'WITHSCORES')[2]
if not newest or now_us - tonumber(newest) > tonumber(ARGV[5]) then deaf_us = now_us end
local silent_before = now_us - tonumber(ARGV[5]) - tonumber(ARGV[6])

tokens = math.min(burst, tokens + math.max(0, now_us - at_us) * rate / 1000000)
if now_us < tonumber(ARGV[4]) or redis.call('EXISTS', KEYS[9]) == 1 then tokens = 0 end
local admitted, skipped = 0, 0
local expires = whole(now_us + tonumber(ARGV[3]))
while tokens - admitted >= 1 and admitted + skipped < WALK_MAX do
  local front = redis.call('ZRANGE', KEYS[2], 0, math.min(math.floor(tokens - admitted), WALK_MAX) - 1)
  if #front == 0 then break end
  for _, fan in ipairs(front) do
    local seen = math.max(deaf_us, tonumber(redis.call('ZSCORE', KEYS[6], fan) or '0'))
    redis.call('ZREM', KEYS[2], fan)
    redis.call('ZREM', KEYS[6], fan)
    if seen < silent_before then skipped = skipped + 1
    else
      local number = redis.call('INCR', KEYS[4])
      redis.call('HSET', KEYS[3], fan, whole(number) .. ' ' .. expires .. ' 0 ' .. epoch)
      redis.call('ZADD', KEYS[7], expires, fan)
      admitted = admitted + 1
    end
  end
end
local missed = redis.call('ZRANGEBYSCORE', KEYS[7], '-inf', whole(now_us), 'LIMIT', 0, WALK_MAX)
if #missed > 0 then
  redis.call('ZREM', KEYS[7], unpack(missed))
  redis.call('HINCRBY', KEYS[8], 'no_shows', #missed)
end
redis.call('HSET', KEYS[5], 'tokens', string.format('%.6f', tokens - admitted), 'at_us', whole(now_us),
  'deaf_us', whole(deaf_us))
return {admitted, redis.call('ZCARD', KEYS[2]), skipped, #missed}
"""
)

ENTER: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, admitted, awaited, turnout, fans. ARGV: fan, device ('-': none), µs within which a repeat gets the same
-- answer.
-- Returns {ok|waiting|used|expired|foreign|unready, admission no, entered µs, epoch of the admission}.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unready'} end
local admission = redis.call('HGET', KEYS[2], ARGV[1])
if not admission then return {'waiting'} end
if string.match(redis.call('HGET', KEYS[5], ARGV[1]) or '', '^%d+%*? (%S+) ') ~= ARGV[2] then return {'foreign'} end
local number, expires, entered, epoch = string.match(admission, '^(%d+) (%d+) (%d+) (%S+)$')
if entered == '0' then
  if tonumber(expires) <= now_us then return {'expired'} end
  entered = whole(now_us)
  redis.call('HSET', KEYS[2], ARGV[1], number .. ' ' .. expires .. ' ' .. entered .. ' ' .. epoch)
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('HINCRBY', KEYS[4], 'entered', 1)
elseif tonumber(entered) + tonumber(ARGV[3]) < now_us then return {'used'} end
return {'ok', number, entered, epoch}
"""
)

TURNOUT: Final = Script(
    _PRELUDE
    + """
-- KEYS: awaited, turnout. ARGV: µs that an admission is valid, µs after which a call counts as missed for now.
-- Returns {entered, no-shows so far, called that long ago and not yet in}.
local late = redis.call('ZCOUNT', KEYS[1], '-inf', whole(now_us + tonumber(ARGV[1]) - tonumber(ARGV[2])))
local counted = redis.call('HMGET', KEYS[2], 'entered', 'no_shows')
return {tonumber(counted[1] or '0'), tonumber(counted[2] or '0'), late}
"""
)
