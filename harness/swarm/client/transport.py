"""One TCP or TLS connection on gevent's loop, with deadlines that cost nothing per read.

A timer per read would cost more than the read. So a connection only notes its deadline, and one `DeadlineGuard` per
process shuts down what is overdue, usually every 50 ms; the waiting greenlet wakes to an end of file and calls it a
timeout. Nor does each read arm and disarm the loop's watcher: it stays armed from read to read, until the other side
says something that nobody waits for.

The kernel notes when bytes arrive (SO_TIMESTAMPNS). While a connection is `stamped`, `arrived_ns` has that of the last
bytes that were read, so that what a busy loop adds to an answer can be told.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, thread_time
from typing import Final

import gevent
import gevent.socket
import gevent.ssl
from gevent.hub import get_hub

from harness.swarm.client import tls
from harness.swarm.client.connecting import CallFailed, ClientLimits, Origin, connect, error_of, resolve

__all__ = [
    "GUARD",
    "GUARD_PERIOD_S",
    "RECEIVE_BYTES",
    "CallFailed",
    "ClientLimits",
    "Connection",
    "DeadlineGuard",
    "Origin",
    "resolve",
]

GUARD_PERIOD_S: Final = 0.05
RECEIVE_BYTES: Final = 65536
_GUARD_SHARE: Final = 0.01  # of a core: with many thousands of connections it looks a little less often
_NEVER: Final = float("inf")
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_READ: Final = 1  # libev's word for readable
_SO_TIMESTAMPNS: Final = 35  # Linux; Python has no name for it
_STAMP: Final = struct.Struct("@ll")  # a timespec
_STAMP_SPACE: Final = socket.CMSG_SPACE(_STAMP.size)
_unpack_stamp: Final = _STAMP.unpack_from


class DeadlineGuard:
    """Shuts down the connections of this process that are past their deadline."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._greenlet: gevent.Greenlet | None = None
        self._ports: Counter[tuple[str, int]] = Counter()

    @property
    def ports_in_use(self) -> int:
        """Local ports taken towards the one server that takes the most: only those can collide with each other."""
        return max(self._ports.values(), default=0)

    def watch(self, connection: Connection) -> None:
        """From now on, until `forget`."""
        self._open.add(connection)
        self._ports[connection.server] += 1
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        if connection in self._open:
            self._open.remove(connection)
            self._ports[connection.server] -= 1

    def _run(self) -> None:
        pause_s = GUARD_PERIOD_S
        while self._open:
            gevent.sleep(pause_s)
            begun_cpu_s, now = thread_time(), monotonic()
            for connection in [one for one in self._open if one.deadline_s < now]:
                connection.expire()
            pause_s = max(GUARD_PERIOD_S, (thread_time() - begun_cpu_s) / _GUARD_SHARE)


GUARD: Final = DeadlineGuard()


