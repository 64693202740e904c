"""Two feed nodes under many clients that move between them, and what becomes of a client that takes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket as sockets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import msgspec
import pytest

from target.seats import Inventory, load
from target.seats.seat_log import HISTORY_MAX
from target.storage.keys import Keys
from target.storage.redis import RedisStore, Script
from tests.target.booth import EVENT, Claimed, until
from tests.target.conftest import Valkey, eventually
from tests.target.feed.test_feed_door import FEED, KEY, UPGRADE, metric
from tests.target.processes import Server, running

VENUE = load("arena", EVENT)
CLIENTS = 40

CHANGE_MANY = Script("""
local newest
for n = 1, tonumber(ARGV[1]) do newest = redis.call('XADD', KEYS[1], '0-*', ARGV[2], n % 2 .. ' 0 0') end
return tonumber(string.match(newest, '%d+$'))
""")


class Sale:
    """The seats in a Valkey, changed by the thousand."""

    def __init__(self, redis: RedisStore) -> None:
        self._redis = redis
        self._keys = Keys(EVENT)

    async def change(self, count: int) -> int:
        return int(await self._redis.run(CHANGE_MANY, (self._keys.feed,), (count, VENUE.seats[0])))


@contextlib.asynccontextmanager
async def sale_on(valkey: Valkey) -> AsyncIterator[Sale]:
    redis = RedisStore(valkey.url, timeout_s=30.0)
    try:
        await Inventory(redis, Keys(EVENT), VENUE, hold_ttl_s=60.0).load()
        yield Sale(redis)
    finally:
        await redis.close()


@pytest.fixture
def nodes(valkey: Valkey) -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(running("feed", node=f"feed-{n}", redis_url=valkey.url)) for n in (1, 2)]


class Wanderer:
    """A client that drops its socket now and then and goes on at the other node; fails on any gap or resync."""

    def __init__(self, session: aiohttp.ClientSession, nodes: list[Server], dice: random.Random) -> None:
        self.epoch, self.seq = "", -1
        self._session = session
        self._nodes = nodes
        self._dice = dice

    async def follow(self, last: Callable[[], int]) -> None:
        """Until the change `last()`; as long as that is negative nobody knows which will be the last."""
        while last() < 0 or self.seq < last():
            query = f"?epoch={self.epoch}&last_seq={self.seq}" if self.epoch else ""
            node = self._nodes[self._dice.randrange(2)]
            async with self._session.ws_connect(f"http://127.0.0.1:{node.port}{FEED}{query}") as socket:
                for _ in range(self._dice.randrange(20, 500)):
                    self._take(msgspec.json.decode((await socket.receive(timeout=30)).data))
                    if 0 <= last() <= self.seq:
                        break

    async def heard(self, seq: int) -> None:
        async def has() -> bool:
            return self.seq >= seq

        await until(has, what=f"a client to hear of change {seq}")

    def _take(self, message: dict[str, Any]) -> None:
        assert message["type"] == "seat" if self.epoch else "snapshot"
        assert message["seq"] == self.seq + 1 or not self.epoch
        self.epoch, self.seq = message["epoch"], message["seq"]


def test_clients_that_move_between_the_nodes_miss_nothing(valkey: Valkey, nodes: list[Server]) -> None:
    async def main() -> None:
        dice, changed, final = random.Random(7), 0, -1
        async with sale_on(valkey) as sale, aiohttp.ClientSession() as session:
            clients = [Wanderer(session, nodes, random.Random(n)) for n in range(CLIENTS)]
            following = [asyncio.create_task(client.follow(lambda: final)) for client in clients]
            for number in range(30):
                await clients[number % CLIENTS].heard(changed)
                changed = await sale.change(dice.randrange(1, 100))
            final = changed + 1  # nobody has had it when it becomes the last
            await sale.change(1)
            await asyncio.gather(*following)

    asyncio.run(main())
    assert sum(metric(node, 'target_feed_openings_total{kind="delta"}') for node in nodes) > 0
    assert sum(metric(node, 'target_feed_openings_total{kind="resync"}') for node in nodes) == 0
    assert all(metric(node, "target_feed_delay_seconds_count") > 0 for node in nodes)


def test_each_event_has_a_feed_of_its_own(valkey: Valkey) -> None:
    async def first_of(session: aiohttp.ClientSession, port: int, event: str) -> dict[str, Any]:
        async with session.ws_connect(f"http://127.0.0.1:{port}/feed/{event}") as socket:
            return dict(msgspec.json.decode((await socket.receive(timeout=30)).data))

    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        inventories = {event: Inventory(redis, Keys(event), load("arena", event), hold_ttl_s=60.0) for event in "ab"}
        for inventory in inventories.values():
            await inventory.load()
        await inventories["a"].hold(Claimed("h", "f", "f", (VENUE.seats[0],)), limit=0)
        await redis.close()
        with running("feed", redis_url=valkey.url, event="a,b") as node:
            async with aiohttp.ClientSession() as session:
                seen = {event: await first_of(session, node.port, event) for event in "ab"}
        assert {event: snapshot["seats"] for event, snapshot in seen.items()} == {"a": {VENUE.seats[0]: 1}, "b": {}}
        assert seen["a"]["epoch"] != seen["b"]["epoch"]

    asyncio.run(main())


def test_a_client_that_takes_nothing_is_dropped_and_the_others_miss_nothing(
    valkey: Valkey, nodes: list[Server]
) -> None:
    node = nodes[0]

    async def main() -> None:
        async with (
            sale_on(valkey) as sale,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{node.port}{FEED}") as healthy,
        ):
            last: int = msgspec.json.decode((await healthy.receive(timeout=30)).data)["seq"]
            for _ in range(HISTORY_MAX // 1000 + 12):
                heard, last = last, await sale.change(1000)
                for seq in range(heard + 1, last + 1):  # before the next change: who reads late falls behind too
                    assert msgspec.json.decode((await healthy.receive(timeout=30)).data)["seq"] == seq

    with silent_client(node.port) as client:
        asyncio.run(main())
        eventually(lambda: metric(node, "target_feed_dropped_total") == 1, why="the silent client to be dropped")
        eventually(lambda: metric(node, "target_websocket_connections") == 0, why="its socket to be closed")
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(65_536):
                pass
    assert metric(node, "target_feed_behind") == 0


@contextlib.contextmanager
def silent_client(port: int) -> Iterator[sockets.socket]:
    """A client that follows the feed and reads none of it, with as little room in the kernel as it may have."""
    with sockets.socket() as client:
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        head = "".join(f"{name}: {value}\r\n" for name, value in (UPGRADE | KEY | {"host": "feed"}).items())
        client.sendall(f"GET {FEED} HTTP/1.1\r\n{head}\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 101"
        yield client
