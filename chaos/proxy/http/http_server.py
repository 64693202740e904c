"""The HTTP server of the API: one task for each connection, and no connection that waits for ever.

The limits are those of the real server: 15 s for a request to come, 60 s between two requests, 30 s for an answer to
be taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Final, TypeAlias, cast

import msgspec

from chaos.proxy.address import keep_alive
from chaos.proxy.http.http_request import HEAD_BYTES_MAX, ApiRequest, BadRequestError, read_request

_BACKLOG: Final = 1024
_LINGER_S: Final = 0.5
_READ_BYTES: Final = 64 * 1024
_TEXT: Final = "text/plain; charset=utf-8"
_REASONS: Final = {
    200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 400: "Bad Request", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip


class ClientTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for a client, in seconds."""

    request_s: float = 15.0
    idle_s: float = 60.0
    answer_s: float = 30.0


class ApiResponse(msgspec.Struct, frozen=True):
    """An answer. Its length is added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Handler: TypeAlias = Callable[[ApiRequest], Awaitable[ApiResponse]]


class HttpServer:
    """Serves `answer`, which never raises, on a host and a port."""

    def __init__(self, answer: Handler, timeouts: ClientTimeouts) -> None:
        self._answer = answer
        self._timeouts = timeouts
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError, OverflowError."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=HEAD_BYTES_MAX, backlog=_BACKLOG)

    async def stop(self) -> None:
        """Close the listener and every connection, whatever it is doing."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, asyncio.CancelledError):
                _keep_alive(writer)
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wait_s = self._timeouts.request_s
        while True:
            async with asyncio.timeout(wait_s):
                begun = await reader.read(1)
            if not begun:
                return
            try:
                request = await read_request(
                    begun, reader, lambda: self._send(writer, b"HTTP/1.1 100 Continue\r\n\r\n"),
                    within_s=self._timeouts.request_s,
                )  # fmt: skip
            except BadRequestError as error:
                await self._send(writer, _refusal(error))
                await self._linger(reader, writer)
                return
            response = await self._answer(request)
            await self._send(writer, _encoded(request, response))
            if not request.keep_alive:
                await self._linger(reader, writer)
                return
            wait_s = self._timeouts.idle_s
            await asyncio.sleep(0)  # a client that sends many requests at once keeps nobody from being served

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        try:
            async with asyncio.timeout(self._timeouts.answer_s):
                await writer.drain()
        except TimeoutError:
            writer.transport.abort()
            raise

    async def _linger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a client that still sends read the answer: a socket that is closed with bytes unread resets."""
        if writer.can_write_eof():
            writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while await reader.read(_READ_BYTES):
                    pass


def text(words: str, status: int, headers: Mapping[str, str] | None = None) -> ApiResponse:
    """An answer in plain text, as Go's http.Error gives it."""
    shown = {"Content-Type": _TEXT, "X-Content-Type-Options": "nosniff", **(headers or {})}
    return ApiResponse(status, words.encode(errors="replace"), shown)


def _encoded(request: ApiRequest, response: ApiResponse) -> bytes:
    fields = {"Date": formatdate(usegmt=True), **response.headers}
    if response.status != 204:
        fields["Content-Length"] = str(len(response.body))
    if not request.keep_alive:
        fields["Connection"] = "close"
    elif request.is_http_1_0:
        fields["Connection"] = "keep-alive"
    version = "HTTP/1.0" if request.is_http_1_0 else "HTTP/1.1"
    lines = [f"{version} {response.status} {_REASONS[response.status]}", *(f"{k}: {v}" for k, v in fields.items())]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode() + (b"" if request.method == "HEAD" else response.body)


def _refusal(error: BadRequestError) -> bytes:
    return f"HTTP/1.1 {error.status}\r\nContent-Type: {_TEXT}\r\nConnection: close\r\n\r\n{error.words}".encode()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    connected: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        keep_alive(connected)
