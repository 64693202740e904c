"""The server that both sides of a benchmark are measured against: `python -m tests.bench.server [ADDRESS]`.

As little HTTP as possible on uvloop, so that the client is what is measured, in a process of its own. Prints its port.
`GET /release` is stamped on arrival; `GET /arrivals` tells those stamps (monotonic seconds, the same clock for every
process of a machine) and forgets them. Where nginx is installed, the fastest server is that.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import ClassVar

import uvloop

from tests.bench import nginx, rounds

BODY = json.dumps({"section": "104", "free": list(range(24)), "stale": False}).encode()
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


class Answering(asyncio.Protocol):
    arrivals: ClassVar[list[float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        *requests, self._pending = (self._pending + data).split(b"\r\n\r\n")
        for request in requests:
            if request.startswith(b"GET /release "):
                self.arrivals.append(now)
            if request.startswith(b"GET /arrivals "):
                body = json.dumps(self.arrivals).encode()
                self.arrivals.clear()
                self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            else:
                self._transport.write(RESPONSE)


async def serve(address: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, address, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running(address: str = "127.0.0.1") -> Iterator[str]:
    """The server's URL, for as long as it is needed."""
    command = [sys.executable, "-m", "tests.bench.server", address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://{address}:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def fastest() -> Iterator[tuple[str, str]]:
    """The name and the URL of the fastest server at hand; both answer every path alike."""
    if nginx.is_here():
        with nginx.running(BODY) as url:
            yield "nginx", url
    else:
        with running() as url:
            yield "a bare uvloop server", url


if __name__ == "__main__":
    rounds.pin(0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(serve(sys.argv[1]))
