"""The booking API as an ASGI application: the parts of each event, their routes, and the jobs that run beside them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from starlette.applications import Starlette
from starlette.routing import Route

from target.context import Context
from target.http.app import api
from target.http.process_routes import health_route, metrics_route
from target.operator import StatusRoute
from target.orders import REPLAY_PERIOD_S, JournalReplay, OrderLookup, OrderRoutes, ParkingJournal, WebhookRoutes
from target.queue import QueueRoutes, fastest_per_s
from target.roles.composition import checkouts_of, compose_all
from target.runtime.jobs import beside, every, lasting
from target.seats import ATTEND_EVERY_S, Attendance
from target.settings import Settings, SettingsError
from target.web import WebRoutes

CHALLENGE_HEAD_START_S: Final = 30.0
JOIN_HEAD_START_S: Final = 60.0


def create(settings: Settings) -> Starlette:
    """One booking process. It starts serving also while its dependencies are away."""
    connections, contexts = compose_all(settings)
    sales = [_Sale(context) for context in contexts]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await connections.open()
        async with beside([*(job for sale in sales for job in sale.jobs()), *connections.probes()]):
            yield
        await connections.close()

    routes = [  # looked through in this order: what a crowd asks for first stands first
        *WebRoutes((context.settings, context.venue.layout.title) for context in contexts).routes(),
        *(route for sale in sales for route in sale.routes()),
        OrderLookup(sale.orders for sale in sales).route(),
        WebhookRoutes((sale.checkouts for sale in sales), settings.webhook_secret).route(),
        StatusRoute(
            connections.redis, connections.payments, connections.shards, [context.keys for context in contexts]
        ).route(),
        health_route,
        metrics_route,
    ]
    return api(
        "gatecrash reference booking system",
        routes,
        events=settings.events,
        lifespan=lifespan,
        head_starts_s={path: start_s for event in settings.events for path, start_s in _head_starts_s(event).items()},
    )


def _head_starts_s(event: str) -> dict[str, float]:
    """Of what a crowd asks for, in this order, until it stands in line."""
    base = f"/api/events/{event}"
    return {f"/queue/{event}": 0.0, f"{base}/challenge": CHALLENGE_HEAD_START_S, f"{base}/queue": JOIN_HEAD_START_S}


class _Sale:
    """One event on sale."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.hub = context.stream_hub(context.room, rate_per_s=fastest_per_s(context.settings))
        self.checkouts = checkouts_of(context)
        self.orders = OrderRoutes(context.signer, context.venue, self.checkouts)
        if context.settings.parking_path:
            _open(context.parking.journal)

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """Endless."""
        replay = JournalReplay(self.checkouts)
        attendance = Attendance(self._context.redis, self._context.keys, self._context.inventory)
        return [
            lasting(self.hub.run),
            lasting(self._context.conflicts.run),
            lasting(self._context.seat_map.run),
            every(REPLAY_PERIOD_S, replay.replay),
            every(ATTEND_EVERY_S, attendance.attend),
        ]

    def routes(self) -> list[Route]:
        it = self._context
        return [
            *QueueRoutes(it.settings, it.signer, it.entrance, it.room, self.hub).routes(),
            *it.seat_routes(it.settings, it.signer, it.venue, it.seat_map, it.inventory, it.conflicts).routes(),
            *self.orders.routes(),
        ]


def _open(journal: ParkingJournal) -> None:
    try:
        journal.open()
    except OSError as error:
        raise SettingsError(f"TARGET_PARKING_PATH: {error}") from error
