"""Reads HTTP/1.1 messages from bytes: heads, lengths, chunks. Pure, no sockets.

Only what a load generator needs, but strictly: what is not a well-formed response is a `MalformedResponse`, never a
guess. Grammar: RFC 9112.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

HEAD_END: Final = b"\r\n\r\n"
CLOSE_DELIMITED: Final = -1
CHUNKED: Final = -2

_NO_BODY: Final = frozenset({204, 304})
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")


class MalformedResponse(Exception):
    """These bytes are not an HTTP/1.1 response."""


class Head:
    """A status line and header fields. `raw` is without the empty line that ends them. Never changes: see `head_of`.

    `keeps_alive`: whether the connection may be used again.
    """

    __slots__ = ("_body_length", "_lower", "keeps_alive", "raw", "status")

    def __init__(self, raw: bytes) -> None:
        if raw[:7] != b"HTTP/1." or raw[8:9] != b" " or raw[12:13] not in (b" ", b"\r", b""):
            raise MalformedResponse("no status line")
        digits = raw[9:12]
        if len(digits) < 3 or not digits.isdigit() or raw[9] not in b"12345":
            raise MalformedResponse("no status code")
        self.raw = raw
        self.status = int(digits)
        self._lower = raw.lower()
        self._body_length: int | None = None
        said = (self.get(b"connection") or b"").lower()
        self.keeps_alive = b"keep-alive" in said if raw[7:8] == b"0" else b"close" not in said

    def get(self, name: bytes) -> bytes | None:
        """The first field of that name (given in lower case), stripped; null when there is none."""
        start = self._lower.find(b"\r\n" + name + b":")
        if start < 0:
            return None
        start += len(name) + 3
        end = self.raw.find(b"\r\n", start)
        return self.raw[start : end if end >= 0 else None].strip()

    def fields(self, name: bytes) -> list[bytes]:
        """All fields of that name (given in lower case), stripped, in their order."""
        found: list[bytes] = []
        mark = b"\r\n" + name + b":"
        start = self._lower.find(mark)
        while start >= 0:
            start += len(mark)
            end = self.raw.find(b"\r\n", start)
            found.append(self.raw[start : end if end >= 0 else None].strip())
            start = self._lower.find(mark, start)
        return found

    def body_length(self, *, to_head: bool = False) -> int:
        """Bytes of the body, or `CHUNKED`, or `CLOSE_DELIMITED` (RFC 9112 §6.3). `to_head`: the request was a HEAD."""
        if to_head:
            return 0
        if self._body_length is None:
            self._body_length = self._find_length()
        return self._body_length

    def _find_length(self) -> int:
        if self.status in _NO_BODY or self.status < 200:
            return 0
        lower = self._lower
        if b"\r\ntransfer-encoding:" in lower:
            coding = (self.get(b"transfer-encoding") or b"").lower()
            if coding != b"chunked":
                raise MalformedResponse("unknown transfer coding")
            return CHUNKED
        start = lower.find(b"\r\ncontent-length:")
        if start < 0:
            return CLOSE_DELIMITED
        end = lower.find(b"\r\n", start + 17)
        digits = lower[start + 17 : end if end >= 0 else None].strip()
        if not digits.isdigit() or len(digits) > 18:
            raise MalformedResponse("content-length is no number")
        if lower.find(b"\r\ncontent-length:", start + 1) >= 0:
            raise MalformedResponse("more than one content-length")
        return int(digits)


# A server says the same head again and again, but for its Date once a second: thousands of equal ones are read once.
head_of = lru_cache(maxsize=128)(Head)


class ChunkDecoder:
    """Takes the chunked coding off, however its bytes are split. `done` when the last chunk and trailers are read."""

    __slots__ = ("_buffer", "_in_trailers", "_left", "done", "line_limit_bytes")

    def __init__(self, line_limit_bytes: int = 8192) -> None:
        self.done = False
        self.line_limit_bytes = line_limit_bytes
        self._buffer = b""
        self._left = 0  # of the present chunk, its CRLF included
        self._in_trailers = False

    @property
    def rest(self) -> bytes:
        """What came after the end of the body."""
        return self._buffer if self.done else b""

    def feed(self, data: bytes) -> bytes:
        """The body bytes that these bytes complete. Raises `MalformedResponse`."""
        buffer = self._buffer + data
        parts: list[bytes] = []
        while buffer and not self.done:
            if self._left:
                buffer = self._take(buffer, parts)
                continue
            end = buffer.find(b"\r\n")
            if end < 0:
                if len(buffer) > self.line_limit_bytes:
                    raise MalformedResponse("endless chunk line")
                break
            line, buffer = buffer[:end], buffer[end + 2 :]
            self._line(line)
        self._buffer = buffer
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, buffer: bytes, parts: list[bytes]) -> bytes:
        body = self._left - 2
        if body > 0:
            piece = buffer[:body]
            parts.append(piece)
            self._left -= len(piece)
            return buffer[len(piece) :]
        expected = b"\r\n"[2 - self._left :]
        got = buffer[: self._left]
        if expected[: len(got)] != got:
            raise MalformedResponse("chunk is longer than it said")
        self._left -= len(got)
        return buffer[len(got) :]

    def _line(self, line: bytes) -> None:
        if self._in_trailers:
            self.done = not line
            return
        digits = line.split(b";", 1)[0].rstrip(b" \t")
        if not 0 < len(digits) <= 15 or not _HEX_DIGITS.issuperset(digits):
            raise MalformedResponse("chunk size is no number")
        size = int(digits, 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True
