"""The booking API as an ASGI application: the parts, their routes, and the jobs that run beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from target.checkouts import Checkouts
from target.context import compose
from target.http import HANDLERS
from target.observability import health_route, metrics_route
from target.orders_routes import OrderRoutes
from target.position_streams import StreamHub
from target.queue_routes import QueueRoutes
from target.seat_map import SeatMap
from target.seat_routes import SeatRoutes
from target.settings import Settings
from target.status import Status
from target.waiting_room import WaitingRoom


def create(settings: Settings) -> Starlette:
    """One booking process. It starts serving also while its dependencies are away."""
    context = compose(settings)
    checkouts = Checkouts(context)
    room = WaitingRoom(context.redis, context.keys)
    hub = StreamHub(room, rate_per_s=settings.admission_rate_per_s)
    seat_map = SeatMap(context.redis, context.keys, context.venue, context.orders)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await asyncio.gather(context.open(), checkouts.open())
        probes = [context.redis.guard.probe_forever(context.redis.ping), *checkouts.probes()]
        jobs = [asyncio.create_task(job) for job in (hub.run(), *probes)]
        yield
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.gather(context.close(), checkouts.close())

    routes = [
        *QueueRoutes(context, room, hub).routes(),
        *SeatRoutes(context, seat_map).routes(),
        *OrderRoutes(context, checkouts).routes(),
        Status(context, checkouts).route(),
        health_route,
        metrics_route,
    ]
    return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=lifespan)
