"""Reads a HAR file: what a browser recorded of one purchase, as it is saved from the developer tools (HAR 1.2).

The file is somebody's browser talking to somebody's server: anything may be missing, wrong, huge or binary. What cannot
be read of one entry leaves that entry out; only a file that is no recording at all is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urljoin, urlsplit

import msgspec

from harness.errors import InputError
from harness.input_file import NOT_JSON, read_input

HAR_BYTES_MAX: Final = 256 * 1024 * 1024
BODY_CHARACTERS_MAX: Final = 2_000_000
ENTRIES_MAX: Final = 20_000
_URL_CHARACTERS_MAX: Final = 16_384
_MESSAGES_MAX: Final = 1_000
_MESSAGE_CHARACTERS_MAX: Final = 10_000
_SWITCHED: Final = 101
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NO_REQUESTS: Final = ("data:", "blob:", "about:", "chrome-extension:", "moz-extension:", "safari-web-extension:")
_HINT: Final = "save it in the browser's developer tools: Network, then Save all as HAR"
Pairs = tuple[tuple[str, str], ...]


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its response. Names of headers are in lower case. `fields`: of a posted form; `text`: the
    body of the response, "" for a binary or an oversized one; `cut`: it was left out. `kind`: the browser's word for
    why it asked ("document", "xhr" …), "" when it did not say. `messages`: the text that a WebSocket brought.
    """

    url: str
    parts: SplitResult
    method: str
    headers: Pairs = ()
    fields: Pairs = ()
    body: str = ""
    body_type: str = ""
    status: int
    answer_headers: Pairs = ()
    content_type: str = ""
    text: str = ""
    cut: bool = False
    kind: str = ""
    started: str = ""
    messages: tuple[str, ...] = ()

    @property
    def is_socket(self) -> bool:
        """Whether it became a WebSocket."""
        return self.status == _SWITCHED or bool(self.messages)

    @property
    def acts(self) -> bool:
        """Whether it may have changed something."""
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def is_page(self) -> bool:
        """Whether it was answered with a page for people."""
        return "html" in self.content_type

    @property
    def leads_to(self) -> str:
        """Where its redirect leads, "" for none."""
        location = next((value for name, value in self.answer_headers if name == "location"), "")
        return urljoin(self.url, location) if location and self.status in _REDIRECTS else ""

    @property
    def query(self) -> Pairs:
        """The parameters of its address."""
        return tuple(parse_qsl(self.parts.query, keep_blank_values=True))


class Recording(msgspec.Struct, frozen=True):
    """What was read, in the order in which it was asked. `unread`: entries of requests that could not be read."""

    exchanges: tuple[Exchange, ...]
    unread: int


class _Named(msgspec.Struct):
    name: str = ""
    value: str | None = ""


class _Post(msgspec.Struct, rename={"mime": "mimeType"}):
    mime: str | None = ""
    text: str | None = ""
    params: list[_Named] | None = None


class _Request(msgspec.Struct, rename={"post": "postData"}):
    method: str
    url: str
    headers: list[_Named] | None = None
    post: _Post | None = None


class _Content(msgspec.Struct, rename={"mime": "mimeType"}):
    mime: str | None = ""
    text: str | None = ""
    encoding: str | None = ""


class _Response(msgspec.Struct, rename={"redirect": "redirectURL"}):
    status: int
    headers: list[_Named] | None = None
    content: _Content | None = None
    redirect: str | None = ""


class _Message(msgspec.Struct):
    type: str = ""
    data: str = ""


class _Entry(
    msgspec.Struct,
    rename={"started": "startedDateTime", "kind": "_resourceType", "messages": "_webSocketMessages"},
):
    request: _Request
    response: _Response
    started: str | None = ""
    kind: str | None = ""
    messages: list[_Message] | None = None


class _Address(msgspec.Struct):
    url: str


class _Inside(msgspec.Struct):
    request: _Address


class _Log(msgspec.Struct):
    entries: list[msgspec.Raw]


