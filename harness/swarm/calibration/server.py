"""What a calibration is measured against: `python -m harness.swarm.calibration.server`, in its own process.

As little of a booking system as possible, so that the load generator is what is measured: every fan gets a challenge, a
place in the queue and a stream that says nothing after its first event. Prints its port; ends with its stdin.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import uvloop

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 4096
_CHALLENGE: Final = b'{"kind":"proof_of_work","challenge":"calibration","bits":8}'
_PLACE: Final = b'{"ticket":"t","position":1,"epoch":"e"}'
_PAGE: Final = b"<!doctype html><title>queue</title>" + b" " * 2000
_EVENT: Final = b'event: position\nid: 1\ndata: {"at":0.0,"position":1,"epoch":"e"}\n\n'


def _whole(status: bytes, kind: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)


_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"%x\r\n%b\r\n" % (len(_EVENT), _EVENT)
)
_ANSWERS: Final = (
    (b"/challenge ", _whole(b"200 OK", b"application/json", _CHALLENGE)),
    (b"/queue/positions ", _STREAM),
    (b"POST ", _whole(b"201 Created", b"application/json", _PLACE)),
    (b"", _whole(b"200 OK", b"text/html", _PAGE)),
)


def answer(request: bytes) -> bytes:
    """The bytes that answer a request, of which only the first line counts."""
    line, _, _ = request.partition(b"\r\n")
    return next(response for mark, response in _ANSWERS if mark in line)


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end]
            whole = end + 4 + _body_bytes(head)
            if len(self._pending) < whole:
                return
            self._pending = self._pending[whole:]
            self._transport.write(answer(head))  # type: ignore[attr-defined]


def _body_bytes(head: bytes) -> int:
    _, found, rest = head.partition(b"Content-Length: ")
    return int(rest.partition(b"\r\n")[0]) if found else 0


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, LOOPBACK, 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
