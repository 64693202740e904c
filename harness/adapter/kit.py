"""What authors of adapters import: `from gatecrash.adapter import …` is this module.

In an installed wheel this file is `gatecrash/adapter.py`; in a checkout `harness.swarm.users.loader` offers it.
"""

from __future__ import annotations

from harness.adapter.browsing.browser import Browser, Events, Socket
from harness.adapter.browsing.page import Element, Form, Page, money_cents
from harness.adapter.errors import Admitted, NoAnswer, Refused
from harness.adapter.platform import ShopPlatform
from harness.adapter.shopper import Shopper
from harness.adapter.values import (
    Basket,
    ExportedOrder,
    FeedPoint,
    LedgerRow,
    Placed,
    PoolAtRest,
    Resync,
    SeatAtRest,
    SeatChange,
    ShownSeat,
    Snapshot,
    order_state,
)
from harness.platform import Person, Pool, SeatMap, Section, Venue
from harness.registry.capabilities import Capability

__all__ = [
    "Admitted",
    "Basket",
    "Browser",
    "Capability",
    "Element",
    "Events",
    "ExportedOrder",
    "FeedPoint",
    "Form",
    "LedgerRow",
    "NoAnswer",
    "Page",
    "Person",
    "Placed",
    "Pool",
    "PoolAtRest",
    "Refused",
    "Resync",
    "SeatAtRest",
    "SeatChange",
    "SeatMap",
    "Section",
    "ShopPlatform",
    "Shopper",
    "ShownSeat",
    "Snapshot",
    "Socket",
    "Venue",
    "money_cents",
    "order_state",
]
