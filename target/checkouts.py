"""The saga of one event and what it works with, as booking and worker share it."""

from __future__ import annotations

from dataclasses import dataclass

from target.database import Database
from target.inventory import Inventory
from target.orders import Orders
from target.parking import Parking
from target.payments.client import PaymentsClient
from target.saga import Saga


@dataclass(frozen=True, slots=True)
class Checkouts:
    """Everything around the orders of one event."""

    event: str
    database: Database
    orders: Orders
    inventory: Inventory
    payments: PaymentsClient
    parking: Parking
    saga: Saga
