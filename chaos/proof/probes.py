"""Probes: each asks a dependency once, as a client would, over a plain socket without retries or pools."""

from __future__ import annotations

import base64
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

import msgspec

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)  # of PostgreSQL: the server answers S or N before any log-in

_HEAD_BYTES_MAX: Final = 65536
REDIS_PING: Final = b"*1\r\n$4\r\nPING\r\n"
PING: Final = bytes([0x89, 0x80, 0, 0, 0, 0])
"""A WebSocket ping without a payload, masked as a client must: answered with a pong."""


class Reading(msgspec.Struct, frozen=True):
    """The result of one probe: ok | refused | reset | hung | wrong, and how long it took. refused: no connection.
    reset: connected, then cut. hung: no answer in time. wrong: not the expected answer.
    """

    state: str
    latency_ms: float


def _read(conversation: Callable[[socket.socket], bool], address: tuple[str, int], timeout_s: float) -> Reading:
    """Connect, exchange data, and name the result with one word."""
    started_s = time.monotonic()
    connected = False
    try:
        with socket.create_connection(address, timeout_s) as link:
            connected = True
            state = "ok" if conversation(link) else "wrong"
    except TimeoutError:
        state = "hung"
    except OSError:
        state = "reset" if connected else "refused"
    return Reading(state, round((time.monotonic() - started_s) * 1000, 3))


def redis(address: tuple[str, int], timeout_s: float) -> Reading:
    """Redis PING. A request for a password counts as an answer."""

    def ping(link: socket.socket) -> bool:
        link.sendall(REDIS_PING)
        return _receive(link)[:1] in {b"+", b"-"}

    return _read(ping, address, timeout_s)


def postgres(address: tuple[str, int], timeout_s: float) -> Reading:
    """PostgreSQL SSLRequest: needs no user, no database and no password."""

    def ask(link: socket.socket) -> bool:
        link.sendall(_SSL_REQUEST)
        return _receive(link)[:1] in {b"S", b"N"}

    return _read(ask, address, timeout_s)


def http_get(address: tuple[str, int], timeout_s: float, path: str) -> Reading:
    """HTTP GET; every status below 500 counts as an answer."""

    def get(link: socket.socket) -> bool:
        request = f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\nConnection: close\r\n\r\n"
        link.sendall(request.encode())
        status = _receive(link).split(b" ", 2)
        return len(status) > 1 and status[1].isdigit() and int(status[1]) < 500

    return _read(get, address, timeout_s)


def held(open_link: Callable[[], socket.socket], stays_s: float) -> Reading:
    """A held connection: ok when it is not cut for `stays_s`."""
    started_s = time.monotonic()
    state = "refused"
    try:
        with open_link() as link:
            state = "reset"
            while (left_s := started_s + stays_s - time.monotonic()) > 0:
                link.settimeout(left_s)
                _receive(link)
            state = "ok"
    except TimeoutError:
        state = "hung" if state == "refused" else "ok"
    except NotHeld:
        state = "wrong"
    except OSError:
        pass
    return Reading(state, round((time.monotonic() - started_s) * 1000, 3))


class NotHeld(ConnectionError):
    """The server's answer does not keep the connection open."""


def open_to_hold(probe: str, address: tuple[str, int], timeout_s: float, path: str) -> socket.socket:
    """Open a connection that stays open by itself, in this protocol. Raises OSError."""
    if probe == "websocket":
        return open_websocket(address, timeout_s, path)
    link = socket.create_connection(address, timeout_s)
    try:
        if probe == "redis":
            link.sendall(REDIS_PING)
            _receive(link)
        elif probe == "postgres":
            link.sendall(_SSL_REQUEST)
            _receive(link)
        elif probe == "http":
            _open_stream(link, address[0], path, timeout_s)
    except BaseException:
        link.close()
        raise
    return link


def _open_stream(link: socket.socket, host: str, path: str, timeout_s: float) -> None:
    """Open a stream of events; any other answer may end with its connection. Raises OSError."""
    ends_s = time.monotonic() + timeout_s
    link.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES_MAX:
        if (left_s := ends_s - time.monotonic()) <= 0:
            raise TimeoutError
        link.settimeout(left_s)
        head += _receive(link)
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"] or b"text/event-stream" not in head.lower():
        raise NotHeld(f"no stream of events: {head[:60]!r}")


def tcp(address: tuple[str, int], timeout_s: float) -> Reading:
    """TCP: a connection must stay open for a moment, because a proxy accepts before it has reached its upstream."""

    def linger(link: socket.socket) -> bool:
        link.settimeout(min(timeout_s, 0.05))
        try:
            return bool(_receive(link))
        except TimeoutError:
            return True

    return _read(linger, address, timeout_s)


def open_websocket(address: tuple[str, int], timeout_s: float, path: str) -> socket.socket:
    """Open a WebSocket connection, to be held open. Raises OSError."""
    link = socket.create_connection(address, timeout_s)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        _require_upgrade(_receive(link))
    except BaseException:
        link.close()
        raise
    return link


def _require_upgrade(answer: bytes) -> None:
    if not answer.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"no WebSocket: {answer[:60]!r}")


def websocket(address: tuple[str, int], timeout_s: float, path: str) -> Reading:
    """A WebSocket handshake."""
    started_s = time.monotonic()
    try:
        open_websocket(address, timeout_s, path).close()
        state = "ok"
    except TimeoutError:
        state = "hung"
    except ConnectionRefusedError:
        state = "refused"
    except OSError:
        state = "reset"
    return Reading(state, round((time.monotonic() - started_s) * 1000, 3))


def _receive(link: socket.socket) -> bytes:
    data = link.recv(4096)
    if not data:
        raise ConnectionResetError("closed without an answer")
    return data
