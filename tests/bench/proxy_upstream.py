"""What stands behind the proxies of a benchmark: `python -m tests.bench.proxy_upstream`, in a process of its own.

Prints two ports. The first sends back what it gets. The second is told a number of bytes, eight of them in big-endian
order, and sends that many.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvloop

BLOCK = bytes(1 << 20)
BACKLOG = 4096


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends as many bytes as asked for, then closes."""
    left = int.from_bytes(await reader.readexactly(8), "big")
    while left:
        block = BLOCK if left >= len(BLOCK) else BLOCK[:left]
        writer.write(block)
        left -= len(block)
        await writer.drain()
    writer.close()


async def serve() -> None:
    """Until killed."""
    echoes = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=BACKLOG)
    pours = await asyncio.start_server(pour, "127.0.0.1", 0, backlog=BACKLOG)
    print(*(server.sockets[0].getsockname()[1] for server in (echoes, pours)), flush=True)
    await asyncio.gather(echoes.serve_forever(), pours.serve_forever())


@contextmanager
def running() -> Iterator[tuple[int, int]]:
    """The ports of the echo and of the pour, for as long as they are needed."""
    command = [sys.executable, "-m", "tests.bench.proxy_upstream"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            echo, pours = process.stdout.readline().split()
            yield int(echo), int(pours)
        finally:
            process.kill()


if __name__ == "__main__":
    uvloop.run(serve())
