"""Fetches small pages and calls APIs over HTTP within a limited time and size, whatever the other side does.

`requests` limits the time of each read only: a page that comes a byte at a time never ends for it. Here the whole
answer is due at one instant. No redirect is followed, and nothing that comes encoded is decoded.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import SplitResult, urlsplit

import msgspec

from harness.request_target import request_target

_PIECE_BYTES: Final = 65_536
_API_BYTES_MAX: Final = 64 << 20
_SHORTEST_S: Final = 0.001
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "gatecrash"}


class FetchFailed(Exception):
    """There is no page. The message says what there was instead, as "answered 404"; "" when nothing was answered."""


class FetchedPage(msgspec.Struct, frozen=True):
    """What was answered with a 200."""

    content_type: str
    body: bytes


class PageHead(msgspec.Struct, frozen=True):
    """How an answer begins. `leads_to`: where a redirect leads; "" when it is none."""

    status: int
    reason: str
    leads_to: str


class Fetcher:
    """Fetches one URL again and again, over one connection while that lasts.

    `verify`: whether certificates are checked, or a file of those to trust. Raises ValueError for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        verify: str | bool = True,
        within_s: float,
        bytes_max: int,
    ) -> None:
        parts = urlsplit(url)
        self._connection = _connection_to(parts, verify)
        self._target = request_target(parts)
        self._headers = {**_HEADERS, **(headers or {})}
        self._within_s = within_s
        self._bytes_max = bytes_max

    def fetch(self) -> FetchedPage:
        """The page. Raises `FetchFailed`."""
        connection = self._connection
        connection.deadline_s = time.monotonic() + self._within_s
        reused = connection.sock is not None
        try:
            try:
                return self._ask()
            except (http.client.RemoteDisconnected, ConnectionError):  # it was closed while it lay idle
                if not reused:
                    raise
                connection.close()
                return self._ask()
        except FetchFailed:
            connection.close()
            raise
        except TimeoutError:
            connection.close()
            raise FetchFailed(self._late() if connection.has_answered else "") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            said = f"answered no HTTP: {type(error).__name__}" if connection.has_answered else ""
            raise FetchFailed(said) from None

    def look(self, connect_s: float) -> PageHead:
        """Only the head, over a connection of its own. `connect_s`: within it there must be a connection.

        Raises `FetchFailed`, TimeoutError, ssl.SSLError or another OSError, http.client.HTTPException, ValueError.
        """
        connection = self._connection
        connection.deadline_s = time.monotonic() + connect_s
        try:
            connection.connect()
            connection.deadline_s = time.monotonic() + self._within_s
            with self._answer() as response:
                leads_to = response.headers.get("Location", "") if 300 <= response.status < 400 else ""
                return PageHead(response.status, response.reason, leads_to.encode("latin-1").decode("utf-8", "replace"))
        finally:
            connection.close()

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def _ask(self) -> FetchedPage:
        connection = self._connection
        with self._answer() as response:
            page = self._take(response)
        if response.will_close:
            connection.close()
        return page

    def _answer(self) -> http.client.HTTPResponse:
        return self._connection.ask("GET", self._target, self._headers)

    def _take(self, response: http.client.HTTPResponse) -> FetchedPage:
        if response.status != http.client.OK:
            leads = " and redirects are not followed" if 300 <= response.status < 400 else ""
            raise FetchFailed(f"answered {response.status}{leads}")
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        if coding not in ("", "identity"):
            raise FetchFailed("answered in an encoding that was not asked for")
        return FetchedPage(response.headers.get("Content-Type", ""), _read(response, self._bytes_max))

    def _late(self) -> str:
        return f"answered no whole page within {self._within_s:g} s"


class ApiAnswer(msgspec.Struct, frozen=True):
    """What an API answered, whatever the status."""

    status: int
    body: bytes

    @property
    def succeeded(self) -> bool:
        """Whether the API did what it was asked for."""
        return 200 <= self.status < 300


