"""What a process of the booking system is made of. Routes and jobs get this and take what they need from it."""

from __future__ import annotations

from dataclasses import dataclass

from target import bugs
from target.database import Database
from target.inventory import Inventory
from target.keys import Keys
from target.orders import Orders
from target.redis_store import RedisStore
from target.settings import Settings
from target.tickets import Signer
from target.venue import Venue, load


@dataclass(slots=True)
class Context:
    """The shared parts of the booking API and the worker. A planted bug replaces one of them before routes are made."""

    settings: Settings
    keys: Keys
    venue: Venue
    redis: RedisStore
    database: Database
    signer: Signer
    inventory: Inventory
    orders: Orders

    async def open(self) -> None:
        """Connects; what is away now is met again later."""
        await self.redis.open()
        await self.database.open()

    async def close(self) -> None:
        """Drops every connection."""
        await self.redis.close()
        await self.database.close()


def compose(settings: Settings) -> Context:
    """The parts, from the settings. Nothing is connected yet. Raises `SettingsError` for a bad venue or bug."""
    keys = Keys(settings.event)
    venue = load(settings.venue, settings.event)
    redis = RedisStore(settings.redis_url, timeout_s=settings.dependency_timeout_s)
    database = Database(settings.primary_dsn, settings.replica_dsn, timeout_s=settings.dependency_timeout_s)
    context = Context(
        settings=settings,
        keys=keys,
        venue=venue,
        redis=redis,
        database=database,
        signer=Signer(settings.secret, settings.event),
        inventory=Inventory(redis, keys, venue, hold_ttl_s=settings.hold_ttl_s),
        orders=Orders(database),
    )
    bugs.find(settings.bug).plant(context)
    return context
