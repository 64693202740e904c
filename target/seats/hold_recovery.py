"""Hold recovery: after Redis has lost its data, every booking process reports the holds that it granted.

The worker starts a recovery. Each booking process registers itself a few times a second, and sends its holds when a
recovery is under way. The event stays closed until every registered process has answered, or the time is over.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final

import msgspec

from target.seats.inventory import Inventory
from target.seats.promises import HoldPromise, Memory, standing
from target.storage.keys import Keys
from target.storage.redis import RedisStore, Script

ATTEND_EVERY_S: Final = 0.2
GONE_AFTER_S: Final = 3.0  # a process that has not registered for so long is not waited for
PATIENCE_S: Final = 5.0
FORGET_EVERY: Final = 50  # rounds
_LOOK_EVERY_S: Final = 0.02

_log = logging.getLogger(__name__)

# KEYS: nodes, hold recovery. ARGV: node, µs until it counts as gone. Returns the recovery under way, if any.
ATTEND: Final = Script("""
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
redis.call('ZADD', KEYS[1], string.format('%.0f', now_us), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now_us - ARGV[2]))
return redis.call('GET', KEYS[2])
""")

# KEYS: hold recovery, answers. ARGV: recovery, node, its holds. Returns 1, or 0 when that recovery is over.
ANSWER: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
""")

# KEYS: hold recovery, answers, server, then those without which nothing can be held. ARGV: a new name, the run id
# that the event was begun on. Returns whether there is anything to ask: somebody may have loaded the event by now.
CALL: Final = Script("""
if (redis.call('GET', KEYS[3]) or '') ~= ARGV[2] then return 0 end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('DEL', unpack(KEYS, 4))
  redis.call('DEL', KEYS[2])
end
return 1
""")


class Attendance:
    """The part in a booking process, which grants holds."""

    def __init__(self, redis: RedisStore, keys: Keys, inventory: Inventory) -> None:
        self.node = secrets.token_hex(6)
        self._redis = redis
        self._keys = keys
        self._inventory = inventory
        self._answered = ""
        self._rounds = 0
        self._began = False

    async def attend(self) -> None:
        """Registers this process, and answers a recovery that it has not answered yet. Raises `UnavailableError`.

        The first time it also takes over the holds in Redis, so that it can answer for processes that it replaced.
        """
        if not self._began:
            await self._inventory.remember_promises()
            self._began = True
        self._rounds += 1
        if self._rounds % FORGET_EVERY == 0:
            self._inventory.promises.forget()
        keys = self._keys
        called = await self._redis.run(ATTEND, (keys.nodes, keys.hold_recovery), (self.node, round(GONE_AFTER_S * 1e6)))
        if not called or called.decode() == self._answered:
            return
        memory = self._inventory.promises.memory()
        answer = (called, self.node, msgspec.json.encode(memory))
        if await self._redis.run(ANSWER, (keys.hold_recovery, keys.answers), answer):
            self._answered = called.decode()
            _log.info("Redis has lost its data: told it of %d holds granted here", len(memory.granted))


class HoldRecovery:
    """The part in the worker, which loads the event."""

    def __init__(self, redis: RedisStore, keys: Keys, *, patience_s: float = PATIENCE_S) -> None:
        self._redis = redis
        self._keys = keys
        self._patience_s = patience_s
        self._present: frozenset[str] | None = None  # not known yet

    async def look(self) -> None:
        """Remembers which processes are registered, for the time when Redis does not. Raises `UnavailableError`."""
        self._present = await self._nodes()

    async def call(self, began_on: str) -> list[HoldPromise]:
        """Closes the event and returns all valid promises, when all processes have answered or the time is over.

        `began_on`: see `Inventory.began_on`. Without a `look` before it, waits until every process has had time to
        register. The recovery lasts until the event is loaded. Raises `UnavailableError`.
        """
        keys = self._keys
        closed = (keys.feed, keys.map, keys.epoch)
        names = (keys.hold_recovery, keys.answers, keys.server, *closed)
        if not await self._redis.run(CALL, names, (secrets.token_hex(6), began_on)):
            return []
        await self._wait()
        answers = await self._redis.command("HVALS", keys.answers)
        return standing(msgspec.json.decode(answer, type=Memory) for answer in answers)

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        present, shown_by_s = self._present, began_s
        if present is None:
            present, shown_by_s = frozenset(), began_s + 3 * ATTEND_EVERY_S
        while True:
            missing = (present | await self._nodes()) - await self._answered()
            now_s = loop.time()
            if not missing and now_s >= shown_by_s:
                return
            if now_s - began_s > self._patience_s:
                _log.warning("%d processes did not say what they had promised; going on without", len(missing))
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _nodes(self) -> frozenset[str]:
        return frozenset(node.decode() for node in await self._redis.command("ZRANGE", self._keys.nodes, 0, -1))

    async def _answered(self) -> frozenset[str]:
        return frozenset(node.decode() for node in await self._redis.command("HKEYS", self._keys.answers))
