"""What a process needs besides its context to carry checkouts out: the provider's client, the parking, the saga."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from target.context import Context
from target.parking import Parking
from target.payments.client import PaymentsClient
from target.saga import Policy, Saga


class Checkouts:
    """The parts of booking and worker around orders; the context's connections are opened and closed elsewhere."""

    def __init__(self, context: Context, *, policy: Policy | None = None) -> None:
        settings = context.settings
        self.database = context.database
        self.orders = context.orders
        self.inventory = context.inventory
        self.payments = PaymentsClient(settings.payments_url, timeout_s=settings.payment_timeout_s)
        self.parking = Parking(context.redis, context.keys)
        self.saga = Saga(self.orders, self.payments, self.inventory, self.parking, policy)

    async def open(self) -> None:
        """Makes the provider's connection pool."""
        await self.payments.open()

    async def close(self) -> None:
        """Drops it."""
        await self.payments.close()

    def probes(self) -> list[Coroutine[Any, Any, None]]:
        """Endless jobs: the active probes of the breakers `db` and `payments`, and of the replica."""
        primary, replica = self.database.primary, self.database.replica
        return [
            primary.guard.probe_forever(primary.ping),
            replica.guard.probe_forever(replica.ping),
            self.payments.guard.probe_forever(self.payments.ping),
        ]
