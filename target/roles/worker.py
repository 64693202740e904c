"""The worker as an ASGI application: admission, hold expiry, orders, the score, and the operator's endpoints."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette

from target.context import Context
from target.http.app import api
from target.http.process_routes import health_route, metrics_route
from target.operator import AdminRoutes, OperatedSale
from target.orders import OrderJobs
from target.queue import AdmissionController, SaleSignal
from target.roles.composition import checkouts_of, compose_all
from target.roles.reconciler import PERIOD_S, Reconciler
from target.runtime.breakers import UnavailableError
from target.runtime.jobs import beside, every, lasting
from target.seats import ATTEND_EVERY_S, Attendance, HoldRecovery
from target.seats.seat_log import Score, text
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore

SCORE_PERIOD_S: Final = 2.0


async def score_ticker(redis: RedisStore, event: str, *, period_s: float = SCORE_PERIOD_S) -> None:
    """Endless: publishes the score. A score that is published while Redis is away is lost; the next one replaces it."""
    channel = Keys(event).score
    home, away = 0, 0
    while True:
        await asyncio.sleep(period_s)
        points = random.choice((0, 2, 3))
        home, away = (home + points, away) if random.random() < 0.5 else (home, away + points)
        try:
            await redis.command("PUBLISH", channel, text(Score(time.time(), home, away)))
        except UnavailableError:
            continue


def create(settings: Settings) -> Starlette:
    """One worker process. Its jobs survive the outage of any dependency."""
    connections, contexts = compose_all(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await connections.open()
        async with beside([*(job for context in contexts for job in _jobs(context)), *connections.probes()]):
            yield
        await connections.close()

    operated = [_operated(context) for context in contexts]
    routes = [*AdminRoutes(operated, settings.admin_token).routes(), health_route, metrics_route]
    return api(
        "gatecrash reference booking system: the operator's endpoints",
        routes,
        events=settings.events,
        lifespan=lifespan,
    )


def _operated(context: Context) -> OperatedSale:
    return OperatedSale(context.settings.event, context.orders, context.inventory, context.parking, context.signer)


def _jobs(context: Context) -> list[Coroutine[Any, Any, None]]:
    """Every job of one event as an endless coroutine."""
    event = context.settings.event
    admission = AdmissionController(context.room, context.rate_policy, context.conflicts, event)
    hold_recovery = HoldRecovery(context.redis, context.keys)
    jobs = OrderJobs(checkouts_of(context))
    sale = SaleSignal(context.redis, context.keys)
    reconciler = Reconciler(context.inventory, context.orders, admission, sale, hold_recovery, event, jobs.catch_up)
    attendance = Attendance(context.redis, context.keys, context.inventory)
    return [
        admission.run(),
        every(PERIOD_S, reconciler.reconcile),
        every(ATTEND_EVERY_S, attendance.attend),
        lasting(partial(score_ticker, context.redis, event)),
        *jobs.jobs(),
    ]
