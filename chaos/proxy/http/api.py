"""The HTTP API, route by route as Toxiproxy 2.12.0 answers; our extensions are absent in strict mode."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec

from chaos.proxy.address import literal
from chaos.proxy.collection import Collection, PopulateError
from chaos.proxy.http.http_request import ApiRequest
from chaos.proxy.http.http_server import ApiResponse, text
from chaos.proxy.http.messages import (
    ApiError,
    DropInput,
    LeasedToxicChange,
    LeasedToxicInput,
    ProxyDocument,
    ProxyInput,
    RequestBody,
    ToxicChange,
    ToxicInput,
    ToxicProxyInput,
    bad_body,
    read_body,
    toxic_document,
)
from chaos.proxy.http.metrics import METRICS_CONTENT_TYPE, metrics_page

VERSION: Final = "2.12.0"
ANY_HOST: Final = "*"
"""Allows every Host."""

_ANY_METHOD: Final = "*"
_NAME: Final = "*"
_HANDLER_TIMEOUT_S: Final = 25.0
_TIMEOUT_PAGE: Final = b"<html><head><title>Timeout</title></head><body><h1>Timeout</h1></body></html>"
_PATH_SAFE: Final = "$&+,:;=@"
_Handler: TypeAlias = Callable[..., Awaitable[ApiResponse]]  # (body, the names in the path)
_Routes: TypeAlias = Mapping[tuple[str, ...], Mapping[str, _Handler]]


class PopulateDocument(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer to populate. `proxies` is null when there is none."""

    error: str = ""
    status: int = 0
    proxies: tuple[ProxyDocument, ...] | None


class DropDocument(msgspec.Struct, frozen=True):
    """How many connections were open, and how many of them were cut."""

    open: int
    dropped: int


class Api:
    """The API over these proxies. `strict`: without our extensions; `metrics`: with a Prometheus page.

    A page in a browser can make any name resolve to this machine (DNS rebinding). That is why a request must name an IP
    address, localhost, or one of `hosts` as its Host.
    """

    def __init__(self, collection: Collection, *, strict: bool, metrics: bool, hosts: Iterable[str] = ()) -> None:
        self._routes = _routes(_Handlers(collection, strict=strict), strict=strict, metrics=metrics)
        self._hosts = frozenset(host.lower() for host in hosts)

    async def answer(self, request: ApiRequest) -> ApiResponse:
        """What Toxiproxy answers to this request."""
        if not _host_is_allowed(request.host, self._hosts):
            return text("Host not allowed: start the server with --allow-host\n", 403)
        if request.method == "OPTIONS" and request.target.path == "*":
            return ApiResponse(200)
        segments = request.target.segments()
        if (wanted := _cleaned(segments)) != segments:
            return ApiResponse(301, headers={"Location": _location(request, wanted)})
        for pattern, methods in self._routes.items():
            names = _names(pattern, wanted[1:])
            if names is not None:
                handler = methods.get(request.method) or methods.get(_ANY_METHOD)
                return ApiResponse(405) if handler is None else await _handled(handler, request, names)
        return text("404 page not found\n", 404)


async def _handled(handler: _Handler, request: ApiRequest, names: Sequence[str]) -> ApiResponse:
    """The handler's answer with an id of the request; errors become Toxiproxy's answers."""
    request_id = base64.b32hexencode(secrets.token_bytes(12)).decode().rstrip("=").lower()
    response = await _guarded(handler, request, names)
    headers = {**response.headers, "X-Toxiproxy-Request-Id": request_id}
    return msgspec.structs.replace(response, headers=headers)


async def _guarded(handler: _Handler, request: ApiRequest, names: Sequence[str]) -> ApiResponse:
    """Refuse browsers, and end what takes too long."""
    if request.user_agent.startswith("Mozilla/"):
        return text("User agent not allowed\n", 403)
    try:
        async with asyncio.timeout(_HANDLER_TIMEOUT_S):
            return await handler(request.body, *names)
    except ApiError as error:
        document = msgspec.json.encode({"error": error.message, "status": error.status}).decode()
        return text(f"{document}\n", error.status)
    except TimeoutError:
        return ApiResponse(503, _TIMEOUT_PAGE, {"Content-Type": "text/html; charset=utf-8"})


def _host_is_allowed(given: str, allowed: frozenset[str]) -> bool:
    host = given[1:].partition("]")[0] if given.startswith("[") else given.partition(":")[0]
    name = host.lower().removesuffix(".")
    if not name or literal(name) is not None or ANY_HOST in allowed:
        return True
    return name in allowed or name == "localhost" or name.endswith(".localhost")


def _cleaned(segments: Sequence[str]) -> list[str]:
    """The parts of the path without empty ones and dots; a slash at the end stays."""
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment not in {"", "."}:
            kept.append(segment)
    return ["", *kept, ""] if segments[-1] == "" or not kept else ["", *kept]


def _location(request: ApiRequest, segments: Sequence[str]) -> str:
    path = "/".join(quote(segment, safe=_PATH_SAFE, errors="surrogateescape") for segment in segments)
    return request.target.origin + path + request.target.query


def _names(pattern: tuple[str, ...], segments: Sequence[str]) -> list[str] | None:
    """The names in a path, if it is one of this pattern."""
    if len(pattern) != len(segments):
        return None
    if not all(part == segment if part != _NAME else segment for part, segment in zip(pattern, segments, strict=True)):
        return None
    return [segment for part, segment in zip(pattern, segments, strict=True) if part == _NAME]


