"""`python -m target migrate`: brings Postgres' schema up to date and loads the event into Redis. Safe to repeat."""

from __future__ import annotations

from target.context import compose
from target.migrate import migrate_postgres
from target.reconciler import load_if_lost
from target.settings import Settings


async def prepare(settings: Settings) -> None:
    """Both stores, ready for the other roles. Raises `UnavailableError` or an OSError when one cannot be reached."""
    await migrate_postgres(settings.primary_dsn)
    context = compose(settings)
    await context.open()
    try:
        await load_if_lost(context.inventory, context.orders, settings.event)
    finally:
        await context.close()
