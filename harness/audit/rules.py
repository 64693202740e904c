"""The rules of an on-sale that checkers judge by, of whichever platform. What is not declared is not judged."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.scenario import OnSale
from harness.scenario.own_platform import Rules

_REFERENCE_CURRENCY: Final = "USD"  # of every venue of the reference system


class SaleRules(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. `purchase_limit`, `order_limit` 0: there is none, or nobody declared one.

    `where`: the section of the scenario that they are from. `stock`: tickets on sale by pool, "" for all together.
    `hold_ttl_s`: how long a hold lasts where fans are not told.
    `currency`: of all prices; "" where nobody says.
    `places_per_identity` 1: one identity gets one place in the queue; 0: nobody said so.
    `publishes_draw`: of a shuffled queue, whether the platform shows how it was drawn.
    """

    where: str
    purchase_limit: int
    hold_late_max_s: float
    map_late_max_s: float
    is_shuffled: bool
    publishes_draw: bool
    hold_ttl_s: float | None = None
    stock: dict[str, int] = {}
    currency: str = ""
    order_limit: int = 0
    places_per_identity: int = 0


def reference_rules(on_sale: OnSale) -> SaleRules:
    """Those that the reference system was set up with."""
    return SaleRules(
        where="on_sale",
        purchase_limit=on_sale.purchase_limit,
        hold_late_max_s=on_sale.hold_late_max_s,
        map_late_max_s=on_sale.map_late_max_s,
        is_shuffled=on_sale.queue_policy == "shuffle",
        publishes_draw=True,
        currency=_REFERENCE_CURRENCY,
        places_per_identity=on_sale.places_per_identity,
    )


def own_rules(rules: Rules) -> SaleRules:
    """Those that the owners of a platform declared."""
    stock = rules.stock
    return SaleRules(
        where="platform.rules",
        purchase_limit=rules.purchase_limit,
        hold_late_max_s=rules.hold_late_max_s,
        map_late_max_s=rules.map_late_max_s,
        is_shuffled=rules.queue_policy == "shuffle",
        publishes_draw=False,
        hold_ttl_s=rules.hold_ttl_s,
        currency=rules.currency,
        order_limit=rules.order_limit,
        stock={"": stock} if isinstance(stock, int) else dict(stock or {}),
    )