class _Har(msgspec.Struct):
    log: _Log


def read_har(path: Path) -> Recording:
    """Raises InputError: it is no recording, or an empty one."""
    content = read_input(path, HAR_BYTES_MAX).removeprefix(b"\xef\xbb\xbf")
    try:
        entries = msgspec.json.decode(content, type=_Har).log.entries
    except NOT_JSON as error:
        raise InputError(f"is no HAR file: {_short(error)}", file=str(path), hint=_HINT) from None
    if len(entries) > ENTRIES_MAX:
        raise InputError(f"has more than {ENTRIES_MAX:,} entries", file=str(path), hint="record one purchase only")
    found = [_exchange(raw) for raw in entries]
    read = [exchange for exchange in found if exchange is not None]
    if not read:
        reason = "none of its entries can be read" if entries else "has no entries"
        raise InputError(f"holds no recording: {reason}", file=str(path), hint=_HINT)
    if all(exchange.started for exchange in read):
        read.sort(key=lambda exchange: exchange.started)
    unread = sum(not _is_inside(raw) for raw, exchange in zip(entries, found, strict=True) if exchange is None)
    return Recording(tuple(read), unread)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _exchange(raw: msgspec.Raw) -> Exchange | None:
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
        return _read(entry)
    except (*NOT_JSON, ValueError):
        return None


def _is_inside(raw: msgspec.Raw) -> bool:
    """Whether it is of something that a browser asks nobody for."""
    try:
        return msgspec.json.decode(raw, type=_Inside).request.url.startswith(_NO_REQUESTS)
    except (*NOT_JSON, ValueError):
        return False


def _read(entry: _Entry) -> Exchange | None:
    """Raises ValueError for an address that is none."""
    request, response = entry.request, entry.response
    url = re.sub(r"^ws(?=s?://)", "http", request.url)  # a WebSocket of that host
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or len(request.url) > _URL_CHARACTERS_MAX:
        return None
    _ = parts.port
    if response.status <= 0:  # blocked, or never answered
        return None
    content, post = response.content or _Content(), request.post or _Post()
    received = [one for one in entry.messages or () if one.type == "receive"]
    text = _text_of(content)
    answer_headers = tuple(_headers(response.headers))
    if response.redirect and not any(name == "location" for name, _ in answer_headers):
        answer_headers += (("location", response.redirect),)
    return Exchange(
        url=url.partition("#")[0],
        parts=parts._replace(fragment=""),
        method=request.method.upper(),
        headers=tuple(_headers(request.headers)),
        fields=tuple(_fields(post)),
        body=(post.text or "")[:BODY_CHARACTERS_MAX],
        body_type=(post.mime or "").lower(),
        status=response.status,
        answer_headers=answer_headers,
        content_type=(content.mime or "").lower(),
        text="" if text is None else text,
        cut=text is None,
        kind=(entry.kind or "").lower(),
        started=entry.started or "",
        messages=tuple(one.data[:_MESSAGE_CHARACTERS_MAX] for one in received[-_MESSAGES_MAX:]),
    )


def _headers(named: Sequence[_Named] | None) -> Iterator[tuple[str, str]]:
    """Without the pseudo headers of HTTP/2."""
    for each in named or ():
        if each.name and not each.name.startswith(":"):
            yield each.name.lower(), each.value or ""


def _fields(post: _Post) -> Iterator[tuple[str, str]]:
    if "urlencoded" in (post.mime or "").lower() and post.text:
        try:
            yield from parse_qsl(post.text[:BODY_CHARACTERS_MAX], keep_blank_values=True)
        except ValueError:  # more fields than anybody's form has
            return
    else:
        yield from ((each.name, each.value or "") for each in post.params or ())


def _text_of(content: _Content) -> str | None:
    """The body as text; null when it is too long, or not text."""
    text = content.text or ""
    if len(text) > BODY_CHARACTERS_MAX:
        return None
    if (content.encoding or "").lower() != "base64":
        return text
    try:
        return base64.b64decode(text, validate=False).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
