"""Many sockets on one feed node, as cheap as they can be: `python -m tests.bench.fanout_client PORT SOCKETS ADDRESS`.

Prints `ready` when each has had its snapshot. A line with a seq on standard input says which change is the last; then
it prints, as JSON, the times from the change to its receipt as counts per 0.1 ms, and what was missed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import sys
import time
from collections import Counter

import msgspec
import uvloop

EVENT = "bench"
BIN_S = 0.0001
OPENING = 200  # handshakes at once
PATIENCE_S = 60.0


class Told(msgspec.Struct):
    """What is read of a message."""

    type: str
    seq: int = 0
    at: float = 0.0


_decode = msgspec.json.Decoder(Told).decode


class Figures:
    """What all sockets of this process saw. `last_seq` is known in the end only."""

    def __init__(self, sockets: int) -> None:
        self.delays: Counter[int] = Counter()
        self.gaps = 0
        self.resyncs = 0
        self.lost = 0
        self.behind = sockets
        self.last_seq = 0
        self.complete = asyncio.Event()


class Spectator(asyncio.Protocol):
    """One socket."""

    def __init__(self, figures: Figures, path: str) -> None:
        self._figures = figures
        self._path = path
        self._pending = b""
        self._upgraded = False
        self.seq = -1
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._path} HTTP/1.1\r\nhost: feed\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._figures.lost += 1
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the feed refused a socket"))

    def data_received(self, data: bytes) -> None:
        now_s = time.time()
        data = self._pending + data
        if not self._upgraded:
            head, separator, data = data.partition(b"\r\n\r\n")
            if not separator:
                self._pending = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._transport.abort()
                return
            self._upgraded = True
        at = 0
        while (payload := frame_at(data, at)) is not None:
            opcode, begin, at = payload
            if opcode == 1:
                self.take(_decode(memoryview(data)[begin:at]), now_s)
            elif opcode == 9:
                self._transport.write(b"\x8a\x80\x00\x00\x00\x00")
        self._pending = data[at:]

    def take(self, told: Told, now_s: float) -> None:
        figures = self._figures
        if told.type == "seat":
            figures.gaps += told.seq != self.seq + 1
            figures.delays[int((now_s - told.at) / BIN_S)] += 1
        elif told.type == "resync":
            figures.resyncs += 1
            return
        elif told.type != "snapshot":
            return
        elif not self.opened.done():
            self.opened.set_result(None)
        self.seq = told.seq
        if told.seq == figures.last_seq:
            figures.behind -= 1
            if not figures.behind:
                figures.complete.set()


def frame_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """(opcode, begin, end) of the payload of the whole frame at `at`; None: there is none yet."""
    if len(data) < at + 2:
        return None
    size, begin = data[at + 1], at + 2
    if size >= 126:
        length = 2 if size == 126 else 8
        begin += length
        size = int.from_bytes(data[at + 2 : begin]) if len(data) >= begin else 1 << 62
    return (data[at] & 15, begin, begin + size) if len(data) >= begin + size else None


async def follow(port: int, sockets: int, address: str) -> None:
    loop, figures = asyncio.get_running_loop(), Figures(sockets)
    door, spectators = asyncio.Semaphore(OPENING), []

    async def come() -> None:
        async with door:
            _, spectator = await loop.create_connection(
                lambda: Spectator(figures, f"/feed/{EVENT}"), "127.0.0.1", port, local_addr=(address, 0)
            )
            spectators.append(spectator)
            await asyncio.wait_for(spectator.opened, PATIENCE_S)

    await asyncio.gather(*(come() for _ in range(sockets)))
    print("ready", flush=True)
    figures.last_seq = int(await asyncio.to_thread(sys.stdin.readline))
    figures.behind = sum(spectator.seq < figures.last_seq for spectator in spectators)
    if figures.behind:
        try:
            await asyncio.wait_for(figures.complete.wait(), PATIENCE_S)
        except TimeoutError:
            print(f"{figures.behind} sockets never got the last change", file=sys.stderr)
    print(
        json.dumps(
            {
                "delays": figures.delays,
                "gaps": figures.gaps,
                "resyncs": figures.resyncs,
                "lost": figures.lost,
                "behind": figures.behind,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uvloop.run(follow(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
