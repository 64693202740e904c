"""One TCP or TLS connection on gevent's loop, with deadlines that cost nothing per read.

A timer per read would cost more than the read. So a connection only notes its deadline, and one `DeadlineGuard` per
process shuts down what is overdue every 50 ms; the waiting greenlet wakes to an end of file and calls it a timeout.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections import Counter
from contextlib import nullcontext
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import gevent
import gevent.socket
import gevent.ssl
import msgspec
from gevent.hub import get_hub

from harness.errors import InputError
from harness.swarm import tls

GUARD_PERIOD_S: Final = 0.05
RECEIVE_BYTES: Final = 65536
_NEVER: Final = float("inf")
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_WORDS: Final = {
    errno.EADDRNOTAVAIL: "ports_exhausted",
    errno.EMFILE: "fds_exhausted",
    errno.ENFILE: "fds_exhausted",
    errno.ETIMEDOUT: "timeout",
    **dict.fromkeys((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH), "refused"),
}
_untimed: Final = nullcontext()


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
    """Scheme, host and port of a platform, resolved once: name look-ups have no place in a release.

    `others`: (family, address) to try, in order, when the first refuses: "localhost" is often [::1] first, and not
    listening there.
    """

    secure: bool
    host: str
    port: int
    family: int
    address: str
    others: tuple[tuple[int, str], ...] = ()

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
    try:
        port = parts.port or (443 if secure else 80)
    except ValueError:
        raise InputError(f"{url!r} has no port between 1 and 65535", hint="give it as http://host:port") from None
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"{parts.hostname} cannot be resolved: {error}", hint="check the platform's address"
        ) from error
    first, *others = dict.fromkeys((int(family), str(sockaddr[0])) for family, _, _, _, sockaddr in found)
    return Origin(secure, parts.hostname, port, *first, others=tuple(others))


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
        while self._open:
            gevent.sleep(GUARD_PERIOD_S)
            now = monotonic()
            for connection in [one for one in self._open if one.deadline_s < now]:
                connection.expire()


GUARD: Final = DeadlineGuard()


class Connection:
    """An open connection. Every method raises `CallFailed` with a word of the record's for what went wrong."""

    __slots__ = ("_readable", "_socket", "_wait", "deadline_s", "expired", "secure", "send_some", "server")

    def __init__(self, origin: Origin, limits: Limits, session: ssl.SSLSession | None = None) -> None:
        self.deadline_s = _NEVER
        self.expired = False
        self.secure = origin.secure
        self._socket, address = _connect(origin, limits, session)
        self.server = (address, origin.port)
        hub = get_hub()
        self._wait = hub.wait
        self._readable = hub.loop.io(self._socket.fileno(), 1)
        # What lies underneath gevent's socket: its send never switches greenlets, which the release loop relies on.
        self.send_some = self._socket._sslobj.write if origin.secure else self._socket._sock.send
        GUARD.watch(self)

    def send(self, data: bytes) -> None:
        """Give all of it to the kernel."""
        try:
            sent = self.send_some(data)
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            raise CallFailed("timeout" if self.expired else error_of(error)) from None
        if sent < len(data):
            self._send_rest(data[sent:])

    def _send_rest(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise CallFailed("timeout" if self.expired else error_of(error)) from None

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
        try:
            if self.secure:
                self._socket._sslobj.read(1)  # takes in session tickets; an idle server has nothing else to say
            else:
                self._socket._sock.recv(1, socket.MSG_PEEK)
        except _NOT_NOW:
            return False
        except OSError:
            return True
        return True

    def expire(self) -> None:
        """The deadline has passed: wake whoever waits."""
        self.expired = True
        self.deadline_s = _NEVER
        try:
            self._socket._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.expired = True  # already gone: the waiting greenlet is awake, and this names the reason

    def session(self) -> ssl.SSLSession | None:
        """What the same user's next connection can resume; null: nothing."""
        return tls.session_of(self._socket) if self.secure else None

    def close(self) -> None:
        """Give it up. Closing twice does nothing."""
        GUARD.forget(self)
        self.deadline_s = _NEVER
        self._readable.stop()
        self._readable.close()
        self._socket.close()


def _connect(origin: Origin, limits: Limits, session: ssl.SSLSession | None) -> tuple[gevent.socket.socket, str]:
    """A connected socket, and the address that answered."""
    family, address = origin.family, origin.address
    for other in origin.others:
        try:
            return _connect_to(origin, family, address, limits, session), address
        except CallFailed as failure:
            if failure.error != "refused":
                raise
        family, address = other
    return _connect_to(origin, family, address, limits, session), address


def _connect_to(
    origin: Origin, family: int, address: str, limits: Limits, session: ssl.SSLSession | None
) -> gevent.socket.socket:
    raw: gevent.socket.socket | None = None
    try:
        with gevent.Timeout(limits.connect_s, TimeoutError) if origin.secure else _untimed:
            raw = gevent.socket.socket(family, socket.SOCK_STREAM)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(limits.connect_s)
            raw.connect((address, origin.port))
            if origin.secure:
                raw.settimeout(None)
                raw = tls.handshake(raw, origin.host, session)
        raw.settimeout(None)
    except OSError as error:
        if raw is not None:
            raw.close()
        raise CallFailed(error_of(error)) from None
    except BaseException:
        if raw is not None:
            raw.close()
        raise
    return raw


def error_of(error: OSError) -> str:
    """The record's word for what the operating system said."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return "reset"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "dns"
    return _WORDS.get(error.errno or 0, "reset")
