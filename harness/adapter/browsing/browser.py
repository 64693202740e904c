"""One fan's browser on the recording client: cookies, redirects, forms, streams. Every hop becomes a row of REQUESTS.

The verb that runs gives a browser its step and its operation (`begin`). The first request of a verb counts from when
the fan meant it; each further one from when the one before was answered, as a browser goes on without a pause.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from time import monotonic
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import gevent
from msgspec.structs import replace
from sseclient import Event

from harness.adapter.browsing.bodies import Data, File, body_of
from harness.adapter.browsing.cookies import Cookies
from harness.adapter.browsing.page import Form, Page
from harness.adapter.browsing.site import EXPECTED, Site, header_lines, joined, page_of
from harness.adapter.errors import AdapterFault, NoAnswer
from harness.errors import InputError
from harness.platform import Call, Person, PreparedRequest
from harness.record.schema import Outcome
from harness.swarm.client import sse
from harness.swarm.client.connecting import ClientLimits, Origin
from harness.swarm.client.http import CallFailed, HttpClient, Response
from harness.swarm.client.sse import EventStream
from harness.swarm.client.types import Endpoint
from harness.swarm.client.websocket import FeedSocket
from harness.swarm.recording.recorder import Recorder

T = TypeVar("T")

HOPS_MAX: Final = 1000
"""Requests that one verb may make."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OF_THE_BODY: Final = frozenset({"content-encoding", "content-language", "content-location", "content-type"})
_REDIRECTS_MAX: Final = 10
_PORTS: Final = {"http": "80", "https": "443"}
_OF_ONE_ORIGIN: Final = frozenset({"authorization"})
_HARMLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PATIENCE_S: Final = 5.0  # beyond the limits of a request, for what an adapter does itself
_POLL_S: Final = 0.5