class Connection:
    """An open connection. Every method raises `CallFailed` with a word of the record's for what went wrong."""

    __slots__ = (
        "_hub",
        "_raw",
        "_readable",
        "_secured",
        "_waiting",
        "_watching",
        "arrived_ns",
        "deadline_s",
        "expired",
        "server",
        "stamped",
    )

    def __init__(self, origin: Origin, limits: ClientLimits, session: ssl.SSLSession | None = None) -> None:
        self.deadline_s = _NEVER
        self.expired = False
        self.stamped = (
            False  # whether `arrived_ns` is wanted: to ask the kernel for it costs a microsecond for each read
        )
        self.arrived_ns = 0  # unix time at which the kernel had the bytes that were read last; 0: it does not say
        connected, address = connect(origin, limits, session)
        self.server = (address, origin.port)
        self._secured = connected if isinstance(connected, gevent.ssl.SSLSocket) else None
        self._raw: socket.socket = connected if self._secured is None else self._secured._sock
        if sys.platform == "linux":
            with suppress(OSError):
                self._raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._hub = get_hub()
        self._readable = self._hub.loop.io(self._raw.fileno(), _READ)
        self._watching = False
        self._waiting: gevent.Greenlet | None = None
        GUARD.watch(self)

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return self._secured is not None

    @property
    def send_some(self) -> Callable[[bytes], int]:
        """Gives bytes to the kernel and returns how many it took. It never waits and never lets another greenlet run:
        the release loop relies on that."""
        return self._raw.send if self._secured is None else self._secured._sslobj.write

    def send(self, data: bytes) -> None:
        """Give all of it to the kernel."""
        try:
            sent = self._raw.send(data) if self._secured is None else self._secured._sslobj.write(data)
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            raise CallFailed("timeout" if self.expired else error_of(error)) from None
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, data: memoryview) -> None:
        try:
            if self._secured is not None:
                self._secured.sendall(data)
                return
            while data:
                gevent.socket.wait_write(self._raw.fileno())
                with suppress(BlockingIOError):
                    data = data[self._raw.send(data) :]
        except OSError as error:
            raise CallFailed("timeout" if self.expired else error_of(error)) from None

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """Some bytes; empty at the end of file. Waits first: what a server answers is hardly ever there at once."""
        try:
            if self._secured is None:
                self._await_readable()
                if self.stamped:
                    data, stamps, _, _ = self._raw.recvmsg(size, _STAMP_SPACE)
                    self._note_arrival(stamps)
                else:
                    data = self._raw.recv(size)
            else:
                data = self._receive_secured(self._secured._sslobj.read, size)
        except BlockingIOError:
            return self.receive(size)
        except OSError as error:
            raise CallFailed("timeout" if self.expired else error_of(error)) from None
        if not data and self.expired:
            raise CallFailed("timeout")
        return data

    def _receive_secured(self, read: Callable[[int], bytes], size: int) -> bytes:
        """The stamp is peeked at: OpenSSL reads the bytes itself, and what it asks for may be no part of an answer."""
        while True:
            try:
                return read(size)
            except ssl.SSLWantReadError:
                self._await_readable()
                if self.stamped:
                    with suppress(OSError):
                        self._note_arrival(self._raw.recvmsg(1, _STAMP_SPACE, socket.MSG_PEEK)[1])
            except ssl.SSLWantWriteError:
                gevent.socket.wait_write(self._raw.fileno())

    def _await_readable(self) -> None:
        self.watch()
        self._waiting = gevent.getcurrent()
        try:
            self._hub.switch()
        finally:
            self._waiting = None

    def _note_arrival(self, stamps: list[tuple[int, int, bytes]]) -> None:
        if stamps:
            seconds, nanoseconds = _unpack_stamp(stamps[0][2])
            self.arrived_ns = seconds * 1_000_000_000 + nanoseconds
        else:
            self.arrived_ns = 0

    def _wake(self) -> None:
        """There is something to read. With nobody there to read it, the loop would say so again and again."""
        if self._waiting is not None:
            self._waiting.switch()
        else:
            self._readable.stop()
            self._watching = False

    def watch(self) -> None:
        """Hear of what the other side does from now on, though nobody waits for it; see `has_stirred`."""
        if not self._watching:
            self._readable.start(self._wake)
            self._watching = True

    @property
    def has_stirred(self) -> bool:
        """Whether it may be stale: the other side did something that nobody waited for, or nobody watched."""
        return not self._watching

    def is_stale(self) -> bool:
        """Whether the other side has closed it or said something unasked while it lay idle."""
        try:
            if self._secured is not None:
                self._secured._sslobj.read(1)  # takes in session tickets; an idle server has nothing else to say
            else:
                self._raw.recv(1, socket.MSG_PEEK)
        except _NOT_NOW:
            return False
        except OSError:
            return True
        return True

    def expire(self) -> None:
        """The deadline has passed: wake whoever waits."""
        self.expired = True
        self.deadline_s = _NEVER
        with suppress(OSError):  # already gone: the waiting greenlet is awake, and `expired` names the reason
            self._raw.shutdown(socket.SHUT_RDWR)

    def session(self) -> ssl.SSLSession | None:
        """What the same user's next connection can resume; null: nothing."""
        return tls.session_of(self._secured) if self._secured is not None else None

    def close(self) -> None:
        """Give it up. Closing twice does nothing."""
        GUARD.forget(self)
        self.deadline_s = _NEVER
        self._readable.stop()
        self._readable.close()
        (self._secured or self._raw).close()
