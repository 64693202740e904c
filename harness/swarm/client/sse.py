"""Server-sent events over the lean client; each whole event is read by sseclient-py.

Locust's `iter_lines` reads 1,024 bytes at a time and so delays small events by seconds; here an event is seen when its
last byte is. A stream that waits holds nothing but the bytes of an event that has not ended: a parser of its own for
each of thousands would cost more than its connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sseclient import Event, SSEClient

from harness.platform import Call
from harness.swarm.client.body import Body
from harness.swarm.client.http import CallFailed, Endpoint, HttpClient, Response
from harness.swarm.client.message import MalformedResponse

_EVENT_BYTES_MAX: Final = 1024 * 1024  # comments and half events included
_EVENT_LINES_MAX: Final = 4096  # sseclient copies what it has for each line: many would stop the loop for a minute
_find_blank_line: Final = re.compile(rb"\n\n|\r\n\r\n|\r\r").search
_BLANK_LINE_BYTES_MAX: Final = 4
_find_retries: Final = re.compile(rb"(?:^|[\r\n])retry: ?([0-9]{1,9})(?=[\r\n]|$)").findall


class EventStream:
    """An open event stream. It ends when the other side ends it or it is lost; then `error` says which.

    `reconnect_s`: how long to wait before it is opened again, as its last `retry` field said; null: there was none.
    """

    __slots__ = ("_at_end", "_body", "_client", "_first", "_received", "_searched", "error", "reconnect_s")

    def __init__(self, client: HttpClient, body: Body) -> None:
        """Reads up to the first event. Raises `CallFailed` when there is none."""
        self.error = ""
        self.reconnect_s: float | None = None
        self._client = client
        self._body = body
        self._received = b""
        self._searched = 0  # so far there is no blank line in what was received
        self._at_end = False
        first = self._next()
        if first is None:
            raise CallFailed("reset")
        self._first: Event | None = first

    def read(self) -> Event | None:
        """The next event; null: the stream has ended, in order or with an `error`."""
        event, self._first = self._first, None
        if event is not None:
            return event
        try:
            event = self._next()
        except CallFailed as failure:
            self.error = failure.error
            return None
        self._at_end = event is None
        return event

    def __iter__(self) -> Iterator[Event]:
        while (event := self.read()) is not None:
            yield event

    def close(self) -> None:
        """Leave it. A stream that has ended leaves its connection for the next call."""
        if not self._at_end or self._body.rest:
            self._client.close()

    def _next(self) -> Event | None:
        """The next event; null at the end of the body. `CallFailed`: "too_large", one does not end; "protocol", no
        text."""
        try:
            while True:
                block = self._next_block()
                if block.count(b"\n") + block.count(b"\r") > _EVENT_LINES_MAX:
                    raise CallFailed("too_large")
                if retries := _find_retries(block):  # sseclient drops a block that has nothing else
                    self.reconnect_s = int(retries[-1]) / 1000.0
                event = next(SSEClient(iter((block,))).events(), None)
                if event is not None or not block:
                    return event
        except (UnicodeDecodeError, MalformedResponse):
            raise CallFailed("protocol") from None

    def _next_block(self) -> bytes:
        """Lines up to a blank one, that included; at the end of the body what is left."""
        while (found := _find_blank_line(self._received, self._searched)) is None:
            self._searched = max(0, len(self._received) - _BLANK_LINE_BYTES_MAX)
            if len(self._received) > _EVENT_BYTES_MAX:
                raise CallFailed("too_large")
            piece = self._body.read()
            if not piece:
                block, self._received, self._searched = self._received, b"", 0
                return block
            self._received = self._received + piece if self._received else piece
        block, self._received = self._received[: found.end()], self._received[found.end() :]
        self._searched = 0
        return block


def connect(
    client: HttpClient, endpoint: Endpoint, target: str, call: Call, headers: bytes, last_event_id: str = ""
) -> tuple[Response, EventStream | None]:
    """Open an event stream, continuing after `last_event_id`. Its request is answered by its first event."""
    lines = headers + b"Accept: text/event-stream\r\nCache-Control: no-store\r\n"
    if last_event_id:
        lines += f"Last-Event-ID: {last_event_id}\r\n".encode()
    return client.open_stream(endpoint, target, call, lines, lambda body: EventStream(client, body))
