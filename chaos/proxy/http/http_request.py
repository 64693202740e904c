"""Reads HTTP/1 requests as Go's net/http does: what it takes, what it refuses, and with which words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import count
from typing import Final
from urllib.parse import unquote

import msgspec

from chaos.proxy.http.messages import RequestBody

HEAD_BYTES_MAX: Final = 1024 * 1024 + 4096
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
_HEAD_LINES_MAX: Final = 10_000
_LINES_AT_ONCE: Final = 100
_CHUNK_LINE_BYTES_MAX: Final = 4096
_READ_BYTES: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_HOST: Final = re.compile(r"[!$%&'()*+,:;=\[\]._~0-9A-Za-z-]*")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VERSION: Final = re.compile(r"HTTP/([0-9])\.([0-9])")
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")


class BadRequestError(Exception):
    """The bytes that came are no request. `status` as on the status line; `words`: the body, if it is another."""

    def __init__(self, status: str, words: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.words = words or status


class RequestTarget(msgspec.Struct, frozen=True):
    """What a request asks for: the path as it was written, the query with its mark, and what stood before both."""

    origin: str  # http://host:port of an absolute URL, else ""
    path: str
    query: str

    def segments(self) -> list[str]:
        """The parts of the path, decoded; an escaped slash separates none."""
        return [unquote(part, errors="surrogateescape") for part in self.path.split("/")]


class ApiRequest(msgspec.Struct, frozen=True):
    """One request, its body included."""

    method: str
    target: RequestTarget
    host: str
    user_agent: str
    keep_alive: bool  # whether the client wants the connection kept
    is_http_1_0: bool
    body: RequestBody


class RequestHead(msgspec.Struct, frozen=True):
    """Everything before the body."""

    method: str
    uri: str
    minor_version: int
    fields: dict[str, list[str]]

    def value(self, name: str) -> str:
        """The first value of a field, or ""."""
        return (self.fields.get(name) or [""])[0]

    def has_token(self, name: str, token: str) -> bool:
        """Whether a field that is a list has this word."""
        return any(token in map(str.strip, value.lower().split(",")) for value in self.fields.get(name, ()))


async def read_request(
    begun: bytes, reader: asyncio.StreamReader, send_continue: Callable[[], Awaitable[None]], *, within_s: float
) -> ApiRequest:
    """The request whose first byte is `begun`. Head and body must have come within this time.

    A body that is late or wrong is handed on with its problem. Raises BadRequestError; TimeoutError, ConnectionError
    when there is nobody to answer.
    """
    deadline_s = asyncio.get_running_loop().time() + within_s
    async with asyncio.timeout_at(deadline_s):
        head = await _head(begun, reader)
    target, host = _target(head)
    length = _body_length(head)
    if head.has_token("expect", "100-continue"):
        if length != 0 and head.minor_version > 0:
            await send_continue()
    elif head.value("expect"):
        raise BadRequestError("417 Expectation Failed")
    data = bytearray()
    problem = ""
    try:
        async with asyncio.timeout_at(deadline_s):
            await (_read_chunks(reader, data) if length is None else _read_exactly(reader, data, length))
    except TimeoutError:
        problem = "i/o timeout"
    except (ValueError, EOFError, ConnectionError) as error:
        problem = str(error) or "unexpected EOF"
    keep = head.has_token("connection", "keep-alive") if head.minor_version == 0 else True
    return ApiRequest(
        method=head.method,
        target=target,
        host=host,
        user_agent=head.value("user-agent"),
        keep_alive=keep and not head.has_token("connection", "close") and not problem,
        is_http_1_0=head.minor_version == 0,
        body=RequestBody(bytes(data), problem),
    )


async def _head(begun: bytes, reader: asyncio.StreamReader) -> RequestHead:
    """The request line and the fields. Raises BadRequestError, at once for a line that begins no request."""
    lines = _lines(begun, reader)
    method, _, rest = (await anext(lines)).partition(" ")
    uri, space, version = rest.partition(" ")
    numbers = _VERSION.fullmatch(version)
    if not space or numbers is None or not _TOKEN.fullmatch(method):
        raise BadRequestError("400 Bad Request")
    fields = _fields([line async for line in lines])
    if len(fields.get("host", ())) > 1:
        raise BadRequestError("400 Bad Request")
    if numbers.group(1) != "1":
        raise BadRequestError("505 HTTP Version Not Supported: unsupported protocol version")
    return RequestHead(method, uri, int(numbers.group(2)), fields)


async def _lines(begun: bytes, reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines before the body. Empty ones before the first are what an old client sent after its last body."""
    left = HEAD_BYTES_MAX
    found = False
    for number in range(_HEAD_LINES_MAX):
        line = begun + (b"" if begun == b"\n" else await _line(reader, left))
        begun = b""
        left -= len(line)
        text = line.decode(errors="surrogateescape").removesuffix("\n").removesuffix("\r")
        if text:
            found = True
            yield text
        elif found:
            return
        elif HEAD_BYTES_MAX - left > len("\r\n\r\n"):
            raise BadRequestError("400 Bad Request")
        if number % _LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
    raise BadRequestError("431 Request Header Fields Too Large")


