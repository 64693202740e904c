"""The shop's page of metrics, in Prometheus' format."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from target.little_shop.sale.baskets import Baskets
from target.little_shop.sale.line import Line
from target.little_shop.sale.orders import Orders


class Metrics(Collector):
    """Counts requests as they are answered; everything else is read from the tables when somebody asks."""

    def __init__(self, baskets: Baskets, orders: Orders, line: Line) -> None:
        self._baskets = baskets
        self._orders = orders
        self._line = line
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self.seconds = Histogram("shop_request_seconds", "Answers, by status", ["status"], registry=self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        yield GaugeMetricFamily("shop_waiting", "Customers in the queue", value=self._line.waiting())
        yield GaugeMetricFamily("shop_baskets_open", "Baskets", value=self._baskets.open_baskets())
        orders = GaugeMetricFamily("shop_orders", "Orders", labels=["state"])
        for state in ("pending", "confirmed", "declined"):
            orders.add_metric([state], self._orders.count(state))
        yield orders
        free = GaugeMetricFamily("shop_tickets_free", "Tickets that are left", labels=["pool"])
        for pool in self._baskets.pools():
            free.add_metric([pool.name], pool.free)
        yield free

    async def page(self, _request: Request) -> Response:
        """The page."""
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})


class Measured:
    """ASGI middleware that times each answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, and looks at the clock when the answer begins."""
        began_s = time.monotonic()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.seconds.labels(message["status"]).observe(time.monotonic() - began_s)
            await send(message)

        await self._app(scope, receive, noting if scope["type"] == "http" else send)
