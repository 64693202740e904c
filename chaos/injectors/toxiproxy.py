"""Drives a Toxiproxy server, ours or a real one, through toxiproxy-python, and mends that client's faults in one place.

toxiproxy-python 0.1.1 keeps its endpoint on a class, waits without limit, takes an error 500 for success (so that
`disable()` says "disabled" when it is not), has no update for toxics and a `populate` that fails on host names. Here
each `Toxiproxy` has its own endpoint, every call is bounded in time, and every answer that is no success is an error.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy.api import APIConsumer

from harness.errors import EnvironmentProblem
from harness.input_file import NOT_JSON
from harness.record.collecting.fetch import call

T = TypeVar("T")
_WITHIN_S: Final = 5.0
_RESET_LASTS_S: Final = 1.0
RESET_TOXIC: Final = "gatecrash_drop"


class ToxiproxyProblem(EnvironmentProblem):
    """The server did not carry out the request. `status`: its HTTP status, 0 when it gave no answer."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ToxicState(msgspec.Struct, frozen=True):
    """A toxic as the server knows it."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]


class ProxyState(msgspec.Struct, frozen=True):
    """A proxy as the server knows it."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[ToxicState, ...] = ()


class Dropped(msgspec.Struct, frozen=True):
    """The result of a drop. `open` and `dropped` are null when the server cannot count connections."""

    exact: bool
    open: int | None = None
    dropped: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    """A success, as the library reads it."""

    url: str
    content: bytes

    def json(self) -> Any:  # noqa: ANN401 - the library reads what it likes
        """Its document. Raises ToxiproxyProblem."""
        return _decode(self, Any)


class _Endpoint:
    """One server: a base address, and within what time each call of it must be answered whole."""

    def __init__(self, url: str, within_s: float) -> None:
        self.url = url.rstrip("/")
        self._within_s = within_s

    def send(self, method: str, path: str, *, body: object = None) -> _Answer:
        """One call. Raises ToxiproxyProblem unless the answer is a success."""
        url = self.url + path
        try:
            answer = call(method, url, body, within_s=self._within_s)
        except (OSError, ValueError) as error:
            raise ToxiproxyProblem(f"the fault proxy at {self.url} does not answer: {error}") from error
        if not answer.succeeded:
            said = answer.body.decode("utf-8", "replace").strip()[:300]
            text = f"{method} {path} was refused with {answer.status}: {said}"
            raise ToxiproxyProblem(text, status=answer.status)
        return _Answer(url, answer.body)


_current: ContextVar[_Endpoint] = ContextVar("toxiproxy_endpoint")


class _RoutedConsumer(APIConsumer):  # type: ignore[misc] # the library is untyped
    """Replaces the library's consumer: it uses the endpoint of the present call, not one for the whole process."""

    @classmethod
    def get(cls, url: str, params: None = None, **_: object) -> _Answer:  # noqa: ARG003
        """GET."""
        return _current.get().send("GET", url)

    @classmethod
    def post(cls, url: str, data: None = None, json: object = None, **_: object) -> _Answer:  # noqa: ARG003
        """POST."""
        return _current.get().send("POST", url, body=json)

    @classmethod
    def delete(cls, url: str, **_: object) -> _Answer:
        """DELETE."""
        return _current.get().send("DELETE", url)


toxiproxy.server.APIConsumer = _RoutedConsumer
toxiproxy.proxy.APIConsumer = _RoutedConsumer


