"""`python -m target.little_shop.room --shop URL --port P`: a third party's waiting room, on a host of its own.

The shop sends customers here. When it is their turn, the room sends their browser back with a pass that it has signed
with the secret that both know (LITTLE_SHOP_ROOM_SECRET).
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from typing import Final
from urllib.parse import urlsplit

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from target.little_shop.database import Database
from target.little_shop.sale.line import Line, Stage
from target.little_shop.sale.passes import sign
from target.little_shop.serving import serve
from target.little_shop.settings import DEFAULT_SECRET, Queue, Settings
from target.little_shop.web.pages import TEMPLATES

COOKIE: Final = "room_visitor"


class RoomRoutes:
    """Handlers. Customers are sent back to `shop` only."""

    def __init__(self, settings: Settings, shop: str) -> None:
        self._database = Database(":memory:")
        self._line = Line(self._database, settings)
        self._secret = settings.room_secret
        self._shop = urlsplit(shop)
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
        self._page = environment.get_template("room.html")

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/line", self.place),
            Route("/reset", self.reset, methods=["POST"]),
            Route("/healthz", self.health),
        ]

    async def place(self, request: Request) -> Response:
        """The customer's position, or the way back to the shop."""
        back = request.query_params.get("return", "")
        if urlsplit(back)[:2] != self._shop[:2]:
            return PlainTextResponse(f"customers of {self._shop.geturl()} only\n", 400)
        session = request.cookies.get(COOKIE) or secrets.token_urlsafe(18)
        self._line.join(session)
        place = self._line.place(session)
        response: Response
        if place.stage in {Stage.CALLED, Stage.INSIDE}:
            self._line.enter(session)
            response = RedirectResponse(f"{back}?pass={sign(place.number or 0, self._secret)}", 303)
        else:
            response = HTMLResponse(self._page.render(position=place.position))
        response.headers["cache-control"] = "no-store"
        response.set_cookie(COOKIE, session, httponly=True, samesite="lax")
        return response

    async def reset(self, request: Request) -> Response:
        """Forgets everybody."""
        if request.headers.get("authorization") != f"Bearer {self._secret}":
            return PlainTextResponse("the secret is missing or wrong\n", 401)
        self._database.run("DELETE FROM line")
        self._line.start()
        return PlainTextResponse("reset\n")

    async def health(self, _request: Request) -> Response:
        """Says that it is up."""
        return PlainTextResponse("ok\n")


def main(arguments: list[str]) -> int:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser("python -m target.little_shop.room")
    parser.add_argument("--shop", required=True, metavar="URL", help="where the customers come from")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--admit-per-s", type=float, default=20.0, metavar="N")
    options = parser.parse_args(arguments)
    secret = os.environ.get("LITTLE_SHOP_ROOM_SECRET", DEFAULT_SECRET)
    settings = Settings(queue=Queue.POLLING, admit_per_s=options.admit_per_s, room_secret=secret)
    serve(Starlette(routes=RoomRoutes(settings, options.shop).routes()), options.host, options.port)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
