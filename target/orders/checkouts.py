"""The checkout parts of one event, which booking and worker share."""

from __future__ import annotations

from dataclasses import dataclass

from target.orders.orders import Orders
from target.orders.parking import Parking
from target.orders.saga import Saga
from target.payments.client import PaymentsClient
from target.seats import Inventory
from target.storage.database import Database


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
