"""Fallbacks: how answers change without a dependency, as the metrics and GET /status show it.

A fallback is in force while the breaker of its dependency is not closed; each answer that it gave is counted, also the
first ones, before the breaker has opened. The counts are made where the answers are.
"""

from __future__ import annotations

from typing import Final

import msgspec

from target.telemetry.metrics import FALLBACK_IN_FORCE, FALLBACK_KINDS, FALLBACKS


class Fallback(msgspec.Struct, frozen=True):
    """One way to answer without `dependency` (the name of its breaker)."""

    kind: str
    dependency: str
    does: str


TABLE: Final = (
    Fallback("ticket_while_redis_down", "redis", "a join gets a signed ticket stamped now, and is queued by its stamp"),
    Fallback("paused_stream", "redis", "open position streams stay open and say `paused`"),
    Fallback("stale_seat_map", "redis", "the seat map comes from the orders, marked stale"),
    Fallback("refused_hold", "redis", "a new hold is refused: 503 with Retry-After"),
    Fallback("checkout_without_redis", "redis", "a running checkout trusts its signed hold; Postgres decides"),
    Fallback("stale_order", "db", "an order is shown from the replica, marked stale"),
    Fallback("parked_checkout", "db", "a checkout is parked (202 pending), its hold extended, and nothing is charged"),
    Fallback("pending_payment", "payments", "a payment is pending (202), its hold extended, and it is asked for again"),
)


def switch(dependency: str, shard: str, *, in_force: bool) -> None:
    """Marks the fallbacks of one breaker as in force, or not."""
    for fallback in TABLE:
        if fallback.dependency == dependency:
            FALLBACK_IN_FORCE.labels(fallback.kind, shard).set(in_force)


def answers() -> dict[str, int]:
    """How many answers of this process each fallback gave."""
    samples = (sample for metric in FALLBACKS.collect() for sample in metric.samples)
    given = {sample.labels["kind"]: int(sample.value) for sample in samples}
    return {kind: given.get(kind, 0) for kind in FALLBACK_KINDS}