async def _line(reader: asyncio.StreamReader, bytes_max: int) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        raise BadRequestError("400 Bad Request") from error
    except asyncio.LimitOverrunError as error:
        raise BadRequestError("431 Request Header Fields Too Large") from error
    if len(line) > bytes_max:
        raise BadRequestError("431 Request Header Fields Too Large")
    return line


def _fields(lines: Iterable[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in lines:
        if line[0] in " \t":  # the value of the line before goes on
            if last is None:
                raise BadRequestError("400 Bad Request")
            last[-1] += " " + line.strip(" \t")
            continue
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise BadRequestError("400 Bad Request")
        if not _TOKEN.fullmatch(name):
            raise BadRequestError("400 Bad Request: invalid header name")
        last = fields.setdefault(name.lower(), [])
        last.append(value.strip(" \t"))
    for values in fields.values():
        if not all(map(_VALUE.fullmatch, values)):
            raise BadRequestError("400 Bad Request: invalid header value")
    return fields


def _target(head: RequestHead) -> tuple[RequestTarget, str]:
    """What is asked for, and at which host. Raises BadRequestError."""
    if _CONTROL.search(head.uri) or _BAD_ESCAPE.search(head.uri.partition("?")[0]):
        raise BadRequestError("400 Bad Request")
    if "host" not in head.fields and head.minor_version > 0:
        raise BadRequestError("400 Bad Request: missing required Host header")
    if not _HOST.fullmatch(head.value("host")):
        raise BadRequestError("400 Bad Request: malformed Host header")
    scheme, mark, after = head.uri.partition("://")
    origin, host, path = "", head.value("host"), head.uri
    if mark and scheme.isalnum():
        cut = min((at for at in (after.find("/"), after.find("?")) if at >= 0), default=len(after))
        host, path = after[:cut], after[cut:]
        origin = f"{scheme}://{host}"
        host = host.rpartition("@")[2]
    elif not path.startswith("/") and path != "*":
        raise BadRequestError("400 Bad Request")
    path, query_mark, query = path.partition("?")
    return RequestTarget(origin, path, query_mark + query), host


def _body_length(head: RequestHead) -> int | None:
    """How long the body is; None when it comes in chunks. Raises BadRequestError."""
    codings = head.fields.get("transfer-encoding", [])
    if codings and head.minor_version > 0:
        if len(codings) != 1 or codings[0].lower() != "chunked":
            raise BadRequestError("501 Not Implemented", "Unsupported transfer encoding")
        return None
    lengths = set(head.fields.get("content-length", ()))
    if not lengths:
        return 0
    if len(lengths) > 1 or not _DIGITS.fullmatch(text := lengths.pop()):
        raise BadRequestError("400 Bad Request")
    return int(text)


async def _read_exactly(reader: asyncio.StreamReader, data: bytearray, length: int) -> None:
    """Add so many bytes; a body that is too long is read no further than it may be."""
    if len(data) + length > BODY_BYTES_MAX:
        raise BadRequestError("413 Request Entity Too Large")
    end = len(data) + length
    while len(data) < end:
        part = await reader.read(min(_READ_BYTES, end - len(data)))
        if not part:
            raise EOFError
        data += part


async def _read_chunks(reader: asyncio.StreamReader, data: bytearray) -> None:
    for number in count():
        if number % _LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
        line = await _chunk_line(reader)
        size_text = line.partition(b";")[0].strip()
        if not _CHUNK_SIZE.fullmatch(size_text):
            raise ValueError("invalid byte in chunk length")
        if (size := int(size_text, 16)) == 0:
            break
        await _read_exactly(reader, data, size)
        if await _chunk_line(reader) != b"":
            raise ValueError("malformed chunked encoding")
    while await _chunk_line(reader):  # trailers
        pass


async def _chunk_line(reader: asyncio.StreamReader) -> bytes:
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("header line too long") from error
    if len(line) > _CHUNK_LINE_BYTES_MAX:
        raise ValueError("header line too long")
    return line.removesuffix(b"\n").removesuffix(b"\r")
