"""A platform that does everything wrong: a raw TCP server, in threads, that treats every request as one behaviour says.

`BEHAVIOURS` names them. Each is a function of the connection and the request that it answers, or does not; when it
returns, the connection is closed. A flood goes on until the other side closes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

Behaviour = Callable[["Victim"], None]
GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DRIP_S: Final = 0.02
FLOOD: Final = b"x" * 65_536
GIGABYTE: Final = 10**9
PAGE: Final = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
JSON: Final = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EVENTS: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
OK: Final = "HTTP/1.1 200 OK\r\n"
EMPTY: Final = "Content-Length: 0\r\n\r\n"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

GOOD: Final[dict[str, object]] = {
    "kind": "none",
    "challenge": "c",
    "bits": 1,
    "ticket": "t",
    "position": 1,
    "epoch": "e",
    "pass": "p",
    "admission_no": 1,
    "capacity": 2,
    "prices_cents": {"p": 100},
    "sections": [{"id": "1", "rows": [{"id": "A", "seats": 2, "price": "p"}]}],
    "seq": 1,
    "stale": False,
    "states": {"1": "00"},
    "counts": {"1": 2},
    "hold_id": "h",
    "seats": ["1-A-1"],
    "ttl_s": 4.0,
    "order_id": "o",
    "state": "confirmed",
    "amount_cents": 100,
    "limit": 4,
    "orders_pending": 0,
    "holds": 0,
    "parked": 0,
    "fan": "fan-1",
    "seat": "1-A-1",
    "idempotency_key": "k",
    "charge_id": "c1",
    "entry": "capture",
    "at": 1.0,
    "total": 1,
    "entries": [{"entry": "x"}],
    "opens_at": 1.0,
    "commitment": "c",
    "seed": "s",
}
"""A document that every endpoint of the reference system could have answered with."""


class Victim:
    """One request and the connection on which it came."""

    def __init__(self, connection: socket.socket, head: str) -> None:
        self.connection = connection
        self.head = head

    def say(self, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.connection.sendall(piece.encode("latin-1") if isinstance(piece, str) else piece)

    def flood(self, piece: bytes, begun: bytes | str = b"") -> None:
        self.say(begun)
        piece = piece * max(1, len(FLOOD) // len(piece))
        while True:
            self.say(piece)

    def drip(self, text: bytes) -> None:
        stop = threading.Event()
        for at in range(len(text)):
            self.say(text[at : at + 1])
            stop.wait(DRIP_S)
        self.hang()

    def hang(self) -> None:
        while self.connection.recv(65_536):
            continue

    def body(self, content: bytes, head: str = PAGE) -> None:
        self.say(head, f"Connection: close\r\nContent-Length: {len(content)}\r\n\r\n", content)

    def document(self, **fields: object) -> None:
        self.body(json.dumps({**GOOD, **fields}).encode(), JSON)

    def upgrade(self, *lines: str) -> None:
        """Switch, or answer with a page what asks for none."""
        key = next(
            (line[19:] for line in self.head.split("\r\n") if line.lower().startswith("sec-websocket-key: ")), ""
        )
        if not key:
            self.body(b"no feed here")
            return
        digest = base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()
        head = [
            "HTTP/1.1 101 Switching",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {digest}",
        ]
        self.say("\r\n".join([*head, *lines, "", ""]))


def reset(victim: Victim) -> None:
    victim.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_close(victim: Victim) -> None:
    victim.say("HTTP/1.1 200 OK\r\nContent-Le")
    victim.connection.shutdown(socket.SHUT_WR)
    victim.hang()


def says(*pieces: bytes | str) -> Behaviour:
    return lambda victim: (victim.say(*pieces), victim.hang())[0]


def closes_after(*pieces: bytes | str) -> Behaviour:
    return lambda victim: victim.say(*pieces)


def floods(piece: bytes, begun: bytes | str = b"") -> Behaviour:
    return lambda victim: victim.flood(piece, begun)


def in_a_socket(*frames: bytes, lines: tuple[str, ...] = ()) -> Behaviour:
    return lambda victim: (victim.upgrade(*lines), victim.say(*frames), victim.hang())[0]


def frame(first: int, payload: bytes) -> bytes:
    return bytes([first, len(payload)]) + payload


def bomb() -> bytes:
    return gzip.compress(bytes(GIGABYTE // 10))


BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "says nothing": Victim.hang,
    "closes at once": lambda _: None,
    "resets": reset,
    "half-closes in the head": half_close,
    "garbage": says(bytes(range(256)) * 4),
    "a TLS alert": closes_after(b"\x15\x03\x01\x00\x02\x02\x46"),
    "an HTTP/2 frame": says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "HTTP/0.9": closes_after(b"<html>hello</html>"),
    "an endless status line": floods(b"H", "HTTP/1.1 200 "),
    "endless headers": floods(b"X-Y: z\r\n", "HTTP/1.1 200 OK\r\n"),
    "an endless header": floods(b"y", "HTTP/1.1 200 OK\r\nX: "),
    "headers drop by drop": lambda victim: victim.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 10_000),
    "a body drop by drop": lambda victim: victim.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000),
    "a header of a megabyte": says("HTTP/1.1 200 OK\r\nX: ", b"x" * 2**20, "\r\nContent-Length: 0\r\n\r\n"),
    "bare line feeds": says("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"),
    "a bare line feed in a field": says("HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nhi"),
    "a bare carriage return": says("HTTP/1.1 200 OK\r\nX: a\rContent-Length: 2\r\n\r\nhi"),
    "a NUL in the head": says("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nhi"),
    "a folded field": says("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length:\r\n 2\r\n\r\nhi"),
    "a blank before the colon": says("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi"),
    "status 99": says("HTTP/1.1 99 Odd\r\nContent-Length: 2\r\n\r\nhi"),
    "status 1000": says("HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\nhi"),
    "interim answers for ever": floods(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a switch unasked": says("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", b"\x00" * 100),
    "two lengths": says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!"),
    "a negative length": says("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi"),
    "a length of thirty digits": says(f"HTTP/1.1 200 OK\r\nContent-Length: {10**30}\r\n\r\nhi"),
    "a gigabyte with a length": floods(FLOOD, f"HTTP/1.1 200 OK\r\nContent-Length: {GIGABYTE}\r\n\r\n"),
    "a gigabyte in chunks": floods(b"10000\r\n" + FLOOD + b"\r\n", CHUNKED),
    "a gigabyte to the end": floods(FLOOD, "HTTP/1.1 200 OK\r\n\r\n"),
    "less than it said": closes_after("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi"),
    "more than it said": says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and HTTP/1.1 200 OK\r\n\r\n"),
    "two transfer codings": says(OK, "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "coding and length": says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n"),
    "a chunk of no size": says(CHUNKED, b"zz\r\nhi\r\n0\r\n\r\n"),
    "a chunk of sixteen digits": says(CHUNKED, b"ffffffffffffffff\r\nhi"),
    "a chunk longer than it said": says(CHUNKED, b"2\r\nhello\r\n0\r\n\r\n"),
    "an endless chunk extension": floods(b"x", CHUNKED + b"2;x="),
    "extensions on every chunk": floods(b"1;" + b"y" * 4000 + b"\r\nx\r\n", CHUNKED),
    "chunks of a byte": floods(b"1\r\nx\r\n", CHUNKED),
    "endless trailers": floods(b"X: y\r\n", CHUNKED + b"0\r\n"),
    "a gzip bomb": lambda victim: victim.body(bomb(), PAGE + "Content-Encoding: gzip\r\n"),
    "gzip that is none": says(PAGE, "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi"),
    "a coding nobody asked for": says(PAGE, "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nhi"),
    "a redirect to another host": says("HTTP/1.1 302 Away\r\nLocation: http://elsewhere.example/\r\n", EMPTY),
    "a redirect to itself": closes_after("HTTP/1.1 302 Here\r\nLocation: /\r\nConnection: close\r\n", EMPTY),
    "a redirect to nowhere": says("HTTP/1.1 302 No\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n"),
    "408 and close": closes_after("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    "503 until the end of time": says(f"HTTP/1.1 503 No\r\nRetry-After: {'9' * 400}\r\nContent-Length: 0\r\n\r\n"),
    "HTML": lambda victim: victim.body(b"<!doctype html><title>Maintenance</title>"),
    "HTML of a hundred thousand levels": lambda victim: victim.body(b"<div>" * 100_000),
    "a page in punycode": lambda v: v.body(b"\xff\xfe<p>x", OK + "Content-Type: text/html; charset=punycode\r\n"),
    "no text": lambda victim: victim.body(b"\xff\xfe\xfd", JSON),
    "half a document": lambda victim: victim.body(b'{"ticket": "t", "posi', JSON),
    "null": lambda victim: victim.body(b"null", JSON),
    "a list": lambda victim: victim.body(b"[1, 2, 3]", JSON),
    "a document of a hundred thousand levels": lambda v: v.body(b'{"x":' + b"[" * 100_000, JSON),
    "a document with bad UTF-8": lambda victim: victim.body(b'{"ticket": "\xff\xfe"}', JSON),
    "400,000,000 seats": lambda v: v.document(
        sections=[{"id": "1", "rows": [{"id": "A", "seats": 400_000_000, "price": "p"}]}]
    ),
    "a price without an amount": lambda victim: victim.document(prices_cents={}),
    "no section": lambda victim: victim.document(sections=[], states={}, counts={}),
    "numbers of a thousand bits": lambda v: v.document(
        position=2**1000, admission_no=2**1000, amount_cents=2**1000, seq=2**1000, capacity=2**1000, bits=2**1000
    ),
    "line breaks in tokens": lambda v: v.document(
        **dict.fromkeys(("ticket", "pass", "hold_id", "order_id", "challenge"), "t\r\nHost: evil\r\n\r\nGET /"),
        kind="proof_of_work",
    ),
    "a proof that takes for ever": lambda victim: victim.document(kind="proof_of_work", bits=400),
    "3,000 cookies": says(OK, *(f"Set-Cookie: c{n}=v; Path=/\r\n" for n in range(3000)), EMPTY),
    "events that never end": floods(b"data: x\n", EVENTS),
    "an event of one endless line": floods(b"x", EVENTS + b"data: "),
    "nothing but heartbeats": floods(b":\n\n", EVENTS),
    "events of nonsense": floods(b"id: \0\nevent: position\ndata: {\xff\n\n", EVENTS),
    "events with ids of any length": floods(
        b"event: position\nid: e:" + b"9" * 60_000 + b'\ndata: {"at": 1, "position": 1}\n\n', EVENTS
    ),
    "a socket for nobody": says(
        "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n"
    ),
    "an extension unasked": in_a_socket(lines=("Sec-WebSocket-Extensions: permessage-deflate",)),
    "masked frames": in_a_socket(b"\x81\x81\0\0\0\0x"),
    "a frame of exabytes": in_a_socket(b"\x82\x7f" + struct.pack("!Q", 2**62)),
    "an endless message": lambda v: (v.upgrade(), v.flood(b"\x00\x01x", b"\x01\x01x"))[0],
    "a flood of empty fragments": lambda v: (v.upgrade(), v.flood(b"\x00\x00", b"\x01\x00"))[0],
    "a flood of pings": lambda v: (v.upgrade(), v.flood(frame(0x89, b"?" * 100)))[0],
    "messages that are no text": in_a_socket(frame(0x81, b"\xff\xfe")),
    "messages of nonsense": lambda v: (v.upgrade(), v.flood(frame(0x81, b"[" * 100)))[0],
    "a close without a meaning": in_a_socket(frame(0x88, b"\x03")),
}  # fmt: skip


class HostileServer:
    """`BEHAVIOURS[name]` for every request, on any path. `requests`: how many came."""

    def __init__(self, behaviour: Behaviour, listener: socket.socket) -> None:
        self.requests = 0
        self.port: int = listener.getsockname()[1]
        self._behaviour = behaviour
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._treat, args=(connection,), daemon=True).start()

    def _treat(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            received = b""
            while b"\r\n\r\n" not in received:
                data = connection.recv(65_536)
                if not data:
                    return
                received += data
            self.requests += 1
            self._behaviour(Victim(connection, received.partition(b"\r\n\r\n")[0].decode("latin-1")))


@contextmanager
def behaving(behaviour: Behaviour) -> Iterator[HostileServer]:
    """A server that treats every request so."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        server = HostileServer(behaviour, listener)
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.close()
