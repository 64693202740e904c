"""Orders: the saga of a checkout, its truth in Postgres, and what is parked while that is away."""

from target.orders.checkouts import Checkouts
from target.orders.jobs import OrderJobs
from target.orders.orders import Order, Orders, OrderState
from target.orders.parking import Parking
from target.orders.parking_journal import ParkingJournal
from target.orders.parking_replay import REPLAY_PERIOD_S, JournalReplay
from target.orders.routes import OrderLookup, OrderRoutes
from target.orders.saga import Policy, Saga
from target.orders.webhooks import WebhookRoutes

__all__ = [
    "REPLAY_PERIOD_S",
    "Checkouts",
    "JournalReplay",
    "Order",
    "OrderJobs",
    "OrderLookup",
    "OrderRoutes",
    "OrderState",
    "Orders",
    "Parking",
    "ParkingJournal",
    "Policy",
    "Saga",
    "WebhookRoutes",
]
