"""Reads HTTP/1.1 messages from bytes: heads, lengths, chunks. Pure, no sockets.

Only what a load generator needs, but strictly: what is not a well-formed response is a `MalformedResponse`, never a
guess. Grammar: RFC 9112.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

HEAD_END: Final = b"\r\n\r\n"
CLOSE_DELIMITED: Final = -1
CHUNKED: Final = -2
INTERIM_MAX: Final = 100
"""Interim answers (1xx) that may come before the real one."""

_NO_BODY: Final = frozenset({204, 304})
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_BLANKS: Final = b" \t"
_replace_folds: Final = re.compile(rb"[ \t]*\r\n[ \t]+").sub
_has_loose_name: Final = re.compile(rb"\r\n[^:\r]*[ \t]:").search
_OVERHEAD_BYTES_MAX: Final = 16_384  # of the lines around chunks beyond what chunks of a sensible size need
_LINE_BYTES_FREE: Final = 16  # of each chunk


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
        if len(digits) < 3 or not digits.isdigit() or raw[9] not in b"12345" or not raw[7:8].isdigit():
            raise MalformedResponse("no status code")
        ends = raw.count(b"\r\n")
        if raw.count(b"\n") != ends or raw.count(b"\r") != ends or b"\0" in raw:
            raise MalformedResponse("a bare CR, LF or NUL in the head")
        if b"\r\n " in raw or b"\r\n\t" in raw:
            raw = _unfolded(raw)
        if (b" :" in raw or b"\t:" in raw) and _has_loose_name(raw):
            raise MalformedResponse("a blank before the colon of a field")
        self.raw = raw
        self.status = int(digits)
        self._lower = raw.lower()
        self._body_length: int | None = None
        said = b",".join(self.fields(b"connection")).lower()
        self.keeps_alive = b"keep-alive" in said if raw[7:8] == b"0" else b"close" not in said
        if b"\r\ntransfer-encoding:" in self._lower and (raw[7:8] == b"0" or b"\r\ncontent-length:" in self._lower):
            self.keeps_alive = False  # where the message ends is in doubt (RFC 9112, sections 6.1 and 6.3)

    def get(self, name: bytes) -> bytes | None:
        """The first field of that name (given in lower case), stripped; null when there is none."""
        start = self._lower.find(b"\r\n" + name + b":")
        if start < 0:
            return None
        start += len(name) + 3
        end = self.raw.find(b"\r\n", start)
        return self.raw[start : end if end >= 0 else None].strip(_BLANKS)

    def fields(self, name: bytes) -> list[bytes]:
        """All fields of that name (given in lower case), stripped, in their order."""
        found: list[bytes] = []
        mark = b"\r\n" + name + b":"
        start = self._lower.find(mark)
        while start >= 0:
            start += len(mark)
            end = self.raw.find(b"\r\n", start)
            found.append(self.raw[start : end if end >= 0 else None].strip(_BLANKS))
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
            codings = b",".join(self.fields(b"transfer-encoding")).lower().split(b",")
            if [coding.strip(_BLANKS) for coding in codings if coding.strip(_BLANKS)] != [b"chunked"]:
                raise MalformedResponse("unknown transfer coding")
            return CHUNKED
        if b"\r\ncontent-length:" not in lower:
            return CLOSE_DELIMITED
        lengths = {length.strip(_BLANKS) for length in b",".join(self.fields(b"content-length")).split(b",")}
        digits = lengths.pop()
        if lengths:
            raise MalformedResponse("more than one content-length")
        if not digits.isdigit() or len(digits) > 18:
            raise MalformedResponse("content-length is no number")
        return int(digits)


def _unfolded(raw: bytes) -> bytes:
    """The head with each folded field on one line (RFC 9112, section 5.2)."""
    first = raw.find(b"\r\n")
    if raw[first + 2 : first + 3] in (b" ", b"\t"):
        raise MalformedResponse("a blank before the first field")
    return _replace_folds(b" ", raw)


def ends_badly(received: bytes) -> bool:
    """Whether these bytes, in which no head ends as it must, have an empty line all the same: nothing more comes."""
    return b"\n\n" in received or b"\n\r\n" in received


# A server says the same head again and again, but for its Date once a second: thousands of equal ones are read once.
head_of = lru_cache(maxsize=128)(Head)


class ChunkDecoder:
    """Takes the chunked coding off, however its bytes are split. `done` when the last chunk and trailers are read.

    What lies around the chunks (extensions, trailers, chunks of a byte each) is bounded too.
    """

    __slots__ = ("_buffer", "_in_trailers", "_left", "_overhead_bytes", "done", "line_limit_bytes")

    def __init__(self, line_limit_bytes: int = 8192) -> None:
        self.done = False
        self.line_limit_bytes = line_limit_bytes
        self._buffer = b""
        self._left = 0  # of the present chunk, its CRLF included
        self._in_trailers = False
        self._overhead_bytes = 0

    @property
    def rest(self) -> bytes:
        """What came after the end of the body."""
        return self._buffer if self.done else b""

    def feed(self, data: bytes) -> bytes:
        """The body bytes that these bytes complete. Raises `MalformedResponse`."""
        buffer = self._buffer + data if self._buffer else data
        parts: list[bytes] = []
        at, size = 0, len(buffer)
        while at < size and not self.done:
            if self._left:
                at = self._take(buffer, at, parts)
                continue
            end = buffer.find(b"\r\n", at)
            if end < 0:
                if size - at > self.line_limit_bytes:
                    raise MalformedResponse("endless chunk line")
                break
            self._line(buffer[at:end])
            at = end + 2
        self._buffer = buffer[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        """What is here of the present chunk; returns where it ends."""
        body = self._left - 2
        if body > 0:
            piece = buffer[at : at + body]
            parts.append(piece)
            self._left -= len(piece)
            return at + len(piece)
        expected = b"\r\n"[2 - self._left :]
        got = buffer[at : at + self._left]
        if expected[: len(got)] != got:
            raise MalformedResponse("chunk is longer than it said")
        self._left -= len(got)
        return at + len(got)

    def _line(self, line: bytes) -> None:
        if b"\n" in line or b"\r" in line:
            raise MalformedResponse("a bare CR or LF in a chunk line")
        self._overhead_bytes += len(line) + 2
        if self._in_trailers:
            self.done = not line
        else:
            self._left = self._size_of(line)
            self._in_trailers = not self._left
            self._overhead_bytes = max(0, self._overhead_bytes - _LINE_BYTES_FREE - 2 * self._left)
        if self._overhead_bytes > _OVERHEAD_BYTES_MAX:
            raise MalformedResponse("more around the chunks than in them")

    def _size_of(self, line: bytes) -> int:
        """Bytes of the chunk that this line begins, its CRLF included; 0: the last one."""
        digits = line.split(b";", 1)[0].rstrip(_BLANKS)
        if not 0 < len(digits) <= 15 or not _HEX_DIGITS.issuperset(digits):
            raise MalformedResponse("chunk size is no number")
        size = int(digits, 16)
        return size + 2 if size else 0
