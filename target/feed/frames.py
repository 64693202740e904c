"""WebSocket frames of a server (RFC 6455 §5), made once and given to every socket as the same bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013

_TEXT: Final = 0x81  # FIN and the opcode
_CLOSE: Final = 0x88
_REASON_BYTES_MAX: Final = 123
_SHORT_MAX: Final = 125
_MEDIUM_MAX: Final = 0xFFFF


def text_frames(messages: Iterable[str]) -> bytes:
    """Each message as a text frame of its own, one after the other."""
    return b"".join(_frame(_TEXT, message.encode()) for message in messages)


def close_frame(code: int, *, retry_after_s: float) -> bytes:
    """A close frame. Its reason tells the client when to come back: `retry_after_s=1.5`."""
    reason = f"retry_after_s={retry_after_s:.3f}".encode()[:_REASON_BYTES_MAX]
    return _frame(_CLOSE, struct.pack("!H", code) + reason)


def _frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= _SHORT_MAX:
        return bytes((head, size)) + payload
    if size <= _MEDIUM_MAX:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload
