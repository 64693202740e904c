"""One fan's cookies: the standard library's jar, asked only when something has changed.

The jar takes tens of microseconds for each question, and a purchase asks a dozen times with the same cookies. So the
Cookie line is kept until a cookie comes, goes, or expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from time import time
from typing import Final, cast
from urllib.parse import urlsplit
from urllib.request import Request

_POLICY: Final = DefaultCookiePolicy()
_NEVER: Final = float("inf")
_COOKIES_MAX: Final = 180  # as browsers keep of a site
_FIELD_CHARACTERS_MAX: Final = 4096


class _Asked:
    """What the jar wants to know of a request, and where it puts the line. Stands in for `urllib.request.Request`."""

    unverifiable = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = url
        self.type = parts.scheme
        self.host = parts.netloc
        self.origin_req_host = parts.hostname or ""
        self.line = ""

    def get_full_url(self) -> str:
        return self._url

    def has_header(self, name: str) -> bool:  # noqa: ARG002 - the jar's protocol
        return False

    def get_header(self, name: str, default: str | None = None) -> str | None:  # noqa: ARG002
        return default

    def add_unredirected_header(self, name: str, value: str) -> None:
        if name == "Cookie":
            self.line = value


class _Answered:
    """The Set-Cookie fields of a response. Stands in for what `urllib.request.urlopen` gives."""

    def __init__(self, fields: list[str]) -> None:
        self._message = Message()
        for field in fields:
            self._message["Set-Cookie"] = field

    def info(self) -> Message:
        return self._message


class Cookies:
    """The cookies of one browser."""

    __slots__ = ("_by_path", "_jar", "_lines", "_until_s")

    def __init__(self) -> None:
        self._jar: CookieJar | None = None  # thousands of fans never get a cookie
        self._lines: dict[str, bytes] = {}
        self._by_path = False
        self._until_s = _NEVER

    def take(self, url: str, fields: list[str]) -> None:
        """Keep what a response from this URL set or took away."""
        if self._jar is None:
            self._jar = CookieJar(_POLICY)
        fields = [field for field in fields if len(field) <= _FIELD_CHARACTERS_MAX]
        self._jar.extract_cookies(_Answered(fields), cast("Request", _Asked(url)))  # type: ignore[arg-type]
        for cookie in list(self._jar)[:-_COOKIES_MAX]:
            self._jar.clear(cookie.domain, cookie.path, cookie.name)
        self._refresh()

    def line(self, origin: str, target: str) -> bytes:
        """The whole Cookie line for a request, "" when there is none to send. `origin`: http://host:port."""
        if self._jar is None:
            return b""
        if time() >= self._until_s:
            self._refresh()
        key = f"{origin}{target}" if self._by_path else origin
        line = self._lines.get(key)
        if line is None:
            asked = _Asked(f"{origin}{target}")
            self._jar.add_cookie_header(cast("Request", asked))
            line = f"Cookie: {asked.line}\r\n".encode("latin-1", "replace") if asked.line else b""
            self._lines[key] = line
        return line

    def value(self, name: str) -> str | None:
        """The value of a cookie; null when there is none of that name."""
        found = [cookie for cookie in self if cookie.name == name]
        return found[-1].value if found else None

    def __iter__(self) -> Iterator[Cookie]:
        return iter(self._jar or ())

    def clear(self) -> None:
        """Forget all."""
        self._jar = None
        self._lines.clear()

    def _refresh(self) -> None:
        assert self._jar is not None  # noqa: S101 - called where it is there
        now_s = int(time())
        ends = [cookie.expires for cookie in self._jar if cookie.expires and cookie.expires > now_s]
        self._lines.clear()
        self._until_s = min(ends, default=_NEVER)
        self._by_path = any(cookie.path != "/" for cookie in self._jar)
