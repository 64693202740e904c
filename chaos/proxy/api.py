"""The HTTP API, route by route as Toxiproxy 2.12.0 answers; our extensions are absent in strict mode."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from chaos.proxy.collection import Collection, PopulateError
from chaos.proxy.messages import (
    ApiError,
    DropInput,
    LeasedToxicInput,
    ProxyDocument,
    ProxyInput,
    ToxicInput,
    ToxicProxyInput,
    bad_body,
    read_body,
    toxic_document,
)
from chaos.proxy.metrics import METRICS_CONTENT_TYPE, metrics_page

VERSION: Final = "2.12.0"
_HANDLER_TIMEOUT_S: Final = 25.0
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PopulateDocument(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer to populate. `proxies` is null when there is none."""

    error: str = ""
    status: int = 0
    proxies: tuple[ProxyDocument, ...] | None


class DropDocument(msgspec.Struct, frozen=True):
    """How many connections were open, and how many of them were cut."""

    open: int
    dropped: int


def application(collection: Collection, *, strict: bool, metrics: bool) -> web.Application:
    """The API over these proxies. `strict`: without our extensions; `metrics`: with a Prometheus page."""
    api = _Api(collection, strict=strict)
    app = web.Application(middlewares=[_guard])
    router = app.router
    router.add_get("/version", api.version, allow_head=False)
    router.add_post("/reset", api.reset)
    router.add_post("/populate", api.populate)
    router.add_get("/proxies", api.proxies, allow_head=False)
    router.add_post("/proxies", api.create)
    one = "/proxies/{proxy}"
    router.add_get(one, api.show, allow_head=False)
    router.add_delete(one, api.delete)
    toxics = one + "/toxics"
    router.add_get(toxics, api.toxics, allow_head=False)
    router.add_post(toxics, api.create_toxic)
    toxic = toxics + "/{toxic}"
    router.add_get(toxic, api.show_toxic, allow_head=False)
    router.add_delete(toxic, api.delete_toxic)
    for method in ("POST", "PATCH"):
        router.add_route(method, one, api.update)
        router.add_route(method, toxic, api.update_toxic)
    if metrics:
        router.add_get("/metrics", api.metrics, allow_head=False)
    if not strict:
        router.add_get(one + "/connections", api.connections, allow_head=False)
        router.add_post(one + "/connections/drop", api.drop)
    return app


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn errors into Toxiproxy's answers, refuse browsers, and end what takes too long."""
    if request.match_info.http_exception is not None:
        status = request.match_info.http_exception.status
        return _text("404 page not found\n", 404) if status == 404 else web.Response(status=status)
    if request.headers.get("User-Agent", "").startswith("Mozilla/"):
        return _text("User agent not allowed\n", 403)
    try:
        async with asyncio.timeout(_HANDLER_TIMEOUT_S):
            return await handler(request)
    except ApiError as error:
        body = msgspec.json.encode({"error": error.message, "status": error.status}).decode()
        return _text(f"{body}\n", error.status)
    except TimeoutError:
        return web.Response(status=503)


def _text(text: str, status: int) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    return web.Response(text=text, status=status, content_type="text/plain", charset="utf-8", headers=headers)


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


def _nothing() -> web.Response:
    return web.Response(status=204)


class _Api:
    def __init__(self, collection: Collection, *, strict: bool) -> None:
        self._all = collection
        self._proxy_input = ProxyInput if strict else ToxicProxyInput
        self._toxic_input = ToxicInput if strict else LeasedToxicInput

    async def version(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        return web.Response(text=f'{{"version": "{VERSION}"}}\n', content_type="application/json", charset="utf-8")

    async def reset(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        await self._all.reset()
        return _nothing()

    async def populate(self, request: web.Request) -> web.Response:
        try:
            done = await self._all.populate(read_body(await request.read(), list[self._proxy_input]))  # type: ignore[name-defined]
        except PopulateError as error:
            stand = tuple(proxy.document() for proxy in error.done) or None
            return _json(PopulateDocument(error=error.message, status=error.status, proxies=stand), error.status)
        except ApiError as error:
            return _json(PopulateDocument(error=error.message, status=error.status, proxies=None), error.status)
        return _json(PopulateDocument(proxies=tuple(proxy.document() for proxy in done) or None), 201)

    async def proxies(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        return _json({proxy.name: proxy.document() for proxy in self._all.all()})

    async def create(self, request: web.Request) -> web.Response:
        proxy = await self._all.create(read_body(await request.read(), self._proxy_input))
        return _json(proxy.document(), 201)

    async def show(self, request: web.Request) -> web.Response:
        return _json(self._all.get(request.match_info["proxy"]).document())

    async def update(self, request: web.Request) -> web.Response:
        name = request.match_info["proxy"]
        self._all.get(name)
        proxy = await self._all.update(name, read_body(await request.read(), ProxyInput))
        return _json(proxy.document())

    async def delete(self, request: web.Request) -> web.Response:
        await self._all.remove(request.match_info["proxy"])
        return _nothing()

    async def toxics(self, request: web.Request) -> web.Response:
        proxy = self._all.get(request.match_info["proxy"])
        return _json([toxic_document(toxic) for toxic in proxy.toxics()])

    async def create_toxic(self, request: web.Request) -> web.Response:
        proxy = self._all.get(request.match_info["proxy"])
        return _json(toxic_document(proxy.add_toxic(read_body(await request.read(), self._toxic_input))))

    async def show_toxic(self, request: web.Request) -> web.Response:
        proxy = self._all.get(request.match_info["proxy"])
        return _json(toxic_document(proxy.toxic(request.match_info["toxic"])))

    async def update_toxic(self, request: web.Request) -> web.Response:
        proxy = self._all.get(request.match_info["proxy"])
        name = request.match_info["toxic"]
        proxy.toxic(name)
        return _json(toxic_document(proxy.update_toxic(name, read_body(await request.read(), self._toxic_input))))

    async def delete_toxic(self, request: web.Request) -> web.Response:
        self._all.get(request.match_info["proxy"]).remove_toxic(request.match_info["toxic"])
        return _nothing()

    async def connections(self, request: web.Request) -> web.Response:
        return _json(self._all.get(request.match_info["proxy"]).connections())

    async def drop(self, request: web.Request) -> web.Response:
        proxy = self._all.get(request.match_info["proxy"])
        given = read_body(await request.read(), DropInput)
        if not 0 <= given.percent <= 100:
            raise bad_body("percent must be between 0 and 100")
        return _json(DropDocument(*proxy.drop(given.percent, given.mode)))

    async def metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        return web.Response(body=metrics_page(self._all.all()), headers={"Content-Type": METRICS_CONTENT_TYPE})