class Toxiproxy:
    """One Toxiproxy server at `url` (http://host:port). Every method raises ToxiproxyProblem when it fails.

    Not for use from several threads at once.
    """

    def __init__(self, url: str, *, within_s: float = _WITHIN_S) -> None:
        self.host = urlsplit(url).hostname or "127.0.0.1"
        self._endpoint = _Endpoint(url, within_s)
        self._client = toxiproxy.server.Toxiproxy()

    def version(self) -> str:
        """The server's version, e.g. 2.12.0."""
        return str(_decode(self._endpoint.send("GET", "/version"), dict[str, Any]).get("version", ""))

    def proxies(self) -> dict[str, ProxyState]:
        """Every proxy, with its toxics."""
        return _decode(self._endpoint.send("GET", "/proxies"), dict[str, ProxyState])

    def proxy(self, name: str) -> ProxyState:
        """One proxy, with its toxics."""
        return _decode(self._endpoint.send("GET", f"/proxies/{name}"), ProxyState)

    def create(self, name: str, upstream: str, listen: str = "127.0.0.1:0", *, enabled: bool = True) -> ProxyState:
        """A new proxy."""
        with self._calls():
            self._client.create(upstream=upstream, name=name, listen=listen, enabled=enabled)
        return self.proxy(name)

    def populate(self, proxies: Sequence[Mapping[str, object]]) -> tuple[ProxyState, ...]:
        """Create or replace proxies, on the server's side in one call."""
        answer = self._endpoint.send("POST", "/populate", body=list(proxies))
        return tuple(_decode(answer, dict[str, tuple[ProxyState, ...] | None])["proxies"] or ())

    def delete(self, name: str) -> None:
        """Delete a proxy."""
        with self._calls():
            self._handle(name).destroy()

    def enable(self, name: str) -> None:
        """Let a proxy listen again, and check its state."""
        self._switch(name, enabled=True)

    def disable(self, name: str) -> None:
        """Close a proxy's listener and connections, and check its state."""
        self._switch(name, enabled=False)

    def add_toxic(
        self,
        proxy: str,
        type: str,
        *,
        name: str,
        stream: str = "downstream",
        toxicity: float = 1.0,
        attributes: Mapping[str, int] | None = None,
    ) -> None:
        """Put a toxic at the end of the proxy's chain."""
        with self._calls():
            self._handle(proxy).add_toxic(
                type=type, name=name, stream=stream, toxicity=toxicity, attributes=dict(attributes or {})
            )

    def update_toxic(
        self, proxy: str, name: str, *, attributes: Mapping[str, int] | None = None, toxicity: float | None = None
    ) -> None:
        """Change a toxic; attributes that are not given stay. (toxiproxy-python cannot.)"""
        body: dict[str, object] = {} if attributes is None else {"attributes": dict(attributes)}
        if toxicity is not None:
            body["toxicity"] = toxicity
        self._endpoint.send("POST", f"/proxies/{proxy}/toxics/{name}", body=body)

    def remove_toxic(self, proxy: str, name: str) -> None:
        """Remove a toxic. A toxic that is gone already is no error, so that undoing twice is safe."""
        with self._calls():
            try:
                self._handle(proxy).destroy_toxic(name)
            except ToxiproxyProblem as problem:
                if problem.status != 404 or name in {toxic.name for toxic in self.proxy(proxy).toxics}:
                    raise

    def reset(self) -> None:
        """Enable every proxy and remove every toxic."""
        with self._calls():
            self._client.reset()

    def can_drop_exactly(self, proxy: str) -> bool:
        """Whether the server is ours and can drop exactly k % of the open connections."""
        try:
            self._endpoint.send("GET", f"/proxies/{proxy}/connections")
        except ToxiproxyProblem as problem:
            if problem.status in {404, 405}:
                return False
            raise
        return True

    def drop(self, proxy: str, percent: float, mode: str) -> Dropped:
        """Cut a share of the open connections now.

        A real Toxiproxy cannot. There a `reset_peer` toxic hits each connection with probability percent/100 when it
        next carries data, for one second: the share is only met on average, and quiet connections are spared.
        """
        if self.can_drop_exactly(proxy):
            body = {"percent": percent, "mode": mode}
            answer = self._endpoint.send("POST", f"/proxies/{proxy}/connections/drop", body=body)
            counts = _decode(answer, dict[str, int])
            return Dropped(exact=True, open=counts["open"], dropped=counts["dropped"])
        self.add_toxic(proxy, "reset_peer", name=RESET_TOXIC, toxicity=percent / 100)
        try:
            time.sleep(_RESET_LASTS_S)
        finally:
            self.remove_toxic(proxy, RESET_TOXIC)
        return Dropped(exact=False)

    def _switch(self, name: str, *, enabled: bool) -> None:
        with self._calls():
            handle = self._handle(name)
            if enabled:
                handle.enable()
            else:
                handle.disable()
        if self.proxy(name).enabled != enabled:
            raise ToxiproxyProblem(f"the proxy {name!r} is still {'disabled' if enabled else 'enabled'}")

    def _handle(self, name: str) -> toxiproxy.proxy.Proxy:
        """The library's own proxy object, made without the list of all proxies that the library asks for."""
        state = self.proxy(name)
        return toxiproxy.proxy.Proxy(
            name=state.name, upstream=state.upstream, enabled=state.enabled, listen=state.listen
        )

    @contextlib.contextmanager
    def _calls(self) -> Iterator[None]:
        """Within, the library uses this server, and its exceptions become ours."""
        token = _current.set(self._endpoint)
        try:
            yield
        except toxiproxy.server.ProxyExists as error:
            raise ToxiproxyProblem(str(error), status=409) from error
        finally:
            _current.reset(token)


def _decode(answer: _Answer, type: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=type)
    except NOT_JSON as error:
        raise ToxiproxyProblem(f"{answer.url} does not answer like Toxiproxy: {error}") from error
