"""The school of WATCH/MULTI/EXEC, for a Redis that runs no scripts: read, decide here, write if nothing has changed.

A process that dies between any two lines leaves nothing behind: its connection ends, and with it what was not EXECuted.
An EXEC whose answer never came may have been done; such a hold is whole, and expires like any other.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from target.breakers import UnavailableError
from target.keys import Keys
from target.observability import HOLD_TRANSACTIONS
from target.redis_store import RedisStore
from target.seat_store import HoldReply, Owner, Places
from target.seat_transactions import Command, Plan, SeatTransactions, Transaction

T = TypeVar("T")

TRIES_MAX: Final = 24
BACKOFF_S: Final = 0.0005  # the first pause is up to this long, each further one up to twice as long
BACKOFF_MAX_S: Final = 0.02


class ContendedError(UnavailableError):
    """Others changed the seats each time that this was tried, or kept this process from trying; nothing was done."""

    def __init__(self) -> None:
        super().__init__("redis", "too many changes at once", maybe_done=False)


class WatchSeats:
    """A `SeatStore`. A process's own transactions take turns: against each other they could only abort."""

    def __init__(self, redis: RedisStore, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._verbs = SeatTransactions(keys)
        self._turn = asyncio.Lock()

    async def hold(self, hold_id: str, owner: Owner, places: Places, *, limit: int, ttl_us: int) -> HoldReply:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.hold(hold_id, owner, places, limit=limit, ttl_us=ttl_us))

    async def release(self, hold_id: str, *, fan: str) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.release(hold_id, fan=fan))

    async def lock(self, hold_id: str, owner: Owner, places: Places, *, until_us: int) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.lock(hold_id, owner, places, until_us=until_us))

    async def unlock(self, hold_id: str) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.unlock(hold_id))

    async def sell(self, hold_id: str, owner: Owner, places: Places) -> str:
        """See `SeatStore`."""
        return await self._transact(lambda: self._verbs.sell(hold_id, owner, places))

    async def expire(self, most: int) -> int:
        """See `SeatStore`. One transaction for each hold, so that a busy event cannot starve the others' end."""
        seconds, micros = await self._redis.command("TIME")
        now_us = int(seconds) * 10**6 + int(micros)
        due = await self._redis.command("ZRANGEBYSCORE", self._keys.holds, "-inf", now_us, "LIMIT", 0, most)
        for name in due:
            await self._transact(partial(self._verbs.expire, name.decode()))
        return len(due)

    async def _transact(self, begin: Callable[[], Transaction[T]]) -> T:
        for number in range(TRIES_MAX):
            plan = await self._in_turn(begin)
            if plan is not None:
                HOLD_TRANSACTIONS.labels("done").inc()
                return plan.answer
            HOLD_TRANSACTIONS.labels("aborted").inc()
            await asyncio.sleep(random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2**number)))
        HOLD_TRANSACTIONS.labels("given_up").inc()
        raise ContendedError

    async def _in_turn(self, begin: Callable[[], Transaction[T]]) -> Plan[T] | None:
        """One try. Waiting for the turn is no failure of Redis, so the guard does not see it."""
        try:
            await asyncio.wait_for(self._turn.acquire(), self._redis.guard.timeout_s)
        except TimeoutError:
            raise ContendedError from None
        try:
            return await self._redis.converse(lambda: self._try(begin()), operation="WATCH")
        finally:
            self._turn.release()

    async def _try(self, transaction: Transaction[T]) -> Plan[T] | None:
        """One try on a connection of its own. None: a watched key changed."""
        pool = self._redis.client.connection_pool
        connection = await pool.get_connection()
        try:
            return await _converse(connection, transaction)
        except BaseException:  # whatever it was, answers or a WATCH may be left on the connection
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


async def _converse(connection: Any, transaction: Transaction[T]) -> Plan[T] | None:  # noqa: ANN401 - redis-py's
    """Carries the transaction out. None: a watched key changed, and nothing was written."""
    plan = await _read(connection, transaction)
    if not plan.writes:
        await _exchange(connection, [("UNWATCH",)])
        return plan
    *_, done = await _exchange(connection, [("MULTI",), *plan.writes, ("EXEC",)])
    if done is None:
        return None
    for reply in done:
        if isinstance(reply, Exception):
            raise reply
    return plan


async def _read(connection: Any, transaction: Transaction[T]) -> Plan[T]:  # noqa: ANN401
    commands = next(transaction)
    while True:
        replies = await _exchange(connection, commands)
        try:
            commands = transaction.send(replies)
        except StopIteration as end:
            plan: Plan[T] = end.value
            return plan


async def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:  # noqa: ANN401
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [await connection.read_response() for _ in commands]
