"""The waiting room of one booking process: joins per second, and the memory of a fan who waits on an open stream.

`python -m tests.bench.waiting`. Joins ask for no proof of work here: what the client computes is not the platform's
cost. `limit` is the same crowd asking for /healthz, which does nothing: what HTTP alone costs in this process. Memory
is the growth of the booking process's resident set from no stream to all, divided by their number, after every one of
them has been told its position.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import uvloop

from target.settings import Settings
from tests.bench import rounds
from tests.bench.line import Line, post
from tests.target.conftest import Valkey
from tests.target.processes import EVENT, Server, running

JOINS = 8_000
AT_ONCE = 64
STREAMS = {"streams_1000": 1_000, "streams_10000": 10_000}
SIDES = ("limit", "joins", *STREAMS)
ROUNDS = 3
OPEN_AT_ONCE = 200


def join_request(number: int) -> bytes:
    """One fan's join."""
    who: dict[str, object] = {"fan": f"fan-{number}", "identity": f"fan-{number}"}
    return post(f"/api/events/{EVENT}/queue", who, device=f"d{number}")


def health_request(_number: int) -> bytes:
    """As little as can be asked for."""
    return b"GET /healthz HTTP/1.1\r\nhost: bench\r\n\r\n"


async def rush(port: int, request_of: Callable[[int], bytes]) -> dict[str, float]:
    """`JOINS` requests over `AT_ONCE` connections."""
    lines = [Line(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(AT_ONCE)]
    latencies_s: list[float] = []
    numbers = iter(range(JOINS))

    async def lane(line: Line) -> None:
        for number in numbers:
            started_s = time.perf_counter()
            await line.ask(request_of(number))
            latencies_s.append(time.perf_counter() - started_s)

    started_s = time.perf_counter()
    await asyncio.gather(*(lane(line) for line in lines))
    took_s = time.perf_counter() - started_s
    for line in lines:
        line.close()
    latencies_s.sort()
    return {
        "per_s": round(JOINS / took_s, 1),
        "p50_ms": round(latencies_s[JOINS // 2] * 1000, 2),
        "p99_ms": round(latencies_s[JOINS * 99 // 100] * 1000, 2),
    }


class Follower(asyncio.Protocol):
    """An open stream of positions. Done when its first event has come."""

    def __init__(self, number: int, ticket: str) -> None:
        self._headers = f"device: d{number}\r\nauthorization: Queue {ticket}"
        self.told = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self.transport = transport
        request = f"GET /api/events/{EVENT}/queue/positions HTTP/1.1\r\nhost: bench\r\n"
        transport.write(f"{request}{self._headers}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        if self.told.done():
            return
        if b"event: position" in data:
            self.told.set_result(None)
        elif not data.startswith(b"HTTP/1.1 200"):
            self.told.set_exception(ConnectionError(data.decode()))


async def hold_streams(server: Server, count: int) -> dict[str, float]:
    """Joins `count` fans, then opens their streams and keeps them."""
    line = Line(*await asyncio.open_connection("127.0.0.1", server.port))
    tickets = [msgspec.json.decode(await line.ask(join_request(n)))["ticket"] for n in range(count)]
    line.close()
    booking = psutil.Process(server.process.pid)
    before_bytes = booking.memory_info().rss
    started_s = time.perf_counter()
    followers: list[Follower] = []
    for first in range(0, count, OPEN_AT_ONCE):
        numbered = list(enumerate(tickets))[first : first + OPEN_AT_ONCE]
        batch = [open_stream(server.port, number, ticket) for number, ticket in numbered]
        followers += await asyncio.gather(*batch)
    await asyncio.gather(*(follower.told for follower in followers))
    took_s = time.perf_counter() - started_s
    grown_bytes = booking.memory_info().rss - before_bytes
    for follower in followers:
        follower.transport.abort()
    return {"kib_per_stream": round(grown_bytes / count / 1024, 2), "opened_per_s": round(count / took_s, 1)}


async def open_stream(port: int, number: int, ticket: str) -> Follower:
    """A connected follower."""
    _, follower = await asyncio.get_running_loop().create_connection(
        lambda: Follower(number, ticket), "127.0.0.1", port
    )
    return follower


async def measure(side: str, server: Server) -> dict[str, float]:
    if side in STREAMS:
        return await hold_streams(server, STREAMS[side])
    return await rush(server.port, join_request if side == "joins" else health_request)


def one_side(side: str) -> dict[str, float]:
    """Figures of one side on servers of its own. Nobody is admitted: no worker runs."""
    with contextlib.ExitStack() as stack:
        valkey = Valkey(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        valkey.start()
        stack.callback(valkey.kill)
        asyncio.run(load_event(valkey.url))
        server = stack.enter_context(running("booking", redis_url=valkey.url, dependency_timeout_s=10.0))
        return uvloop.run(measure(side, server))


async def load_event(redis_url: str) -> None:
    """The seats, in Valkey; there is no database in this benchmark."""
    from target.roles.composition import compose_all

    connections, [context] = compose_all(Settings(event=EVENT, redis_url=redis_url))
    await context.inventory.load()
    await connections.redis.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.waiting")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        print(json.dumps(one_side(asked.side)))
        return 0
    figures = rounds.paired("tests.bench.waiting", SIDES, asked.rounds)
    middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
    document = {
        "what": f"joins per second over {AT_ONCE} connections against bare HTTP; memory of an open stream of positions",
        **middle,
        "joins_to_limit": round(middle["joins"]["per_s"] / middle["limit"]["per_s"], 3),
        "rounds": figures,
    }
    path = rounds.write("waiting", document)
    memory = ", ".join(f"{middle[side]['kib_per_stream']:.1f} KiB at {count}" for side, count in STREAMS.items())
    print(f"joins: {middle['joins']['per_s']:.0f}/s; a waiting stream: {memory} ({path})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
