"""A Redis that answers and refuses to write, since its memory is full or its replicas are gone: it counts as away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from target.http.tickets import Ticket
from target.queue import StreamHub
from target.queue.admission import RETURN_GRACE_S
from target.roles.composition import HOLD_BACKENDS
from target.runtime.breakers import UnavailableError
from target.seats import Inventory, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.admission_line import Line, every_mode, run
from tests.target.booth import Claimed, until
from tests.target.conftest import Valkey

KEYS = Keys("e1")
REFUSING = {"full": ("maxmemory", "1", "0"), "alone": ("min-replicas-to-write", "1", "0")}
A = Ticket("e1", "a", "a", 1, 4e9)


@pytest.fixture(params=sorted(REFUSING))
def refusal(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """A setting, its value to refuse with, and the usual one."""
    return REFUSING[request.param]


async def refused(attempt: Awaitable[object]) -> None:
    with pytest.raises(UnavailableError) as caught:
        await attempt
    assert caught.value.dependency == "redis"


@pytest.mark.parametrize("backend", sorted(HOLD_BACKENDS))
def test_whatever_writes_says_that_redis_is_unavailable(
    mortal_valkey: Valkey, refusal: tuple[str, str, str], backend: str
) -> None:
    async def main() -> None:
        setting, refuse, relent = refusal
        redis = RedisStore(mortal_valkey.url, timeout_s=30.0)
        inventory = Inventory(
            redis, KEYS, load("arena", "e1"), hold_ttl_s=60, store=HOLD_BACKENDS[backend](redis, KEYS)
        )
        await inventory.load()
        await redis.client.config_set(setting, refuse)
        await refused(redis.command("SET", "some", "thing"))
        await refused(inventory.hold(Claimed("h", "f", "f", ("101-A-1",)), limit=4))
        await redis.client.config_set(setting, relent)
        await until(lambda: _held(inventory), what="a hold")
        await redis.close()

    asyncio.run(main())


@every_mode
def test_admission_and_streams_go_on_when_it_writes_again(
    mortal_valkey: Valkey, refusal: tuple[str, str, str], mode: str
) -> None:
    async def test(line: Line) -> None:
        setting, refuse, relent = refusal
        door, hub = line.worker(), StreamHub(line.room, rate_per_s=10.0)
        job = asyncio.create_task(hub.run())
        await line.redis.client.config_set(setting, refuse)
        stream = hub.open(A)
        assert b"event: paused" in await stream.next()
        for _ in range(5):
            await door.step()
        await line.redis.client.config_set(setting, relent)

        async def admitted() -> bool:
            line.clock.now_s += RETURN_GRACE_S
            await door.step()
            return stream.news == "admitted"

        await until(admitted, what="the turn")
        assert not job.done()
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)

    run(mortal_valkey, mode, test)


async def _held(inventory: Inventory) -> bool:
    try:
        await inventory.hold(Claimed("h", "f", "f", ("101-A-1",)), limit=4)
    except UnavailableError:
        return False
    return True
