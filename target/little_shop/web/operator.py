"""The operator's area, behind a bearer token: exports as CSV, the stock as JSON, and a reset before a rehearsal."""

from __future__ import annotations

import csv
import hmac
import io
from collections.abc import Iterable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from target.little_shop.database import Database
from target.little_shop.sale.baskets import Baskets
from target.little_shop.sale.ledger import Charge
from target.little_shop.sale.line import Line
from target.little_shop.sale.orders import Orders, SoldItem
from target.little_shop.sale.payments import Payments, PaymentUnknownError
from target.little_shop.settings import Settings

TABLES: Final = ("pools", "seats", "items", "baskets", "orders", "line", "accounts", "changes")


class OperatorRoutes:
    """Handlers."""

    def __init__(
        self, database: Database, baskets: Baskets, orders: Orders, line: Line, payments: Payments, settings: Settings
    ) -> None:
        self._database = database
        self._baskets = baskets
        self._orders = orders
        self._line = line
        self._payments = payments
        self._token = f"Bearer {settings.operator_token}".encode()

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/operator/stock", self.stock),
            Route("/operator/orders.csv", self.orders),
            Route("/operator/payments.csv", self.payments),
            Route("/operator/reset", self.reset, methods=["POST"]),
        ]

    async def stock(self, request: Request) -> Response:
        """Each pool and each seat as it is now."""
        if not self._may(request):
            return _unauthorized()
        pools = [
            {
                **msgspec.structs.asdict(pool),
                "held": self._baskets.held(pool.name),
                "sold": self._orders.sold(pool.name),
            }
            for pool in self._baskets.pools()
        ]
        seats = [{"name": seat.name, "state": seat.state} for seat in self._baskets.seats()]
        return JSONResponse({"pools": pools, "seats": seats, "pending_orders": self._orders.count("pending")})

    async def orders(self, request: Request) -> Response:
        """Every order, a row for each of its items."""
        return _csv(SoldItem, self._orders.export()) if self._may(request) else _unauthorized()

    async def payments(self, request: Request) -> Response:
        """The payment provider's ledger."""
        if not self._may(request):
            return _unauthorized()
        try:
            return _csv(Charge, await self._payments.entries())
        except PaymentUnknownError as error:
            return PlainTextResponse(f"the payment provider does not answer: {error}\n", 502)

    async def reset(self, request: Request) -> Response:
        """Sells everything from the beginning, as if the shop had just been installed."""
        if not self._may(request):
            return _unauthorized()
        await self._orders.forget()
        try:
            await self._payments.reset()
        except PaymentUnknownError as error:
            return PlainTextResponse(f"the payment provider does not answer: {error}\n", 502)
        with self._database.transaction():
            for table in TABLES:
                self._database.run(f"DELETE FROM {table}")
        self._baskets.put_on_sale()
        self._line.start()
        return PlainTextResponse("reset\n")

    def _may(self, request: Request) -> bool:
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token)


def _unauthorized() -> Response:
    return PlainTextResponse("the operator's token is missing or wrong\n", 401, {"www-authenticate": "Bearer"})


def _csv(kind: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> Response:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(kind.__struct_fields__)
    lines.writerows(msgspec.structs.astuple(row) for row in rows)
    return Response(text.getvalue(), media_type="text/csv")
