"""Where a platform is, and how a socket to it comes to be connected: resolved, opened, secured, within a time limit."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address
from itertools import cycle
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import gevent
import gevent.monkey
import gevent.socket
import gevent.ssl
import msgspec

from harness.errors import InputError
from harness.swarm.client import tls

_WORDS: Final = {
    errno.EADDRNOTAVAIL: "ports_exhausted",
    errno.EMFILE: "fds_exhausted",
    errno.ENFILE: "fds_exhausted",
    errno.ETIMEDOUT: "timeout",
    **dict.fromkeys((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH), "refused"),
}
_WRONG_NAME: Final = frozenset({62, 64})  # hostname, IP address
_WRONG_TIME: Final = frozenset({9, 10})  # not yet valid, expired
AnySocket: TypeAlias = "socket.socket | gevent.socket.socket | gevent.ssl.SSLSocket"
# gevent's own sockets carry two watchers and a dict each, and wait inside; a held connection needs one watcher.
_PlainSocket: Final[type[socket.socket]] = gevent.monkey.get_original("socket", "socket")


_BIND_ADDRESS_NO_PORT: Final = 24  # Linux; Python has no name for it
_LOOPBACK: Final = ("127.", "::1")


class Sources:
    """The addresses that this process's connections come from, in turn; without any, the kernel chooses.

    The port is chosen by the connect and not by the bind (IP_BIND_ADDRESS_NO_PORT): one port then serves connections to
    several addresses of the platform, as it does without a bind.
    """

    def __init__(self) -> None:
        self._turns: dict[tuple[int, bool], Iterator[str]] = {}

    def use(self, addresses: Sequence[str]) -> None:
        """From now on. What is on loopback leads nowhere else."""
        self._turns = {}
        for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
            of_family = [address for address in addresses if ip_address(address).version == version]
            beyond = [address for address in of_family if not address.startswith(_LOOPBACK)]
            for to_loopback, usable in ((True, of_family), (False, beyond)):
                if usable:
                    self._turns[family, to_loopback] = cycle(usable)

    def bind(self, raw: socket.socket, family: int, address: str) -> None:
        """Bind a socket that is to be connected to that address. Raises OSError."""
        if self._turns and (turn := self._turns.get((family, address.startswith(_LOOPBACK)))):
            with suppress(OSError):
                raw.setsockopt(socket.SOL_IP, _BIND_ADDRESS_NO_PORT, 1)
            raw.bind((next(turn), 0))


SOURCES: Final = Sources()


class CallFailed(Exception):
    """A call got no usable answer. `error` is one of `harness.record.schema.ERRORS`; `detail`: one line for people."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.detail = detail


class ClientLimits(msgspec.Struct, frozen=True, kw_only=True):
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
    listening there. `ca_file`: certificates to trust besides the system's.
    """

    secure: bool
    host: str
    port: int
    family: int
    address: str
    others: tuple[tuple[int, str], ...] = ()
    ca_file: str = ""

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def resolve(url: str, ca_file: str = "") -> Origin:
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
    return Origin(secure, parts.hostname, port, *first, others=tuple(others), ca_file=ca_file)


def connect(origin: Origin, limits: ClientLimits, session: ssl.SSLSession | None) -> tuple[AnySocket, str]:
    """A connected socket, secured where the origin is, and the address that answered. Raises `CallFailed`."""
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
    origin: Origin, family: int, address: str, limits: ClientLimits, session: ssl.SSLSession | None
) -> AnySocket:
    made: AnySocket | None = None
    try:
        made = raw = _PlainSocket(family, socket.SOCK_STREAM)
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        SOURCES.bind(raw, family, address)
        connected = _is_connected_at_once(raw, (address, origin.port))
        if connected and not origin.secure:
            return raw
        with gevent.Timeout(limits.connect_s, TimeoutError):
            if not connected:
                _await_connected(raw)
            if origin.secure:
                made = gevent.socket.socket(family, socket.SOCK_STREAM, fileno=raw.detach())
                made = tls.handshake(made, origin.host, session, origin.ca_file)
    except OSError as error:
        _drop(made)
        raise CallFailed(error_of(error), _detail_of(error, origin)) from None
    except BaseException:
        _drop(made)
        raise
    return made


def _is_connected_at_once(raw: socket.socket, address: tuple[str, int]) -> bool:
    """Begin to connect. Over loopback the other side has answered when the call returns: to ask again then costs a
    microsecond, to wait for the loop a turn of it. Raises OSError."""
    code = raw.connect_ex(address)
    if code == errno.EINPROGRESS:
        code = raw.connect_ex(address)
    if code in (errno.EINPROGRESS, errno.EALREADY):
        return False
    if code not in (0, errno.EISCONN):
        raise OSError(code, os.strerror(code))
    return True


def _await_connected(raw: socket.socket) -> None:
    """Raises OSError."""
    gevent.socket.wait_write(raw.fileno())
    if code := raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _drop(made: AnySocket | None) -> None:
    if made is not None:
        made.close()


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


def _detail_of(error: OSError, origin: Origin) -> str:
    """What went wrong with this origin, and what to do about it, where there is more to say than the word."""
    where = f"{origin.host}:{origin.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not accepted: {error.verify_message}; {_mend(error.verify_code)}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with {where}: {error.reason or error}; is it an https address?"
    word = error_of(error)
    return f"{where} refuses connections: is the platform up?" if word == "refused" else ""


def _mend(verify_code: int) -> str:
    """What to do about a certificate that failed for that reason (X509_V_ERR_…)."""
    if verify_code in _WRONG_NAME:
        return "use the name that the certificate is for"
    if verify_code in _WRONG_TIME:
        return "renew it, or check the clock of this machine"
    return "if its authority is your own, name its certificates as platform.ca_file"
