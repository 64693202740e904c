"""One client of the feed: its last change, and how many bytes its connection has not taken yet.

A socket keeps no messages of its own: all sockets share the same bytes, and a socket gets them only while its
connection takes them. A socket that falls behind gets the rest from the common log.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from target.feed.frames import TRY_AGAIN_LATER, close_frame

BUFFER_BYTES_MAX: Final = 262_144  # unsent bytes with which a socket counts as behind
KERNEL_BYTES: Final = 131_072  # send buffer of each connection; by default the kernel would give a slow one megabytes
BUFFER_BYTES_LOW: Final = 65_536  # with fewer unsent bytes the socket gets more
ABORT_S: Final = 1.0  # how long a dropped client may take to read the reason


class FeedClient:
    """`epoch`, `seq`: the last change it was sent. `told` false: it has got no message yet."""

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
        """How many bytes the connection has not taken yet."""
        return self.transport.get_write_buffer_size()

    @property
    def closing(self) -> bool:
        """Whether the connection is closing, so that nothing can be sent any more."""
        return self.transport.is_closing()

    def send(self, data: bytes) -> bool:
        """Sends whole frames; returns whether the connection keeps up."""
        self.transport.write(data)
        return self.transport.get_write_buffer_size() <= BUFFER_BYTES_MAX

    def drop(self, *, retry_after_s: float, code: int = TRY_AGAIN_LATER) -> None:
        """Closes the socket with a reason that says when to come back; a client that does not take it in time is cut
        off.
        """
        if not self.closing:
            self.transport.write(close_frame(code, retry_after_s=retry_after_s))
            self.transport.close()
            asyncio.get_running_loop().call_later(ABORT_S, self.transport.abort)
