"""`python -m target migrate`: brings Postgres' schema up to date and loads the event into Redis. Safe to repeat."""

from __future__ import annotations

from target.breakers import UnavailableError
from target.context import compose
from target.database import OUTAGE_ERRORS
from target.migrate import migrate_postgres
from target.reconciler import load_if_lost
from target.settings import Settings


async def prepare(settings: Settings) -> None:
    """Both stores, ready for the other roles. Raises `UnavailableError` when one of them cannot be reached."""
    try:
        await migrate_postgres(settings.primary_dsn)
    except OUTAGE_ERRORS as error:
        raise UnavailableError("db", str(error) or "no answer in time", maybe_done=True) from error
    context = compose(settings)
    await context.open()
    try:
        await load_if_lost(context.inventory, context.orders, settings.event)
    finally:
        await context.close()
