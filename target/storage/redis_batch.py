"""Sends commands of the same moment together: one write, one connection, answers in order.

A crowd that arrives in one instant then costs a few round trips, not one for each fan. Not for commands that block.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from hiredis import pack_command
from redis.exceptions import RedisError, ResponseError

from target.runtime.patience import Patience
from target.storage.lanes import Lanes

BATCH_MAX: Final = 128
LANES: Final = 4  # batches under way at once


class Batcher:
    """Sends commands over the connections of `pool`, a redis-py pool of asyncio."""

    def __init__(self, pool: Any, *, timeout_s: float) -> None:  # noqa: ANN401 - redis-py's pools are loosely typed
        self._pool = pool
        self._timeout_s = timeout_s
        self._waiting: deque[tuple[tuple[Any, ...], asyncio.Future[Any]]] = deque()
        self._lanes = Lanes(self._work, most=LANES)

    def send(self, *parts: str | bytes | float) -> asyncio.Future[Any]:
        """The answer to one command, to be awaited. It fails as redis-py does: `RedisError`, OSError, TimeoutError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((parts, answer))
        self._lanes.call()
        return answer

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            await self._exchange([(parts, answer) for parts, answer in batch if not answer.done()])

    async def _exchange(self, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:
        failure: Exception = ConnectionAbortedError("the batch was cut short")
        try:
            async with Patience(self._timeout_s):
                connection = await self._pool.get_connection()
                try:
                    await _converse(connection, batch)
                finally:  # redis-py has closed a connection whose exchange was cut short
                    await self._pool.release(connection)
        except (RedisError, OSError, TimeoutError) as error:
            failure = error
        finally:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(failure)


async def _converse(connection: Any, batch: list[tuple[tuple[Any, ...], asyncio.Future[Any]]]) -> None:  # noqa: ANN401
    packed = b"".join([pack_command(parts) for parts, _ in batch])
    await connection.send_packed_command(packed, check_health=False)
    for _, answer in batch:
        try:
            reply = await connection.read_response()
        except ResponseError as error:
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(reply)