def call(
    method: str, url: str, document: object = None, *, within_s: float, bytes_max: int = _API_BYTES_MAX
) -> ApiAnswer:
    """One call of an API, over a connection of its own and past any proxy of the environment. `document`: sent as JSON;
    null: no body. Raises OSError where no whole answer in HTTP comes within `within_s`, ValueError for a URL that is
    none.
    """
    parts = urlsplit(url)
    connection = _connection_to(parts, verify=True)
    connection.deadline_s = time.monotonic() + within_s
    body = None if document is None else msgspec.json.encode(document)
    headers = _HEADERS if body is None else {**_HEADERS, "Content-Type": "application/json"}
    try:
        with connection.ask(method, request_target(parts), headers, body) as response:
            return ApiAnswer(response.status, _read(response, bytes_max))
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {within_s:g} s") from None
    except FetchFailed as failed:
        raise OSError(f"it {failed}") from None
    except (http.client.HTTPException, ValueError) as broken:
        raise OSError(f"it does not answer as HTTP: {broken!r}") from None
    finally:
        connection.close()


def _says_where_it_ends(response: http.client.HTTPResponse) -> bool:
    """Whether the fields that frame the body have one meaning (RFC 9112 §6.3); http.client believes the first it sees.

    Of two lengths nobody knows which is the page's; a coding other than chunked hides where it ends.
    """
    lengths = {one.strip() for one in response.headers.get_all("Content-Length", ())}
    codings = [one.strip().lower() for one in response.headers.get_all("Transfer-Encoding", ())]
    if codings:
        return codings == ["chunked"] and not lengths
    return len(lengths) <= 1 and all(one.isascii() and one.isdecimal() for one in lengths)


def _read(response: http.client.HTTPResponse, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE_BYTES):
        parts.append(piece)
        size += len(piece)
        if size > bytes_max:
            raise FetchFailed(f"answered more than {bytes_max:,} bytes")
    if response.length:
        raise FetchFailed("answered less than it said")
    return b"".join(parts)


class _Connection(http.client.HTTPConnection):
    """One whose every wait ends at `deadline_s`. `has_answered`: whether a byte has come since the last request;
    `has_ended`: whether the other side has said that no more comes.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self.deadline_s = 0.0
        self.has_answered = False
        self.has_ended = False
        self._context = context

    @property
    def left_s(self) -> float:
        """Until the deadline. Raises TimeoutError."""
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError
        return max(_SHORTEST_S, left_s)

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """The answer, of which the head is here. Raises `FetchFailed`, OSError, HTTPException, ValueError."""
        self.has_answered = self.has_ended = False
        self.request(method, target, body, headers)
        response = self.getresponse()
        if self.has_ended:  # http.client takes the end of a stream for the end of the head
            response.close()
            raise FetchFailed("answered a head that was cut short")
        if not _says_where_it_ends(response):
            response.close()
            raise FetchFailed("did not say clearly where its answer ends")
        return response

    def connect(self) -> None:
        """Connected, and secured where that is wanted, before the deadline."""
        raw = socket.create_connection((self.host, self.port), timeout=self.left_s)
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                raw.settimeout(self.left_s)
                raw = self._context.wrap_socket(raw, server_hostname=self.host)
        except BaseException:
            raw.close()
            raise
        self.sock = cast("socket.socket", _Timed(raw, self))


class _Timed:
    """A socket as `http.client` uses it. Closed, it stays open for the reader of the last answer."""

    def __init__(self, raw: socket.socket, connection: _Connection) -> None:
        self._raw = raw
        self._connection = connection
        self._incoming: _Incoming | None = None

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(self._connection.left_s)
        self._raw.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._incoming = _Incoming(self._raw, self._connection)
        return io.BufferedReader(self._incoming)

    def close(self) -> None:
        if self._incoming is None or self._incoming.closed:
            self._raw.close()
        else:
            self._incoming.is_last = True


class _Incoming(io.RawIOBase):
    """What the other side says."""

    def __init__(self, raw: socket.socket, connection: _Connection) -> None:
        self._raw = raw
        self._connection = connection
        self.is_last = False  # whether the socket is closed with it

    def close(self) -> None:
        super().close()
        if self.is_last:
            self._raw.close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._raw.settimeout(self._connection.left_s)
        count = self._raw.recv_into(buffer)
        self._connection.has_answered = self._connection.has_answered or count > 0
        self._connection.has_ended = count == 0
        return count


def _connection_to(parts: SplitResult, verify: str | bool) -> _Connection:
    """Not connected yet. Raises ValueError for a URL that is none."""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{parts.geturl()!r} is no http or https URL")
    context = _context(verify) if parts.scheme == "https" else None
    return _Connection(parts.hostname, parts.port or (443 if context else 80), context)


def _context(verify: str | bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