def _routes(handlers: _Handlers, *, strict: bool, metrics: bool) -> _Routes:
    one, toxics = ("proxies", _NAME), ("proxies", _NAME, "toxics")
    updates: dict[str, _Handler] = {"POST": handlers.update, "PATCH": handlers.update}
    toxic_updates: dict[str, _Handler] = {"POST": handlers.update_toxic, "PATCH": handlers.update_toxic}
    routes: dict[tuple[str, ...], Mapping[str, _Handler]] = {
        ("version",): {"GET": handlers.version},
        ("reset",): {"POST": handlers.reset},
        ("populate",): {"POST": handlers.populate},
        ("proxies",): {"GET": handlers.proxies, "POST": handlers.create},
        one: {"GET": handlers.show, "DELETE": handlers.delete, **updates},
        toxics: {"GET": handlers.toxics, "POST": handlers.create_toxic},
        (*toxics, _NAME): {"GET": handlers.show_toxic, "DELETE": handlers.delete_toxic, **toxic_updates},
    }
    if metrics:
        routes[("metrics",)] = {_ANY_METHOD: handlers.metrics}
    if not strict:
        routes[(*one, "connections")] = {"GET": handlers.connections}
        routes[(*one, "connections", "drop")] = {"POST": handlers.drop}
    return routes


def _json(document: object, status: int = 200) -> ApiResponse:
    return ApiResponse(status, msgspec.json.encode(document), {"Content-Type": "application/json"})


def _nothing() -> ApiResponse:
    return ApiResponse(204)


class _Handlers:
    """Each takes the body and the names in the path."""

    def __init__(self, collection: Collection, *, strict: bool) -> None:
        self._all = collection
        self._proxy_input: type[ProxyInput] = ProxyInput if strict else ToxicProxyInput
        self._toxic_input: type[ToxicInput] = ToxicInput if strict else LeasedToxicInput
        self._toxic_change: type[ToxicChange] = ToxicChange if strict else LeasedToxicChange

    async def version(self, _: RequestBody) -> ApiResponse:
        shown = f'{{"version": "{VERSION}"}}\n'
        return ApiResponse(200, shown.encode(), {"Content-Type": "application/json;charset=utf-8"})

    async def reset(self, _: RequestBody) -> ApiResponse:
        await self._all.reset()
        return _nothing()

    async def populate(self, body: RequestBody) -> ApiResponse:
        entries: Any = tuple[self._proxy_input, ...]  # type: ignore[name-defined]
        try:
            done = await self._all.populate(await read_body(body, entries))
        except PopulateError as error:
            stand = tuple(proxy.document() for proxy in error.done) or None
            return _json(PopulateDocument(error=error.message, status=error.status, proxies=stand), error.status)
        except ApiError as error:
            return _json(PopulateDocument(error=error.message, status=error.status, proxies=None), error.status)
        return _json(PopulateDocument(proxies=tuple(proxy.document() for proxy in done) or None), 201)

    async def proxies(self, _: RequestBody) -> ApiResponse:
        return _json({proxy.name: proxy.document() for proxy in self._all.all()})

    async def create(self, body: RequestBody) -> ApiResponse:
        proxy = await self._all.create(await read_body(body, self._proxy_input))
        return _json(proxy.document(), 201)

    async def show(self, _: RequestBody, name: str) -> ApiResponse:
        return _json(self._all.get(name).document())

    async def update(self, body: RequestBody, name: str) -> ApiResponse:
        self._all.get(name)
        proxy = await self._all.update(name, await read_body(body, ProxyInput))
        return _json(proxy.document())

    async def delete(self, _: RequestBody, name: str) -> ApiResponse:
        await self._all.remove(name)
        return _nothing()

    async def toxics(self, _: RequestBody, name: str) -> ApiResponse:
        return _json([toxic_document(toxic) for toxic in self._all.get(name).toxics()])

    async def create_toxic(self, body: RequestBody, name: str) -> ApiResponse:
        self._all.get(name)
        given = await read_body(body, self._toxic_input)
        return _json(toxic_document(self._all.get(name).add_toxic(given)))

    async def show_toxic(self, _: RequestBody, name: str, toxic: str) -> ApiResponse:
        return _json(toxic_document(self._all.get(name).toxic(toxic)))

    async def update_toxic(self, body: RequestBody, name: str, toxic: str) -> ApiResponse:
        self._all.get(name).toxic(toxic)
        given = await read_body(body, self._toxic_change)
        return _json(toxic_document(self._all.get(name).update_toxic(toxic, given)))

    async def delete_toxic(self, _: RequestBody, name: str, toxic: str) -> ApiResponse:
        self._all.get(name).remove_toxic(toxic)
        return _nothing()

    async def connections(self, _: RequestBody, name: str) -> ApiResponse:
        return _json(self._all.get(name).connections())

    async def drop(self, body: RequestBody, name: str) -> ApiResponse:
        self._all.get(name)
        given = await read_body(body, DropInput)
        if not 0 <= given.percent <= 100:
            raise bad_body("percent must be between 0 and 100")
        return _json(DropDocument(*self._all.get(name).drop(given.percent, given.mode)))

    async def metrics(self, _: RequestBody) -> ApiResponse:
        return ApiResponse(200, metrics_page(self._all.all()), {"Content-Type": METRICS_CONTENT_TYPE})
