"""Who may open a feed socket, and how the others are told when to come back; over the wire."""

from __future__ import annotations

import asyncio
import math
import socket as sockets
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import aiohttp
import msgspec
import pytest

from target.feed.admission import HINT_MIN_S
from tests.target.conftest import Valkey, eventually
from tests.target.processes import EVENT, Server, running

FEED = f"/feed/{EVENT}"
UPGRADE = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
OPENS_PER_S = 2
KEY = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


def visit(port: int, scene: Callable[[aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            await scene(session, f"http://127.0.0.1:{port}")

    asyncio.run(main())


async def refusal(session: aiohttp.ClientSession, url: str) -> tuple[int, str, dict[str, Any]]:
    """Status, Retry-After and the problem document of a handshake that fails."""
    async with session.get(url, headers=UPGRADE | KEY) as answer:
        assert answer.content_type == "application/problem+json"
        return answer.status, answer.headers.get("retry-after", ""), msgspec.json.decode(await answer.read())


def metric(server: Server, line: str) -> float:
    page = server.ask("GET", "/metrics").body.decode()
    return sum(float(row.rpartition(" ")[2]) for row in page.splitlines() if row.startswith(line))


def test_a_herd_is_let_in_at_the_rate_and_everybody_else_is_given_a_moment(valkey: Valkey) -> None:
    async def scene(session: aiohttp.ClientSession, url: str) -> None:
        began_s = time.monotonic()
        inside = [await session.ws_connect(url + FEED) for _ in range(2)]
        let_in, moments_s = len(inside), list[tuple[float, float]]()
        while len(moments_s) < 3:
            asked_s = time.monotonic()
            async with session.get(url + FEED, headers=UPGRADE | KEY) as answer:
                if answer.status == 101:  # on a busy machine the next one's time may have come
                    let_in += 1
                    continue
                hint_s = float(msgspec.json.decode(await answer.read())["retry_after_s"])
                assert (answer.status, int(answer.headers["retry-after"])) == (503, math.ceil(hint_s))
                assert hint_s >= HINT_MIN_S - 0.001
                moments_s.append((asked_s + hint_s, time.monotonic() + hint_s))
        assert all(last - first >= 1 / OPENS_PER_S - 0.002 for (first, _), (_, last) in pairwise(moments_s))
        assert let_in <= OPENS_PER_S * (1.0 + time.monotonic() - began_s)
        await asyncio.sleep(moments_s[-1][1] - time.monotonic())  # who comes when told is let in
        inside.append(await session.ws_connect(url + FEED))
        for one in inside:
            await one.close()

    with running("feed", redis_url=valkey.url, feed_opens_per_s=OPENS_PER_S) as server:
        visit(server.port, scene)
        assert metric(server, 'target_feed_refused_total{reason="rate"}') == 3


def test_a_full_node_sends_the_next_client_away_until_one_leaves(valkey: Valkey) -> None:
    with running("feed", redis_url=valkey.url, feed_sockets_max=2) as server:

        async def scene(session: aiohttp.ClientSession, url: str) -> None:
            first, second = [await session.ws_connect(url + FEED) for _ in range(2)]
            status, _, document = await refusal(session, url + FEED)
            assert (status, document["retry_after_s"]) == (503, 5.0)
            await first.close()
            await asyncio.to_thread(
                eventually, lambda: metric(server, "target_websocket_connections") == 1, why="it to be gone"
            )
            third = await session.ws_connect(url + FEED)
            await asyncio.gather(second.close(), third.close())

        visit(server.port, scene)
        assert metric(server, 'target_feed_refused_total{reason="full"}') == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/feed/unknown", 404),
        ("/elsewhere", 404),
        (f"{FEED}?last_seq=-1", 400),
        (f"{FEED}?last_seq=1e3", 400),
        (f"{FEED}?last_seq=٣", 400),
        (f"{FEED}?last_seq=9999999999999999", 400),
        (f"{FEED}?epoch={'e' * 65}&last_seq=1", 400),
    ],
)
def test_what_cannot_be_followed_is_refused_before_the_upgrade(node: Server, path: str, status: int) -> None:
    async def scene(session: aiohttp.ClientSession, url: str) -> None:
        got, _, document = await refusal(session, url + path)
        assert (got, document["status"]) == (status, status)

    visit(node.port, scene)


def test_no_upgrade_no_feed(node: Server) -> None:
    assert node.ask("GET", FEED).status == 426
    assert node.ask("POST", FEED).status == 405
    assert node.ask("POST", FEED).headers["allow"] == "GET"
    assert node.ask("GET", FEED, sec_websocket_version="1", upgrade="websocket", connection="upgrade").status == 426
    assert node.ask("GET", "/api/operator").status == 404


def test_a_client_that_talks_too_much_is_sent_away(node: Server) -> None:
    async def scene(session: aiohttp.ClientSession, url: str) -> None:
        async with session.ws_connect(url + FEED) as socket:
            await socket.send_str("hello")
            await socket.send_bytes(b"x" * 2000)
            while not socket.closed:
                await socket.receive(timeout=30)
            assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    visit(node.port, scene)


def test_a_head_that_is_too_large_is_refused(node: Server) -> None:
    with sockets.create_connection(("127.0.0.1", node.port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 20_000 + b"\r\n\r\n")
        assert connection.recv(4096).split()[1] == b"400"


def test_a_node_that_goes_away_says_when_to_come_back(valkey: Valkey) -> None:
    with running("feed", redis_url=valkey.url) as server:

        async def scene(session: aiohttp.ClientSession, url: str) -> None:
            async with session.ws_connect(url + FEED) as socket:
                server.process.terminate()
                message = await socket.receive(timeout=30)
                assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.SERVICE_RESTART)
                assert str(message.extra).startswith("retry_after_s=")

        visit(server.port, scene)
        assert server.process.wait(timeout=30) == 0


@pytest.fixture
def node(valkey: Valkey) -> Any:
    with running("feed", redis_url=valkey.url) as server:
        yield server
