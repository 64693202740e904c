"""One client of the feed: how far it has been told, and what its connection has not yet taken off our hands.

A socket keeps no messages of its own. What it is sent are bytes that all sockets share, and they are handed over only
while the connection takes them; one that does not is behind, and is told the rest from the common log.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from target.feed.frames import TRY_AGAIN_LATER, close_frame

BUFFER_BYTES_MAX: Final = 262_144  # unsent bytes with which a socket counts as behind
KERNEL_BYTES: Final = 131_072  # of ours for each connection; left to itself the kernel would give a slow one megabytes
BUFFER_BYTES_LOW: Final = 65_536  # from here on it is told more
ABORT_S: Final = 1.0  # how long a dropped client may take to hear why


class FeedClient:
    """`epoch`, `seq`: the last change it was sent. `told` false: it waits for its first message."""

    __slots__ = ("behind_since_s", "epoch", "seq", "told", "transport")

    def __init__(self, transport: asyncio.Transport, epoch: str, last_seq: int | None) -> None:
        self.transport = transport
        self.epoch = epoch
        self.seq = last_seq
        self.told = False
        self.behind_since_s = 0.0
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    @property
    def unsent_bytes(self) -> int:
        """What the connection has not taken yet."""
        return self.transport.get_write_buffer_size()

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.transport.is_closing()

    def send(self, data: bytes) -> bool:
        """Hands whole frames over; whether the connection keeps up."""
        self.transport.write(data)
        return self.transport.get_write_buffer_size() <= BUFFER_BYTES_MAX

    def drop(self, *, retry_after_s: float, code: int = TRY_AGAIN_LATER) -> None:
        """Ends it with a reason that says when to come back; who does not take it in time is cut off."""
        if not self.closing:
            self.transport.write(close_frame(code, retry_after_s=retry_after_s))
            self.transport.close()
            asyncio.get_running_loop().call_later(ABORT_S, self.transport.abort)