class Browser:
    """One browser. One greenlet at a time."""

    __slots__ = (
        "_ahead",
        "_call",
        "_clients",
        "_on_act",
        "_recorder",
        "_site",
        "_step",
        "acted",
        "cookies",
        "deadline_s",
        "hops",
        "last",
        "loses",
        "page",
        "person",
        "t_end_s",
    )

    def __init__(self, site: Site, recorder: Recorder, person: Person) -> None:
        self.person = person
        self.cookies = Cookies()
        self.page: Page | None = None  # where the fan is; its address is the Referer of what follows
        self.last: Page | None = None  # the last answer of all, for messages
        self.acted = 0  # requests of this verb that may have changed something and were answered
        self.hops = 0
        self.loses = 0  # for a check: the answer to so many-th request that acts gets lost on its way
        self.t_end_s = 0.0
        self.deadline_s = float("inf")
        self._site = site
        self._recorder = recorder
        self._clients: dict[str, HttpClient] = {}
        self._ahead: tuple[str, str, Endpoint] | None = None
        self._step = "settle"
        self._call: Call | None = None
        self._on_act: Callable[[], None] | None = None

    @property
    def site(self) -> Site:
        """The platform as this browser sees it."""
        return self._site

    # What an adapter calls.

    def get(
        self,
        path: str = "",
        *,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        expects: Collection[int] = (),
        acts: bool = False,
        follow: bool = True,
    ) -> Page:
        """The page at a path: relative to the platform's url as to a folder, or from the root with "/".

        `expects`: further statuses that are an answer; any other ends the verb. `acts`: this GET changes something, so
        a cut connection leaves it open whether it happened. `follow`: go where redirects lead. Raises `NoAnswer`.
        """
        if params:
            path = f"{path}{'&' if '?' in path else '?'}{urlencode(params, doseq=True)}"
        return self._ask("GET", path, headers, acts=acts, expects=expects, follow=follow)

    def post(
        self,
        path: str,
        data: Data | bytes | None = None,
        *,
        json: object = None,
        files: Mapping[str, File] | None = None,
        headers: Mapping[str, str] | None = None,
        expects: Collection[int] = (),
        acts: bool = True,
        follow: bool = True,
        method: str = "POST",
    ) -> Page:
        """Send a form, JSON or bytes. `files`: name → (file name, content, content type), sent as multipart."""
        body = body_of(data, json, files)
        return self._ask(method, path, headers, body, acts=acts, expects=expects, follow=follow)

    def submit(
        self,
        form: Form,
        *,
        files: Mapping[str, File] | None = None,
        headers: Mapping[str, str] | None = None,
        expects: Collection[int] = (),
        acts: bool | None = None,
        follow: bool = True,
        **fields: object,
    ) -> Page:
        """Send a form of a page with these fields changed. Null takes a field out."""
        filled = form.filled(fields)
        sends = form.method == "POST"
        acts = sends if acts is None else acts
        if not sends:
            url = f"{form.url.partition('?')[0]}?{urlencode(filled)}"
            return self._ask("GET", url, headers, acts=acts, expects=expects, follow=follow)
        body = body_of(filled, None, files, multipart=form.multipart)
        return self._ask("POST", form.url, headers, body, acts=acts, expects=expects, follow=follow)

    def poll(self, look: Callable[[], T | None], *, every_s: float = _POLL_S, within_s: float = 30.0) -> T:
        """Look until there is something, e.g. at the page of a task. Raises `NoAnswer` "timeout" after `within_s`."""
        ends_s = monotonic() + within_s
        while True:
            found = look()
            if found is not None and found is not False:
                return found
            wanted_s = max(monotonic(), self.t_end_s) + every_s
            if wanted_s > ends_s:
                raise NoAnswer("timeout", detail=f"nothing came of looking for {within_s:g} s")
            self.pause(wanted_s)

    def pause(self, until_s: float) -> None:
        """Wait until that instant of this process's monotonic clock; the next request is meant for it."""
        self.deadline_s = max(self.deadline_s, until_s + self._site.limits.whole_s + _PATIENCE_S)
        gevent.sleep(max(0.0, until_s - monotonic()))
        if self._call is not None:
            self._call = Call(t_intended_s=until_s, op=self._call.op, late_s=max(0.0, monotonic() - until_s))

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, e.g. of a CSRF token that a header must repeat; null: there is none."""
        return self.cookies.value(name)

    def events(self, path: str, *, headers: Mapping[str, str] | None = None, last_id: str = "") -> Events:
        """A stream of server-sent events. Reading raises `NoAnswer` when it ends, in order or not."""
        origin, target = self._site.locate(path)
        endpoint = replace(
            self._site.endpoint(self._step, "GET", target, acts=False, expects=EXPECTED), recorded_as="SSE"
        )
        endpoint = replace(endpoint, expects=frozenset({200}))
        client, lines, call = self._client(origin), self._lines(origin, target, _lines(headers)), self._next_call()
        response, stream = sse.connect(client, endpoint, target, call, lines, last_id)
        page = self._answered(response, f"{origin}{target}", endpoint.page)
        if stream is None:
            raise _no_answer(page, response, self._site.limits, acts=False)
        return Events(stream)

    def websocket(self, path: str, *, headers: Mapping[str, str] | None = None) -> Socket:
        """An open WebSocket, with the cookies of this browser. Raises `NoAnswer`."""
        origin, target = self._site.locate(path)
        resolved = self._resolved(origin)
        feed = FeedSocket(self._recorder, self.person, self._site.limits)
        url = f"{origin.replace('http', 'ws', 1) if origin.startswith('http') else origin}{target}"
        call = self._next_call()
        lines = self._lines(origin, target, _lines(headers), referer=False)
        page = page_of("WS", target)
        outcome, error = feed.connect(url, call, lines, step=self._step, page=page, origin=resolved)
        self.t_end_s = monotonic()
        if outcome is not Outcome.OK:
            detail = feed.detail or f"{page} was not opened: {error}"
            raise NoAnswer(error, detail=detail, retry_after_s=feed.retry_after_s)
        return Socket(feed)

    def address(self, path: str) -> str:
        """The whole address of a path."""
        origin, target = self._site.locate(path)
        return f"{origin}{target}"

    # What the kit calls.

    @property
    def first_send_s(self) -> float | None:
        """When the first byte was given to a socket."""
        sends = [client.first_send_s for client in self._clients.values() if client.first_send_s is not None]
        return min(sends, default=None)

    def begin(self, step: str, call: Call, on_act: Callable[[], None] | None = None) -> None:
        """A verb begins: its requests are of that step and serve the operation of that call.

        `on_act`: called just before the first request that may change something.
        """
        self._step = step
        self._call = call
        self._on_act = on_act
        self.acted = self.hops = 0
        self.t_end_s = 0.0
        self._extend()

    def prepare(self, path: str) -> PreparedRequest:
        """Connect and serialise the first request without sending it. Raises `CallFailed`."""
        origin, target = self._site.locate(path)
        endpoint = self._site.endpoint("queue_page", "GET", target, acts=False, expects=EXPECTED)
        prepared = self._client(origin).prepare(endpoint, target, self._lines(origin, target, b""))
        self._ahead = (origin, target, endpoint)
        return prepared

    def become(self, person: Person) -> None:
        """From now on what is asked is recorded as this person's; connections are opened anew."""
        self.close()
        self._clients.clear()
        self.person = person

    def close(self) -> None:
        """Drop the connections; cookies stay."""
        self._ahead = None
        for client in self._clients.values():
            client.close()

    # One request, and where it leads.

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        sent: tuple[bytes, bytes | None] = (b"", None),
        *,
        acts: bool,
        expects: Collection[int],
        follow: bool,
    ) -> Page:
        """`sent`: the Content-Type line and the body. Redirects lead on as those of the Fetch standard do: `headers` go
        along, but for those of a body that does not, and `Authorization` beyond its origin."""
        expected = EXPECTED.union(expects) if expects else EXPECTED
        lines, redirects = _lines(headers), 0
        while True:
            kind, body = sent
            page = self._hop(method, path, kind + lines, body, acts=acts, expects=expected)
            location = page.header("location") if follow and page.status in _REDIRECTS else ""
            if not location:
                page.headers_sent = headers or {}
                self.page = page
                return page
            redirects += 1
            if redirects > _REDIRECTS_MAX:
                detail = f"{page.asked} redirects for the {redirects}th time in a row"
                raise NoAnswer("protocol", detail=detail, status=page.status)
            path = joined(page.url, location)
            if _becomes_get(page.status, method):
                method, sent, acts = "GET", (b"", None), False
                headers = _without(headers, _OF_THE_BODY)
            if origin_in_full(path) != origin_in_full(page.url):
                headers = _without(headers, _OF_ONE_ORIGIN)
            lines = _lines(headers)

    def _hop(
        self, method: str, path: str, headers: bytes, body: bytes | None, *, acts: bool, expects: frozenset[int]
    ) -> Page:
        site = self._site
        origin, target = site.locate(path)
        if self._ahead is not None:
            self._take_ahead(origin, target, method)
        endpoint = site.endpoint(self._step, method, target, acts=acts, expects=expects)
        call = self._next_call()
        if acts and not self.acted and self._on_act is not None:
            self._on_act()
        lines = self._lines(origin, target, headers)
        if method not in _HARMLESS:
            lines += f"Origin: {_origin_of(self.page.url) if self.page else origin}\r\n".encode()
        response = self._client(origin).call(endpoint, target, call, lines, body)
        page = self._answered(response, f"{origin}{target}", endpoint.page)
        if response.error:
            raise _no_answer(
                page,
                response,
                self._site.limits,
                acts=acts and (response.status > 0 or response.outcome == Outcome.UNKNOWN),
            )
        if acts:
            self.acted += 1
            if self.acted == self.loses:
                self.loses = 0
                self.close()
                raise NoAnswer("reset", detail=f"the answer to {page.asked} was lost on purpose", acts=True)
        return page

    def _answered(self, response: Response, url: str, asked: str) -> Page:
        """Note when it was over and what cookies it brought."""
        self.t_end_s = response.t_end_s
        self.last = page = Page(url, asked, response, self._site.limits.body_bytes)
        fields = response.fields("set-cookie")
        if fields:
            self.cookies.take(url, fields)
        return page

    def _take_ahead(self, origin: str, target: str, method: str) -> None:
        """The barrier has sent the first page's request. When the adapter asks for another page first, that answer is
        read before: it was asked for, and is recorded."""
        assert self._ahead is not None  # noqa: S101 - asked by the only caller
        (ahead_origin, ahead_target, endpoint), self._ahead = self._ahead, None
        if (ahead_origin, ahead_target, "GET") == (origin, target, method):
            return
        client = self._client(ahead_origin)
        if client.sent_ahead:
            response = client.call(endpoint, ahead_target, self._next_call())
            self._answered(response, f"{ahead_origin}{ahead_target}", endpoint.page)

    def _next_call(self) -> Call:
        """The call that the next request is sent with."""
        self.hops += 1
        if self.hops > HOPS_MAX:
            raise AdapterFault(f"made more than {HOPS_MAX} requests in one verb")
        self._extend()
        call = self._call
        if call is None:
            return Call.now()
        if self.t_end_s and call.t_intended_s < self.t_end_s:
            return Call(t_intended_s=self.t_end_s, op=call.op, attempt=call.attempt)
        return call

    def _extend(self) -> None:
        limits = self._site.limits
        self.deadline_s = monotonic() + limits.connect_s + limits.whole_s + _PATIENCE_S

    def _client(self, origin: str) -> HttpClient:
        client = self._clients.get(origin)
        if client is None:
            client = HttpClient(self._resolved(origin), self._recorder, self.person, self._site.limits)
            self._clients[origin] = client
        return client

    def _resolved(self, origin: str) -> Origin:
        """Where a page leads may be nowhere."""
        try:
            return self._site.origin_of(origin)
        except InputError as error:
            raise NoAnswer("dns", detail=error.message) from None

    def _lines(self, origin: str, target: str, headers: bytes, *, referer: bool = True) -> bytes:
        """Everything that the request's head has besides what the client writes."""
        lines = self._site.headers + self.cookies.line(origin, target) + headers
        page = self.page
        if page is None or not referer:
            return lines
        return b"%bReferer: %b\r\n" % (lines, _referer(page.url, origin))


