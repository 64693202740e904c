"""Holds connections that say one thing and then nothing: `python -m tests.bench.held_server ADDRESS`.

`GET /sse` opens an event stream, `GET /ws` a WebSocket; `GET /held` tells how many are open and the resident memory.
Prints its port; ends with its standard input.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import resource
import sys
from typing import ClassVar

import psutil
import uvloop

EVENT = b"id: 1\nevent: position\ndata: {}\n\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (
    len(EVENT),
    EVENT,
)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HELLO = b"\x81\x02hi"
BACKLOG = 8192


class Holding(asyncio.Protocol):
    held: ClassVar[int] = 0
    holds = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._pending = b""

    def connection_lost(self, exc: Exception | None) -> None:
        Holding.held -= self.holds

    def data_received(self, data: bytes) -> None:
        if self.holds:
            return
        self._pending += data
        head, separator, _ = self._pending.partition(b"\r\n\r\n")
        if not separator:
            return
        self._pending = b""
        if head.startswith(b"GET /held "):
            gc.collect()
            body = json.dumps({"held": Holding.held, "rss_bytes": psutil.Process().memory_info().rss}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return
        self.holds = True
        Holding.held += 1
        self._transport.write(upgraded(head) if head.startswith(b"GET /ws ") else STREAM)


def upgraded(head: bytes) -> bytes:
    key = next(line[18:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
        + accept
        + b"\r\n\r\n"
        + HELLO
    )


async def serve(address: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Holding, address, 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(serve(sys.argv[1]))
