"""The pages of the queue, and how a browser learns its position: by asking again, as events, or over a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from target.little_shop.sale.baskets import RefusedError
from target.little_shop.sale.line import Line, Place, Stage
from target.little_shop.sale.passes import verify
from target.little_shop.settings import Queue, Settings
from target.little_shop.web.pages import Pages
from target.little_shop.web.visitors import read_form, visitor

LOOK_EVERY_S: Final = 0.2
OVER: Final = (Stage.OUTSIDE, Stage.NOT_DRAWN, Stage.CALLED, Stage.INSIDE)


class QueueRoutes:
    """Handlers."""

    def __init__(self, line: Line, pages: Pages, settings: Settings) -> None:
        self._line = line
        self._pages = pages
        self._settings = settings

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/queue", self.place),
            Route("/queue", self.join, methods=["POST"]),
            Route("/queue/enter", self.enter, methods=["POST"]),
            Route("/queue/events", self.events),
            WebSocketRoute("/queue/socket", self.socket),
            Route("/admitted", self.admitted),
        ]

    async def place(self, request: Request) -> Response:
        """Where the customer stands; the third party's waiting room has a page of its own for that."""
        who = visitor(request)
        place = self._line.place(who.session)
        if place.stage is Stage.INSIDE or not self._line.is_open:
            return self._pages.go_to("/", who)
        if self._settings.queue is Queue.ROOM:
            scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
            back = f"{scheme}://{request.headers['host']}{self._settings.base_path}/admitted"
            return self._pages.go_to(f"{self._settings.room_url.rstrip('/')}/line?return={quote(back, safe='')}", who)
        if place.stage is Stage.OUTSIDE:
            return self._pages.go_to("/", who)
        news, draw_in_s = self._settings.queue, self._line.draw_in_s
        return self._pages.show("queue", who, place=place, news=news, draw_in_s=draw_in_s)

    async def join(self, request: Request) -> Response:
        """Takes a place."""
        who = visitor(request)
        await read_form(request, who)
        if self._settings.queue is not Queue.ROOM:
            self._line.join(who.session)
        return self._pages.go_to("/queue", who)

    async def enter(self, request: Request) -> Response:
        """Goes in, when it is the customer's turn."""
        who = visitor(request)
        await read_form(request, who)
        if not self._line.enter(who.session):
            raise RefusedError("queue", "It is not your turn yet.", 403)
        return self._pages.go_to("/", who)

    async def admitted(self, request: Request) -> Response:
        """The third party's waiting room sends customers here, with a pass that it has signed."""
        who = visitor(request)
        number = verify(request.query_params.get("pass", ""), self._settings.room_secret)
        if self._settings.queue is not Queue.ROOM or number is None or not self._line.let_in(who.session, number):
            raise RefusedError("queue", "This pass is not valid. Please go back to the queue.", 403)
        return self._pages.go_to("/", who)

    async def events(self, request: Request) -> Response:
        """Positions as server-sent events, until it is the customer's turn."""
        if self._settings.queue is not Queue.SSE:
            raise RefusedError("missing", "This queue sends no events.", 404)
        return StreamingResponse(self._events(visitor(request).session), media_type="text/event-stream")

    async def socket(self, socket: WebSocket) -> None:
        """Positions over a WebSocket, until it is the customer's turn."""
        if self._settings.queue is not Queue.WEBSOCKET:
            await socket.close()
            return
        await socket.accept()
        try:
            async for place in self._news(visitor(socket).session):
                told = {"called": True, "number": place.number} if _is_over(place) else {"position": place.position}
                await socket.send_text(msgspec.json.encode(told).decode())
            await socket.close()
        except (WebSocketDisconnect, RuntimeError):  # the customer has left
            return

    async def _events(self, session: str) -> AsyncIterator[str]:
        async for place in self._news(session):
            yield f"event: called\ndata: {place.number}\n\n" if _is_over(place) else _event(place)

    async def _news(self, session: str) -> AsyncIterator[Place]:
        """The place whenever it has changed; ends with the one that is called in."""
        told: Place | None = None
        while told is None or not _is_over(told):
            place = self._line.place(session)
            if place != told:
                told = place
                yield place
            else:
                await asyncio.sleep(LOOK_EVERY_S)


def _event(place: Place) -> str:
    return f"event: position\ndata: {place.position}\n\n"


def _is_over(place: Place) -> bool:
    return place.stage in OVER
