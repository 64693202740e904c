"""The scripts of the waiting room. The order of the queue is the join time, unique, by Redis's own clock.

`fans` remembers who has joined and as whom; `admitted` remembers who was let in. A position is a rank: it can grow only
when somebody with an older ticket is put in before others, and that begins a new queue epoch.
"""

from __future__ import annotations

from typing import Final

from target.redis_store import Script

_PRELUDE: Final = """
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function whole(number) return string.format('%.0f', number) end

local function name_epoch(epoch, part) return epoch .. '.' .. (part or '0') end
"""

JOIN: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, queue epoch, queue, fans, join clock, admitted. ARGV: fan, identity, join time of a ticket in µs or ''.
-- Returns {state new|known|admitted|unready, position, join time, identity, epoch}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return {'unready'} end
local fan, identity, joined = ARGV[1], ARGV[2], ARGV[3]
local known = redis.call('HGET', KEYS[4], fan)
if known then
  local was_joined, was_identity = string.match(known, '^(%d+) (.*)$')
  identity = was_identity
  local queue_epoch = name_epoch(epoch, redis.call('GET', KEYS[2]))
  local rank = redis.call('ZRANK', KEYS[3], fan)
  if rank then return {'known', rank + 1, was_joined, identity, queue_epoch} end
  local admission = redis.call('HGET', KEYS[6], fan)
  if admission then
    local _, expires, entered = string.match(admission, '^(%d+) (%d+) (%d+)$')
    if entered ~= '0' or tonumber(expires) > now_us then return {'admitted', 0, was_joined, identity, queue_epoch} end
    redis.call('HDEL', KEYS[6], fan)
    joined = ''
  end
end
local clock = tonumber(redis.call('GET', KEYS[5]) or '0')
if joined == '' then joined = whole(math.max(now_us, clock + 1)) end
if tonumber(joined) > clock then redis.call('SET', KEYS[5], joined) end
redis.call('ZADD', KEYS[3], joined, fan)
redis.call('HSET', KEYS[4], fan, joined .. ' ' .. identity)
local rank = redis.call('ZRANK', KEYS[3], fan)
if rank + 1 < redis.call('ZCARD', KEYS[3]) then redis.call('INCR', KEYS[2]) end
return {'new', rank + 1, joined, identity, name_epoch(epoch, redis.call('GET', KEYS[2]))}
"""
)

POSITIONS: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, queue epoch, queue, admitted. ARGV: fans. Returns {epoch, position of each: 0 admitted, -1 not here}.
local epoch = redis.call('GET', KEYS[1])
if not epoch then return {''} end
local answer = {name_epoch(epoch, redis.call('GET', KEYS[2]))}
for n, fan in ipairs(ARGV) do
  local rank = redis.call('ZRANK', KEYS[3], fan)
  if rank then answer[n + 1] = rank + 1
  elseif redis.call('HEXISTS', KEYS[4], fan) == 1 then answer[n + 1] = 0
  else answer[n + 1] = -1 end
end
return answer
"""
)

ADMIT: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, queue, admitted, admission no, bucket. ARGV: rate per s, burst, µs that an admission is valid.
-- A token bucket in Redis: several workers, or a restarted one, together stay within rate and burst. Without a bucket
-- (the first time, or after a loss of data) it starts empty. Returns {admitted, waiting} or {-1}.
if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[5], 'tokens', 'at_us')
local tokens, at_us = tonumber(bucket[1] or '0'), tonumber(bucket[2] or now_us)
tokens = math.min(burst, tokens + math.max(0, now_us - at_us) * rate / 1000000)
local admitted = 0
if tokens >= 1 then
  local popped = redis.call('ZPOPMIN', KEYS[2], math.floor(tokens))
  local expires = whole(now_us + tonumber(ARGV[3]))
  for n = 1, #popped, 2 do
    local number = redis.call('INCR', KEYS[4])
    redis.call('HSET', KEYS[3], popped[n], whole(number) .. ' ' .. expires .. ' 0')
    admitted = admitted + 1
  end
end
redis.call('HSET', KEYS[5], 'tokens', string.format('%.6f', tokens - admitted), 'at_us', whole(now_us))
return {admitted, redis.call('ZCARD', KEYS[2])}
"""
)

ENTER: Final = Script(
    _PRELUDE
    + """
-- KEYS: epoch, admitted. ARGV: fan, µs within which a repeat gets the same answer.
-- Returns {ok|waiting|used|expired|unready, admission no, entered µs}.
if redis.call('EXISTS', KEYS[1]) == 0 then return {'unready'} end
local admission = redis.call('HGET', KEYS[2], ARGV[1])
if not admission then return {'waiting'} end
local number, expires, entered = string.match(admission, '^(%d+) (%d+) (%d+)$')
if entered == '0' then
  if tonumber(expires) <= now_us then return {'expired'} end
  entered = whole(now_us)
  redis.call('HSET', KEYS[2], ARGV[1], number .. ' ' .. expires .. ' ' .. entered)
elseif tonumber(entered) + tonumber(ARGV[2]) < now_us then return {'used'} end
return {'ok', number, entered}
"""
)
