"""The body of a response as it comes off a connection, whatever ends it.

One flat object without a generator: thousands of these wait at the same time, and each generator on the way down would
keep a frame of its own for every held stream.
"""

from __future__ import annotations

from time import monotonic

from harness.swarm.client.message import CHUNKED, CLOSE_DELIMITED, ChunkDecoder
from harness.swarm.client.transport import CallFailed, Connection


class Body:
    """A body whose length nobody knows beforehand. `length`: CHUNKED, CLOSE_DELIMITED, or the bytes that are due.

    `received`: what came with the head.
    """

    __slots__ = ("_connection", "_decoder", "_left", "_received", "idle_s", "rest")

    def __init__(self, connection: Connection, length: int, received: bytes) -> None:
        self.rest = b""  # what came after the end
        self.idle_s: float | None = None  # how long silence is put up with; null: the connection's deadline holds
        self._connection = connection
        self._decoder = ChunkDecoder() if length == CHUNKED else None
        self._left = length
        self._received = received

    def read(self) -> bytes:
        """Some bytes of it; empty: it has ended. Raises `CallFailed`, `MalformedResponse`."""
        piece = self._take(self._received) if self._received else b""
        self._received = b""
        while not piece and not self._has_ended():
            if self.idle_s is not None:
                self._connection.deadline_s = monotonic() + self.idle_s
            data = self._connection.receive()
            if not data:
                if self._left != CLOSE_DELIMITED:
                    raise CallFailed("reset")
                self._left = 0
                break
            piece = self._take(data)
        return piece

    def _take(self, data: bytes) -> bytes:
        decoder = self._decoder
        if decoder is not None:
            piece = decoder.feed(data)
            if decoder.done:
                self.rest = decoder.rest
            return piece
        if self._left == CLOSE_DELIMITED:
            return data
        piece, self.rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return piece

    def _has_ended(self) -> bool:
        return self._decoder.done if self._decoder is not None else self._left == 0
