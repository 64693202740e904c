"""The worker as an ASGI application: admission, hold expiry and everything around orders; the operator's endpoints."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from target.admin_routes import AdminRoutes
from target.admission import AdmissionController, FixedRate
from target.checkouts import Checkouts
from target.context import compose
from target.http import HANDLERS
from target.observability import health_route, metrics_route
from target.reconciler import PERIOD_S, Reconciler
from target.saga_loops import OrderJobs, every, score_ticker
from target.settings import Settings
from target.waiting_room import WaitingRoom


def create(settings: Settings) -> Starlette:
    """One worker process. Its jobs survive the outage of any dependency."""
    context = compose(settings)
    checkouts = Checkouts(context)
    room = WaitingRoom(context.redis, context.keys)
    admission = AdmissionController(room, FixedRate(settings.admission_rate_per_s, settings.admission_burst))
    reconciler = Reconciler(context.inventory, context.orders, admission, settings.event)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await asyncio.gather(context.open(), checkouts.open())
        endless = [
            admission.run(),
            every(PERIOD_S, reconciler.reconcile),
            score_ticker(context.redis, settings.event),
            *OrderJobs(checkouts).jobs(),
            *checkouts.probes(),
            context.redis.guard.probe_forever(context.redis.ping),
        ]
        jobs = [asyncio.create_task(job) for job in endless]
        yield
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.gather(context.close(), checkouts.close())

    routes = [*AdminRoutes(context, checkouts).routes(), health_route, metrics_route]
    return Starlette(routes=routes, exception_handlers=HANDLERS, lifespan=lifespan)
