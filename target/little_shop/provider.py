"""`python -m target.little_shop.provider --port P`: the payment provider, a process of its own with its own ledger.

POST /charges books under a key, once however often it is asked · GET /ledger · POST /reset · GET /healthz
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from target.little_shop.database import Database
from target.little_shop.sale.ledger import ChargeRequest, Ledger
from target.little_shop.serving import serve


class ProviderRoutes:
    """Handlers. `think_s`: how long a charge takes."""

    def __init__(self, ledger: Ledger, think_s: float) -> None:
        self._ledger = ledger
        self._think_s = think_s

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/charges", self.charge, methods=["POST"]),
            Route("/ledger", self.entries),
            Route("/reset", self.reset, methods=["POST"]),
            Route("/healthz", self.health),
        ]

    async def charge(self, request: Request) -> Response:
        """Books a charge, or tells what came of it before."""
        try:
            asked = msgspec.json.decode(await request.body(), type=ChargeRequest)
        except msgspec.DecodeError as error:
            return PlainTextResponse(f"{error}\n", 422)
        await asyncio.sleep(self._think_s)
        return _json(self._ledger.charge(asked))

    async def entries(self, _request: Request) -> Response:
        """Everything that was booked."""
        return _json(self._ledger.entries())

    async def reset(self, _request: Request) -> Response:
        """Forgets it."""
        self._ledger.reset()
        return PlainTextResponse("reset\n")

    async def health(self, _request: Request) -> Response:
        """Says that it is up."""
        return PlainTextResponse("ok\n")


def provider_app(database: str, think_s: float) -> Starlette:
    """The provider."""
    return Starlette(routes=ProviderRoutes(Ledger(Database(database)), think_s).routes())


def main(arguments: list[str]) -> int:
    """Serves until told to stop."""
    parser = argparse.ArgumentParser("python -m target.little_shop.provider")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001)
    parser.add_argument("--database", default=":memory:", metavar="FILE")
    parser.add_argument("--think-ms", type=float, default=20.0, metavar="MS", help="how long a charge takes")
    options = parser.parse_args(arguments)
    serve(provider_app(options.database, options.think_ms / 1000), options.host, options.port)
    return 0


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
