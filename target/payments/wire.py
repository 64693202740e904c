"""HTTP/1.1 to the provider: keep-alive connections, one request at a time on each, and no more than that.

A booking spends as much on a general HTTP client as on its whole intent; the provider's answers are small, and have a
length. Time-outs and the number of calls at once are the caller's affair. A call that is cut drops its connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

HEAD_BYTES_MAX: Final = 16_384
BODY_BYTES_MAX: Final = 1_048_576
IDLE_MAX_S: Final = 5.0  # less than servers wait for the next request: none is sent into a connection being closed
_END: Final = b"\r\n\r\n"


class MalformedAnswerError(Exception):
    """What came back is no HTTP/1.x answer with a length."""


class Answer(NamedTuple):
    """`last`: the connection carries no more after it."""

    status: int
    body: bytes
    last: bool


class Wire:
    """The connections to one server. Every call raises `OSError` or `MalformedAnswerError` when it gets no answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._host_field = parts.netloc.rpartition("@")[2]
        self._idle: list[_Connection] = []

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """One request and its answer. Neither path nor headers may hold a line break."""
        connection = self._warm() or await self._connect()
        try:
            answer = await connection.ask(self._request(method, path, headers, body))
        except BaseException:
            connection.close()
            raise
        if answer.last:
            connection.close()
        else:
            connection.idle_since_s = time.monotonic()
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Drops the connections that carry no call at the moment."""
        while self._idle:
            self._idle.pop().close()

    def _warm(self) -> _Connection | None:
        """The connection that was used last. When that has been idle for too long, so have all others."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and time.monotonic() - connection.idle_since_s < IDLE_MAX_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._tls or None)
        return connection

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if method != "GET":
            fields += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        head = f"{method} {self._prefix}{path} HTTP/1.1\r\nhost: {self._host_field}\r\n{fields}\r\n"
        return head.encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.open = False
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        if self._transport is None or not self.open:
            raise ConnectionResetError("the provider closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            answer = parse(self._received)
        except MalformedAnswerError as error:
            self._fail(error)
            return
        if answer is None:
            return
        self._received = b""
        if self._answer is None or self._answer.done():  # nobody asked
            self.close()
        else:
            self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("the provider closed the connection"))

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def parse(received: bytes) -> Answer | None:
    """The answer; None: there is more to come. Raises `MalformedAnswerError`."""
    head, ended, body = received.partition(_END)
    if not ended:
        if len(received) > HEAD_BYTES_MAX:
            raise MalformedAnswerError("its head does not end")
        return None
    first, *lines = head.lower().split(b"\r\n")
    version, _, status = first.partition(b" ")
    fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = fields.get(b"content-length", b"")
    if not (version.startswith(b"http/1.") and status[:3].isdigit() and length.isdigit()):
        raise MalformedAnswerError(f"it begins with {first[:64]!r}")
    if int(length) > BODY_BYTES_MAX or len(body) > int(length):
        raise MalformedAnswerError(f"its body of {length.decode()} bytes is too long")
    if len(body) < int(length):
        return None
    return Answer(int(status[:3]), body, version == b"http/1.0" or fields.get(b"connection", b"") == b"close")