class Events:
    """An open event stream: iterate it. It never ends by itself: `NoAnswer` is raised when it is over."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    @property
    def reconnect_s(self) -> float | None:
        """How long the platform wants a reader to wait before opening it again."""
        return self._stream.reconnect_s

    def __iter__(self) -> Iterator[Event]:
        try:
            while (event := self._stream.read()) is not None:
                yield event
        finally:
            self._stream.close()
        raise NoAnswer(self._stream.error or "reset", detail="the event stream ended", retry_after_s=self.reconnect_s)


class Socket:
    """An open WebSocket: iterate its messages as text, or `send` some. `NoAnswer` is raised when it is over."""

    def __init__(self, feed: FeedSocket) -> None:
        self._feed = feed

    def send(self, text: str) -> None:
        """Send a text message."""
        try:
            self._feed.send(text.encode())
        except CallFailed as failure:
            raise NoAnswer(failure.error, detail="the WebSocket is lost") from None

    def __iter__(self) -> Iterator[str]:
        try:
            while True:
                yield self.receive()
        finally:
            self.close()

    def receive(self) -> str:
        """The next message."""
        try:
            message = self._feed.receive()
        except CallFailed as failure:
            error = failure.error
        else:
            if message is not None:
                return message.decode(errors="replace")
            error = "reset"
        wish_s = self._feed.retry_after_s
        raise NoAnswer(error, detail="the WebSocket ended", retry_after_s=wish_s)

    def close(self) -> None:
        """Leave it."""
        self._feed.close()


def _referer(url: str, origin: str) -> bytes:
    """As browsers do by default: the whole address within an origin, only the origin beyond it."""
    if url.startswith(origin) and url[len(origin) : len(origin) + 1] in ("/", ""):
        return url.encode("ascii", "replace")
    return f"{_origin_of(url)}/".encode("ascii", "replace")


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def origin_in_full(url: str) -> tuple[str, str, str]:
    """Scheme, host and port, as two addresses are compared: a shop may name itself with the usual port, or a name."""
    parts = urlsplit(url)
    port = parts.netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2]
    return parts.scheme, parts.hostname or "", port or _PORTS.get(parts.scheme, "")


def _becomes_get(status: int, method: str) -> bool:
    """Whether a redirect of that status is followed by a GET, whatever was asked before."""
    return (status in (301, 302) and method == "POST") or (status == 303 and method not in ("GET", "HEAD"))


def _without(headers: Mapping[str, str] | None, names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in (headers or {}).items() if name.lower() not in names}


def _lines(headers: Mapping[str, str] | None) -> bytes:
    return header_lines(headers) if headers else b""


def _why_none(error: str, limits: ClientLimits) -> str:
    if error == "timeout":
        in_s = f"connect_s: {limits.connect_s:g}, first_byte_s: {limits.first_byte_s:g}, whole_s: {limits.whole_s:g}"
        return f"got no whole answer in time (platform.limits has {in_s})"
    if error == "too_large":
        return f"has an answer of more than platform.limits.body_bytes, {limits.body_bytes:,}"
    return f"got no answer: {error}"


def _no_answer(page: Page, response: Response, limits: ClientLimits, *, acts: bool) -> NoAnswer:
    if response.status:
        detail = f"{page.asked} was answered with status {response.status}: {page.excerpt()}"
    else:
        detail = response.detail or f"{page.asked} {_why_none(response.error, limits)}"
    return NoAnswer(
        response.error,
        detail=detail,
        status=response.status,
        acts=acts,
        retry_after_s=response.retry_after_s if response.status else None,
    )
