"""`python -m target migrate`: brings every schema up to date and loads the events into Redis. Safe to repeat."""

from __future__ import annotations

from target.roles.composition import compose_all
from target.roles.reconciler import load_if_lost
from target.runtime.breakers import UnavailableError
from target.seats import HoldRecovery
from target.settings import Settings
from target.storage.database import OUTAGE_ERRORS
from target.storage.migrate import migrate_postgres
from target.storage.shards import shard_dsns


async def prepare(settings: Settings) -> None:
    """All stores, ready for the other roles. Raises `UnavailableError` when one of them cannot be reached."""
    connections, contexts = compose_all(settings)
    try:
        for primary_dsn, _ in shard_dsns(settings):
            await migrate_postgres(primary_dsn)
    except OUTAGE_ERRORS as error:
        raise UnavailableError("db", str(error) or "no answer in time", maybe_done=True) from error
    await connections.open()
    try:
        for context in contexts:
            hold_recovery = HoldRecovery(context.redis, context.keys)
            await load_if_lost(context.inventory, context.orders, hold_recovery, context.settings.event)
    finally:
        await connections.close()
