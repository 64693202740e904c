"""Server-sent events through sseclient-py, over the lean client's own body iterator.

Locust's `iter_lines` reads 1,024 bytes at a time and so delays small events by seconds; here an event is seen when its
last byte is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sseclient import Event, SSEClient

from harness.platform import Call
from harness.swarm.http import CallFailed, Endpoint, HttpClient, Response
from harness.swarm.http_message import MalformedResponse

_EVENT_BYTES_MAX: Final = 1024 * 1024  # comments and half events included
_EVENT_LINES_MAX: Final = 4096  # sseclient copies what it has for each line: many would stop the loop for a minute
_BLANK_LINE: Final = (b"\n\n", b"\r\r", b"\r\n\r\n")


class EventStream:
    """An open event stream. Iteration ends when the other side ends it or it is lost; then `error` says which."""

    def __init__(self, client: HttpClient, first: Event, events: Iterator[Event]) -> None:
        self.error = ""
        self._client = client
        self._first = first
        self._events = events
        self._at_end = False

    def __iter__(self) -> Iterator[Event]:
        yield self._first
        try:
            yield from self._events
        except CallFailed as failure:
            self.error = failure.error
            return
        self._at_end = True

    def close(self) -> None:
        """Leave it. A stream that has ended leaves its connection for the next call."""
        if not self._at_end:
            self._client.close()


def connect(
    client: HttpClient, endpoint: Endpoint, target: str, call: Call, headers: bytes, last_event_id: str = ""
) -> tuple[Response, EventStream | None]:
    """Open an event stream, continuing after `last_event_id`. Its request is answered by its first event."""
    lines = headers + b"Accept: text/event-stream\r\nCache-Control: no-store\r\n"
    if last_event_id:
        lines += f"Last-Event-ID: {last_event_id}\r\n".encode()

    def start(body: Iterator[bytes]) -> EventStream:
        events = _events(body)
        first = next(events, None)
        if first is None:
            raise CallFailed("reset")
        return EventStream(client, first, events)

    return client.open_stream(endpoint, target, call, lines, start)


def _events(body: Iterator[bytes]) -> Iterator[Event]:
    """The events of a body. `CallFailed`: "too_large", one does not end; "protocol", no text."""
    size = lines = 0  # of what has not come to an end

    def bounded() -> Iterator[bytes]:
        nonlocal size, lines
        for piece in body:
            size += len(piece)
            if size > _EVENT_BYTES_MAX or lines > _EVENT_LINES_MAX:
                raise CallFailed("too_large")
            lines += piece.count(b"\n") + piece.count(b"\r")
            yield piece
            if piece.endswith(_BLANK_LINE):
                size = lines = 0

    try:
        for event in SSEClient(bounded()).events():
            size = lines = 0
            yield event
    except (UnicodeDecodeError, MalformedResponse):
        raise CallFailed("protocol") from None
