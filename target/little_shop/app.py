"""Puts the shop together: tables, parts, pages and error pages, as one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from target.little_shop.database import Database
from target.little_shop.plants import BASKETS, LINES, ORDERS
from target.little_shop.sale.baskets import Baskets, RefusedError
from target.little_shop.sale.ledger import Ledger
from target.little_shop.sale.line import Line
from target.little_shop.sale.orders import Orders
from target.little_shop.sale.payments import OwnLedger, Payments, Provider
from target.little_shop.settings import Settings
from target.little_shop.web.customer import CustomerRoutes
from target.little_shop.web.feed import FeedRoutes
from target.little_shop.web.metrics import Measured, Metrics
from target.little_shop.web.operator import OperatorRoutes
from target.little_shop.web.pages import Pages
from target.little_shop.web.queue_pages import QueueRoutes
from target.little_shop.web.visitors import Accounts, visitor

EXPIRE_EVERY_S: Final = 0.25


def shop_app(settings: Settings) -> Starlette:
    """The shop."""
    database = Database(settings.database)
    payments = _payments(settings, database)
    baskets = BASKETS.get(settings.plant, Baskets)(database, settings)
    orders = ORDERS.get(settings.plant, Orders)(database, baskets, payments, settings)
    line = LINES.get(settings.plant, Line)(database, settings)
    pages = Pages(settings.base_path)
    metrics = Metrics(baskets, orders, line)
    baskets.put_on_sale()
    customer = CustomerRoutes(baskets, orders, line, Accounts(settings.login, database), pages, settings)
    routes: list[BaseRoute] = [
        *customer.routes(),
        *QueueRoutes(line, pages, settings).routes(),
        *FeedRoutes(database, baskets).routes(),
        *OperatorRoutes(database, baskets, orders, line, payments, settings).routes(),
    ]
    own: list[BaseRoute] = [Route("/metrics", metrics.page), Route("/healthz", _health)]
    if settings.base_path:
        routes = [Route(settings.base_path, customer.front), Mount(settings.base_path, routes=routes)]
    return Starlette(
        routes=[*own, *routes],
        middleware=[Middleware(Measured, metrics=metrics)],
        exception_handlers={
            RefusedError: partial(_refused, pages),
            HTTPException: partial(_refused, pages),
            Exception: partial(_failed, pages),
        },
        lifespan=partial(_lifespan, baskets=baskets, orders=orders, payments=payments),
    )


@asynccontextmanager
async def _lifespan(_app: Starlette, baskets: Baskets, orders: Orders, payments: Payments) -> AsyncIterator[None]:
    orders.resume()
    expiring = asyncio.create_task(_expire(baskets))
    yield
    expiring.cancel()
    await orders.forget()
    await payments.close()


async def _expire(baskets: Baskets) -> None:
    while True:
        baskets.expire()
        await asyncio.sleep(EXPIRE_EVERY_S)


def _payments(settings: Settings, database: Database) -> Payments:
    if settings.payments_url:
        return Provider(settings.payments_url, settings.payment_timeout_s)
    return OwnLedger(Ledger(database))


async def _refused(pages: Pages, request: Request, error: Exception) -> Response:
    """The page that says no, in the words of the refusal."""
    if isinstance(error, HTTPException):
        error = RefusedError("missing", "There is no such page.", error.status_code)
    assert isinstance(error, RefusedError)  # noqa: S101 - nothing else is handled here
    return pages.show("error", visitor(request), error.status, error=error)


async def _failed(pages: Pages, request: Request, _error: Exception) -> Response:
    """The page that apologises."""
    error = RefusedError("failed", "Something went wrong. We are looking into it.", 500)
    return pages.show("error", visitor(request), error.status, error=error)


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")
