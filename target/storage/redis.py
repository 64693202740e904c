"""Redis behind its breaker: short time-outs, a bounded pool, no retries of its own, Lua scripts by their hash."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from target.runtime.breakers import GuardedCalls, UnavailableError
from target.storage.redis_batch import Batcher

T = TypeVar("T")
Value: TypeAlias = str | bytes | int | float
Reply: TypeAlias = Any  # only the caller knows the type of the answer

CONNECTIONS_MAX: Final = 32
WARM_CONNECTIONS: Final = 16
OUTAGE_ERRORS: Final[tuple[type[BaseException], ...]] = (
    OSError,
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
)
_UNWILLING: Final = ("MISCONF", "NOREPLICAS", "BUSY", "CLUSTERDOWN", "MASTERDOWN")
"""How answers begin that say nothing of what was asked: Redis cannot save, or has lost others of its cluster."""


class NotReadyError(UnavailableError):
    """Redis answers, but the event is not loaded in it: it is new, or has lost its data and is being rebuilt."""

    def __init__(self) -> None:
        super().__init__("redis", "the event is not loaded yet", maybe_done=False)


class UnwillingError(RedisConnectionError):
    """Redis answers, but cannot work at the moment."""


class Script:
    """A Lua script and the hash that Redis knows it by."""

    __slots__ = ("sha", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """One Redis behind its pool and its guard. Raises `UnavailableError` when it cannot be used in time."""

    def __init__(self, url: str, *, timeout_s: float, connections_max: int = CONNECTIONS_MAX) -> None:
        self.guard = GuardedCalls("redis", failures=OUTAGE_ERRORS, timeout_s=timeout_s)
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections_max,
            timeout=timeout_s,
            socket_timeout=None,  # the guard's time-out bounds every call as a whole
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self.client: Any = Redis(connection_pool=pool)
        self._batcher = Batcher(pool, timeout_s=timeout_s)

    async def open(self) -> None:
        """Opens some connections; a server that is away now is connected at the first use."""
        with contextlib.suppress(UnavailableError):
            await asyncio.gather(*(self.command("PING") for _ in range(WARM_CONNECTIONS)))

    async def close(self) -> None:
        """Closes every connection."""
        await self.client.aclose()
        await self.client.connection_pool.disconnect()

    async def ping(self) -> object:
        """A PING; not guarded, for the breaker's probe."""
        return await _willing(self.client.execute_command("PING"))

    async def command(self, *parts: Value) -> Reply:
        """One command, one round trip."""
        return await self.guard.call(lambda: _willing(self.client.execute_command(*parts)), operation=str(parts[0]))

    async def time_us(self) -> int:
        """What Redis's clock says (unix µs)."""
        seconds, micros = await self.command("TIME")
        return int(seconds) * 1_000_000 + int(micros)

    async def run(self, script: Script, keys: Iterable[str], arguments: Iterable[Value] = ()) -> Reply:
        """Runs `script` atomically: one round trip, two when Redis does not know the script yet. It must not block."""
        keys = tuple(keys)
        rest = (len(keys), *keys, *arguments)
        return await self.guard.call(lambda: _willing(self._evaluate(script, rest)), operation="EVALSHA")

    async def converse(self, make: Callable[[], Awaitable[T]], *, operation: str) -> T:
        """Runs an exchange of several commands over `client`."""
        return await self.guard.call(lambda: _willing(make()), operation=operation)

    async def _evaluate(self, script: Script, rest: tuple[Value, ...]) -> Reply:
        try:
            return await self._batcher.send("EVALSHA", script.sha, *rest)
        except NoScriptError:
            return await self._batcher.send("EVAL", script.source, *rest)


async def _willing(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except ResponseError as error:
        if str(error).startswith(_UNWILLING):
            raise UnwillingError(str(error)) from error
        raise
