"""One TCP or TLS connection on gevent's loop, with deadlines that cost nothing per read.

A timer per read would cost more than the read. So a connection only notes its deadline, and one `DeadlineGuard` per
process shuts down what is overdue every 50 ms; the waiting greenlet wakes to an end of file and calls it a timeout.
"""

from __future__ import annotations

import errno
import socket
import ssl
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import gevent
import gevent.socket
import gevent.ssl
import msgspec
from gevent.hub import get_hub

from harness.errors import InputError

GUARD_PERIOD_S: Final = 0.05
RECEIVE_BYTES: Final = 65536
_NEVER: Final = float("inf")


class CallFailed(Exception):
    """A call got no usable answer. `error` is one of `harness.record.schema.ERRORS`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how much a client puts up with."""

    connect_s: float = 5.0
    first_byte_s: float = 10.0
    whole_s: float = 20.0
    idle_s: float = 30.0  # silence on a stream
    head_bytes: int = 65_536
    body_bytes: int = 16 * 1024 * 1024


class Origin(msgspec.Struct, frozen=True):
    """Scheme, host and port of a platform, resolved once: name look-ups have no place in a release."""

    secure: bool
    host: str
    port: int
    family: int
    address: str

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def resolve(url: str) -> Origin:
    """The origin of a URL. Raises `InputError` for a URL or a name that cannot be used."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise InputError(f"{url!r} is no http, https, ws or wss URL", hint="give it as http://host:port")
    secure = parts.scheme in ("https", "wss")
    port = parts.port or (443 if secure else 80)
    try:
        family, _, _, _, sockaddr = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(
            f"{parts.hostname} cannot be resolved: {error}", hint="check the platform's address"
        ) from error
    return Origin(secure, parts.hostname, port, family, str(sockaddr[0]))


class DeadlineGuard:
    """Shuts down the connections of this process that are past their deadline."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._greenlet: gevent.Greenlet | None = None

    def watch(self, connection: Connection) -> None:
        """From now on, until `forget`."""
        self._open.add(connection)
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._open.discard(connection)

    def _run(self) -> None:
        while self._open:
            gevent.sleep(GUARD_PERIOD_S)
            now = monotonic()
            for connection in [one for one in self._open if one.deadline_s < now]:
                connection.expire()


GUARD: Final = DeadlineGuard()


class Connection:
    """An open connection. Every method raises `CallFailed` with a word of the record's for what went wrong."""

    __slots__ = ("_readable", "_socket", "_wait", "deadline_s", "expired", "secure", "send_some")

    def __init__(self, origin: Origin, limits: Limits) -> None:
        self.deadline_s = _NEVER
        self.expired = False
        self.secure = origin.secure
        self._socket = _connect(origin, limits)
        hub = get_hub()
        self._wait = hub.wait
        self._readable = hub.loop.io(self._socket.fileno(), 1)
        # The plain socket underneath gevent's: its send never switches greenlets, which the release loop relies on.
        self.send_some = self._socket.send if origin.secure else self._socket._sock.send
        GUARD.watch(self)

    def send(self, data: bytes) -> None:
        """Give all of it to the kernel."""
        try:
            sent = self.send_some(data)
            if sent < len(data):
                self._socket.sendall(data[sent:])
        except BlockingIOError:
            self._send_rest(data)
        except OSError as error:
            raise CallFailed(error_of(error)) from None

    def _send_rest(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise CallFailed(error_of(error)) from None

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """Some bytes; empty at the end of file. Waits first: what a server answers is hardly ever there at once."""
        try:
            if self.secure:
                data: bytes = self._socket.recv(size)
            else:
                self._wait(self._readable)
                data = self._socket._sock.recv(size)
        except BlockingIOError:
            return self.receive(size)
        except OSError as error:
            raise CallFailed("timeout" if self.expired else error_of(error)) from None
        if not data and self.expired:
            raise CallFailed("timeout")
        return data

    def is_stale(self) -> bool:
        """Whether the other side has closed it or said something unasked while it lay idle."""
        if self.secure:
            return bool(self._socket.fileno() < 0)
        try:
            self._socket._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def expire(self) -> None:
        """The deadline has passed: wake whoever waits."""
        self.expired = True
        self.deadline_s = _NEVER
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.expired = True  # already gone: the waiting greenlet is awake, and this names the reason

    def close(self) -> None:
        """Give it up. Closing twice does nothing."""
        GUARD.forget(self)
        self.deadline_s = _NEVER
        self._readable.stop()
        self._readable.close()
        self._socket.close()


def _connect(origin: Origin, limits: Limits) -> gevent.socket.socket:
    raw = gevent.socket.socket(origin.family, socket.SOCK_STREAM)
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.settimeout(limits.connect_s)
        raw.connect((origin.address, origin.port))
        if origin.secure:
            raw = gevent.ssl.create_default_context().wrap_socket(raw, server_hostname=origin.host)
        raw.settimeout(None)
    except OSError as error:
        raw.close()
        raise CallFailed(error_of(error)) from None
    except BaseException:
        raw.close()
        raise
    return raw


def error_of(error: OSError) -> str:
    """The record's word for what the operating system said."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "dns"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE):
        return "ports_exhausted"
    if error.errno in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "refused"
    return "reset"
