"""Server-sent events over the lean client, as the WHATWG HTML standard has them (section 9.2.6).

Locust's `iter_lines` reads 1,024 bytes at a time and so delays small events by seconds; here an event is seen when its
last byte is. An event is the `Event` of sseclient-py. Its parser is not used: it knows neither a byte order mark nor an
id with NUL, and hands out an event that the end of the stream cuts. A stream that waits holds nothing but the bytes of
an event that has not ended: a parser of its own for each of thousands would cost more than its connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sseclient import Event

from harness.platform import Call
from harness.swarm.client.body import Body
from harness.swarm.client.http import CallFailed, Endpoint, HttpClient, Response
from harness.swarm.client.message import MalformedResponse

CONTENT_TYPE: Final = "text/event-stream"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_EVENT_BYTES_MAX: Final = 1024 * 1024  # comments and half events included
_EVENT_LINES_MAX: Final = 4096  # so that one event does not stop the loop
_ID_CHARACTERS_MAX: Final = 4096  # of what is sent back in a header
_RECONNECT_S_MAX: Final = 1e6
# A line ends with CR LF, LF or CR. The groups are atomic: CR LF is never taken for two ends.
_find_blank_line: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)").search
_split_lines: Final = re.compile(r"\r\n|\n|\r").split
_BLANK_LINE_BYTES_MAX: Final = 4


class EventStream:
    """An open event stream. It ends when the other side ends it or it is lost; then `error` says which.

    `reconnect_s`: how long to wait before it is opened again, as its last `retry` field said; null: there was none.
    `last_event_id`: what to continue after when it is opened again, "" for none.
    """

    __slots__ = (
        "_at_end",
        "_body",
        "_client",
        "_first",
        "_is_begun",
        "_is_garbled",
        "_received",
        "_searched",
        "error",
        "last_event_id",
        "reconnect_s",
    )

    def __init__(self, client: HttpClient, body: Body, last_event_id: str = "") -> None:
        """Reads up to the first event. Raises `CallFailed` when there is none."""
        self.error = ""
        self.reconnect_s: float | None = None
        self.last_event_id = last_event_id
        self._client = client
        self._body = body
        self._received = b""
        self._searched = 0  # so far there is no blank line in what was received
        self._at_end = False
        self._is_begun = False  # whether a block was read: only the first may have a byte order mark
        self._is_garbled = False  # whether there were lines that belong to no event
        first = self._next()
        if first is None:
            raise CallFailed("protocol" if self._is_garbled else "reset")
        self._first: Event | None = first

    @property
    def first(self) -> Event | None:
        """Its first event, until that is read."""
        return self._first

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
        """The next event; null at the end of the body. `CallFailed`: "too_large", one does not end; "protocol"."""
        try:
            while (block := self._next_block()) is not None:
                event = self._dispatch(block)
                if event is not None:
                    return event
        except MalformedResponse:
            raise CallFailed("protocol") from None
        return None

    def _next_block(self) -> bytes | None:
        """Lines up to a blank one; null at the end of the body: an event that it cuts is discarded."""
        while (found := _find_blank_line(self._received, self._searched)) is None:
            self._searched = max(0, len(self._received) - _BLANK_LINE_BYTES_MAX)
            if len(self._received) > _EVENT_BYTES_MAX:
                raise CallFailed("too_large")
            piece = self._body.read()
            if not piece:
                self._is_garbled = self._is_garbled or bool(self._received.strip())
                self._received, self._searched = b"", 0
                return None
            self._received = self._received + piece if self._received else piece
        block, self._received = self._received[: found.start()], self._received[found.end() :]
        self._searched = 0
        if not self._is_begun:
            self._is_begun = True
            block = block.removeprefix(_BYTE_ORDER_MARK)
        return block

    def _dispatch(self, block: bytes) -> Event | None:
        """The event of these lines; null when they have no data. Ids and retries count all the same."""
        lines = _split_lines(block.decode("utf-8", "replace"))
        if len(lines) > _EVENT_LINES_MAX:
            raise CallFailed("too_large")
        data: list[str] = []
        kind = ""
        for line in lines:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                kind = value
            elif field == "id":
                if "\0" not in value:
                    self.last_event_id = value
            elif field == "retry":
                if value.isascii() and value.isdigit():
                    self.reconnect_s = min(float(value) / 1000.0, _RECONNECT_S_MAX)
            elif field:
                self._is_garbled = True
        if not data:
            return None
        event = Event()
        event.id, event.event, event.data = self.last_event_id, kind or "message", "\n".join(data)
        return event


def connect(
    client: HttpClient, endpoint: Endpoint, target: str, call: Call, headers: bytes, last_event_id: str = ""
) -> tuple[Response, EventStream | None]:
    """Open an event stream, continuing after `last_event_id`. Its request is answered by its first event."""
    lines = headers + b"Accept: text/event-stream\r\nCache-Control: no-store\r\n"
    if 0 < len(last_event_id) <= _ID_CHARACTERS_MAX:
        lines += f"Last-Event-ID: {last_event_id}\r\n".encode()

    def start(body: Body, content_type: str) -> EventStream:
        if content_type and content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise CallFailed("protocol", f"it answered {content_type[:80]}, no event stream")
        return EventStream(client, body, last_event_id)

    return client.open_stream(endpoint, target, call, lines, start)
