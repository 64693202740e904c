"""Reads WebSocket messages off a connection (RFC 6455 §5): whole frames from one buffer, with as few reads as possible.

websocket-client's own reader asks for two bytes at a time and keeps a dozen objects for each socket. Here a socket that
waits holds an empty buffer; control frames are checked, and their answers written, by websocket-client's `ABNF`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from websocket import ABNF, WebSocketProtocolException

from harness.swarm.client.transport import RECEIVE_BYTES, CallFailed, Connection

_BURST_BYTES: Final = 2048  # a user who is far behind takes its turn with the others
_FIN: Final = 0x80
_MASKED: Final = 0x80
_DATA: Final = frozenset({ABNF.OPCODE_CONT, ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY})
_LENGTH_BYTES: Final = {126: 2, 127: 8}
_CONTROL_BYTES_MAX: Final = 125
_GOODBYE: Final = b"\x03\xe8"  # 1000


class MessageReader:
    """The messages of one open socket. `received`: what came behind the answer to its handshake."""

    __slots__ = ("_at", "_connection", "_message", "_received", "close_reason", "message_bytes_max")

    def __init__(self, connection: Connection, received: bytes, message_bytes_max: int) -> None:
        self.close_reason: bytes | None = None  # code and text of the other side's close frame
        self.message_bytes_max = message_bytes_max
        self._connection = connection
        self._received = received
        self._at = 0
        self._message: bytes | None = None  # the fragments of one that has not ended

    def read(self) -> bytes | None:
        """The next text or binary message; null: the other side has closed, see `close_reason`. Raises `CallFailed`."""
        while True:
            first, payload = self._frame()
            opcode = first & ~_FIN
            if opcode not in _DATA:
                if self._control(first, payload):
                    return None
                continue
            if (opcode == ABNF.OPCODE_CONT) == (self._message is None):
                raise CallFailed("protocol")
            if self._message is not None:
                payload = self._message + payload
            self._message = None if first & _FIN else payload
            if first & _FIN:
                return payload

    def _frame(self) -> tuple[int, bytes]:
        """First byte and payload of the next frame."""
        self._need(2)
        received, at = self._received, self._at
        first, size = received[at], received[at + 1]
        at += 2
        if size & _MASKED:
            raise CallFailed("protocol")  # a server must not
        if size in _LENGTH_BYTES:
            length_bytes = _LENGTH_BYTES[size]
            self._need(2 + length_bytes)
            received, at = self._received, self._at + 2
            size = int.from_bytes(received[at : at + length_bytes], "big")
            at += length_bytes
        if size + len(self._message or b"") > self.message_bytes_max:
            raise CallFailed("too_large")
        head_bytes = at - self._at
        self._need(head_bytes + size)
        begin = self._at + head_bytes
        self._at = begin + size
        return first, self._received[begin : begin + size]

    def _need(self, size: int) -> None:
        """Wait until so many bytes of the next frame are here."""
        missing = self._at + size - len(self._received)
        if missing <= 0:
            return
        parts = [self._received[self._at :]]
        self._received, self._at = b"", 0
        while missing > 0:
            data = self._connection.receive(max(_BURST_BYTES, min(missing, RECEIVE_BYTES)))
            if not data:
                raise CallFailed("reset")
            parts.append(data)
            missing -= len(data)
        self._received = b"".join(parts)

    def _control(self, first: int, payload: bytes) -> bool:
        """Answer a ping, ignore a pong; true: it is over."""
        opcode = first & 0x0F
        frame = ABNF(first >> 7, first >> 6 & 1, first >> 5 & 1, first >> 4 & 1, opcode, 0, payload)
        try:
            frame.validate(skip_utf8_validation=True)
        except WebSocketProtocolException:
            raise CallFailed("protocol") from None
        if not frame.fin or len(payload) > _CONTROL_BYTES_MAX:
            raise CallFailed("protocol")
        if opcode == ABNF.OPCODE_PING:
            self._connection.send(ABNF.create_frame(payload, ABNF.OPCODE_PONG).format())
        if opcode != ABNF.OPCODE_CLOSE:
            return False
        self.close_reason = payload
        with suppress(CallFailed):  # it may be gone already
            self._connection.send(ABNF.create_frame(_GOODBYE, ABNF.OPCODE_CLOSE).format())
        return True
