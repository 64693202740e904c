"""One socket of a proxied connection, as the event loop sees it: what arrives goes to a link, at once."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import Final, Protocol, cast

from chaos.proxy.toxics.stage import Sink

_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def _drop(data: bytes) -> None:
    """There is no socket to write to."""


class EndedLink(Protocol):
    """One direction of a connection, as the sockets at its ends see it; `chaos.proxy.link.Link` is one."""

    bytes_total: int
    staged_bytes: int
    head: Sink | None
    ended: bool

    @property
    def target(self) -> SocketEnd:
        """The end that it writes to."""

    def begin(self) -> None:
        """Read, unless it holds too much already."""

    def source_ended(self) -> None:
        """The end that it reads sent its last byte, or is gone."""

    def target_lost(self) -> None:
        """The end that it writes to is gone."""

    def target_full(self, full: bool) -> None:
        """The far socket's buffer crossed one of its marks."""


class EndedConnection(Protocol):
    """What an end tells its connection."""

    def end_lost(self) -> None:
        """This end is gone."""


class SocketEnd(asyncio.Protocol):
    """One socket of a connection. Created before its peer is known; `on_open` is called when its socket is."""

    def __init__(self, on_open: Callable[[SocketEnd], None]) -> None:
        self.write: Callable[[bytes], None] = _drop  # bound to the socket while it is open
        self._on_open = on_open
        self._transport: asyncio.Transport | None = None
        self._outward: EndedLink | None = None  # carries what this end receives
        self._inward: EndedLink | None = None  # writes to this end
        self._connection: EndedConnection | None = None
        self._early = bytearray()  # an event loop may deliver a chunk although reading is paused
        self._early_end = False
        self._early_loss = False

    def join(self, connection: EndedConnection, outward: EndedLink, inward: EndedLink) -> None:
        """Become part of a connection."""
        self._connection, self._outward, self._inward = connection, outward, inward

    def begin(self) -> None:
        """Carry what came before the connection was whole, then read on. Both ends must have joined."""
        if self._early:
            self.data_received(bytes(self._early))
            self._early.clear()
        if self._early_end:
            self.eof_received()
        if self._early_loss:
            self.connection_lost(None)
        elif self._outward is not None:
            self._outward.begin()

    @property
    def is_open(self) -> bool:
        """Whether the socket is neither closed nor closing."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def peer(self) -> str:
        """The address at the other side of this socket."""
        address = None if self._transport is None else self._transport.get_extra_info("peername")
        return "" if not address else f"{address[0]}:{address[1]}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait with reading until there is somewhere to write to."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.pause_reading()
        self.write = self._transport.write
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Carry a chunk to the other end. The hot path."""
        link = self._outward
        if link is None:
            self._early += data
            self.read(False)
            return
        link.bytes_total += len(data)
        if link.head is not None:
            link.staged_bytes += len(data)
            link.head.feed(data, time.monotonic())
        elif not link.ended:
            link.target.write(data)

    def eof_received(self) -> bool:
        """There is no half-close: the far end is closed too. This end stays open until the far end has gone."""
        if self._outward is None:
            self._early_end = True
        else:
            self._outward.source_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's interface
        """The socket is gone, for whatever reason."""
        self.write = _drop
        if self._inward is None or self._outward is None or self._connection is None:
            self._early_loss = True
            return
        self._inward.target_lost()
        self._outward.source_ended()
        self._connection.end_lost()

    def pause_writing(self) -> None:
        """This socket's buffer is full."""
        if self._inward is not None:
            self._inward.target_full(True)

    def resume_writing(self) -> None:
        """This socket's buffer has room."""
        if self._inward is not None:
            self._inward.target_full(False)

    def read(self, on: bool) -> None:
        """Begin or stop to read."""
        if self._transport is None or self._transport.is_closing():
            return
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def close(self) -> None:
        """Close when everything written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def cut(self, *, rst: bool) -> None:
        """Close now, by FIN or by RST."""
        if self._transport is None:
            return
        if rst and not self._transport.is_closing():
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        self._transport.abort()
