"""Reads WebSocket messages off a connection (RFC 6455, sections 5 to 8), with as few reads as possible.

websocket-client's own reader asks for two bytes at a time and keeps a dozen objects for each socket. Here a socket that
waits holds an empty buffer. What breaks the rules is answered with a close frame that says which, and ends the socket.
"""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import Final

from websocket import ABNF

from harness.swarm.client.transport import RECEIVE_BYTES, CallFailed, Connection

NORMAL: Final = 1000
NO_CODE: Final = 1005
"""What a close frame without a code means; never sent."""
_PROTOCOL_ERROR: Final = 1002
_NO_UTF8: Final = 1007
_TOO_BIG: Final = 1009
_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_BURST_BYTES: Final = 2048  # a user who is far behind takes its turn with the others
_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_DATA: Final = frozenset({ABNF.OPCODE_CONT, ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY})
_CONTROL: Final = frozenset({ABNF.OPCODE_CLOSE, ABNF.OPCODE_PING, ABNF.OPCODE_PONG})
_LENGTH_BYTES: Final = {126: 2, 127: 8}
_SHORTEST: Final = {126: 126, 127: 65_536}  # what a shorter form of the length could not say
_CONTROL_BYTES_MAX: Final = 125
_FRAGMENTS_MAX: Final = 100_000
_utf8: Final = codecs.getincrementaldecoder("utf-8")


class _Broken(Exception):
    """The other side broke the rules. `code`: what a close frame says of that."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class _Fragments:
    """A message whose last frame has not come. Text is checked as it comes."""

    __slots__ = ("_check", "opcode", "parts", "size_bytes")

    def __init__(self, opcode: int) -> None:
        self.opcode = opcode
        self.parts: list[bytes] = []
        self.size_bytes = 0
        self._check = _utf8() if opcode == ABNF.OPCODE_TEXT else None

    def add(self, payload: bytes, *, is_last: bool) -> None:
        if self._check is not None:
            self._check.decode(payload, is_last)
        self.parts.append(payload)
        self.size_bytes += len(payload)
        if len(self.parts) > _FRAGMENTS_MAX:
            raise _Broken(_TOO_BIG)


class MessageReader:
    """The messages of one open socket. `received`: what came behind the answer to its handshake."""

    __slots__ = ("_at", "_connection", "_fragments", "_received", "close_code", "close_reason", "message_bytes_max")

    def __init__(self, connection: Connection, received: bytes, message_bytes_max: int) -> None:
        self.close_code: int | None = None  # of the other side's close frame; null: none has come
        self.close_reason = ""
        self.message_bytes_max = message_bytes_max
        self._connection = connection
        self._received = received
        self._at = 0
        self._fragments: _Fragments | None = None

    def read(self) -> tuple[int, bytes] | None:
        """The opcode and the content of the next text or binary message; null: the other side has closed, see
        `close_code`. Raises `CallFailed`."""
        if self.close_code is not None:
            return None
        try:
            while True:
                first, payload = self._frame()
                opcode = first & _OPCODE
                if opcode in _CONTROL:
                    if self._control(opcode, payload):
                        return None
                elif (message := self._data(opcode, payload, is_last=bool(first & _FIN))) is not None:
                    return message
        except UnicodeDecodeError:
            raise self._given_up(_NO_UTF8) from None
        except _Broken as broken:
            raise self._given_up(broken.code) from None

    def _data(self, opcode: int, payload: bytes, *, is_last: bool) -> tuple[int, bytes] | None:
        """The message that this frame completes; null: none yet."""
        fragments = self._fragments
        if (opcode == ABNF.OPCODE_CONT) == (fragments is None):
            raise _Broken(_PROTOCOL_ERROR)
        if fragments is None:
            if is_last:
                if opcode == ABNF.OPCODE_TEXT and not payload.isascii():
                    payload.decode()
                return opcode, payload
            fragments = self._fragments = _Fragments(opcode)
        fragments.add(payload, is_last=is_last)
        if not is_last:
            return None
        self._fragments = None
        return fragments.opcode, b"".join(fragments.parts)

    def _frame(self) -> tuple[int, bytes]:
        """First byte and payload of the next frame."""
        self._need(2)
        received, at = self._received, self._at
        first, size = received[at], received[at + 1]
        opcode = first & _OPCODE
        if first & _RESERVED or size & _MASKED or not (opcode in _DATA or opcode in _CONTROL):
            raise _Broken(_PROTOCOL_ERROR)
        if opcode in _CONTROL and (size > _CONTROL_BYTES_MAX or not first & _FIN):
            raise _Broken(_PROTOCOL_ERROR)
        at += 2
        if size in _LENGTH_BYTES:
            form, length_bytes = size, _LENGTH_BYTES[size]
            self._need(2 + length_bytes)
            received, at = self._received, self._at + 2
            size = int.from_bytes(received[at : at + length_bytes], "big")
            at += length_bytes
            if size < _SHORTEST[form] or size >> 63:
                raise _Broken(_PROTOCOL_ERROR)
        if size + (self._fragments.size_bytes if self._fragments else 0) > self.message_bytes_max:
            raise _Broken(_TOO_BIG)
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

    def _control(self, opcode: int, payload: bytes) -> bool:
        """Answer a ping, ignore a pong; true: it is over."""
        if opcode == ABNF.OPCODE_PING:
            self._connection.send(ABNF.create_frame(payload, ABNF.OPCODE_PONG).format())
        if opcode != ABNF.OPCODE_CLOSE:
            return False
        code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        if payload and (len(payload) == 1 or code not in _CODES):
            raise _Broken(_PROTOCOL_ERROR)
        self.close_reason = payload[2:].decode()
        self.close_code = code
        self._say_goodbye(NORMAL if code == NO_CODE else code)
        return True

    def _given_up(self, code: int) -> CallFailed:
        """Say why, and return what the record says of it."""
        self._say_goodbye(code)
        return CallFailed("too_large" if code == _TOO_BIG else "protocol")

    def _say_goodbye(self, code: int) -> None:
        with suppress(CallFailed):  # it may be gone already
            self._connection.send(ABNF.create_frame(code.to_bytes(2, "big"), ABNF.OPCODE_CLOSE).format())
