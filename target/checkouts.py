"""The saga of one event and what it works with, as booking and worker share it."""

from __future__ import annotations

import msgspec

from target.context import Context
from target.saga import Policy


class Checkouts:
    """Made after bugs are planted: the saga is composed of whatever the context then holds."""

    def __init__(self, context: Context, *, policy: Policy | None = None) -> None:
        self.event = context.settings.event
        self.database = context.database
        self.orders = context.orders
        self.inventory = context.inventory
        self.payments = context.payments
        self.parking = context.parking
        policy = msgspec.structs.replace(policy or Policy(), flow=context.settings.payment_flow)
        self.saga = context.saga(self.orders, self.payments, self.inventory, self.parking, policy)
