"""Who has tickets of a pool, from when until when: what is sure, and what may be. Several checkers use them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from harness.audit.history import Evidence, Order, PoolAtRest
from harness.audit.operations import Operation, SeatsValue
from harness.audit.seats.claims import promises

LIVE: Final = ("confirmed", "mixed")
_MOST: Final = 10**9  # tickets of one request that are counted: a platform may say any number, and sums must fit
_OPEN_S: Final = float("inf")
_CONFLICT: Final = "conflict"


class Basket(msgspec.Struct, frozen=True, gc=False):
    """A granted hold of `tickets` of a pool. From `hold.t_end_s` to `t_until_s` they are surely the fan's.

    `order_id`: the confirmed order that it became, "" where it became none. `is_kept`: it was held first.
    """

    hold: Operation[SeatsValue]
    pool: str
    tickets: int
    t_until_s: float
    order_id: str
    is_kept: bool = True

    @property
    def words(self) -> str:
        """It in words."""
        if not self.is_kept:
            return (
                f"{self.hold.actor} was told yes for {self.tickets} of {self.pool}, order {self.order_id or 'unknown'}"
            )
        became = f", and bought as order {self.order_id}" if self.order_id else ""
        return f"{self.hold.actor} was granted {self.tickets} of {self.pool}{became}"


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A hold that was granted, may have been, or was refused for want of tickets.

    From `hold.t_invoke_s` to `t_until_s` the tickets may be the fan's; after a refusal they never are.
    """

    hold: Operation[SeatsValue]
    pool: str
    tickets: int
    t_until_s: float

    @property
    def refused(self) -> bool:
        """There were not so many left."""
        return self.hold.error == _CONFLICT


def baskets(evidence: Evidence) -> list[Basket]:
    """The granted holds of pools; where choosing keeps nothing, the purchases. One that several answers name is one
    basket, by its first grant.

    What became an order stays the fan's, as far as the order has it. Else it is the fan's for its time to live, unless
    the fan may have given it up; where nobody says how long it lives, nothing is sure of it.
    """
    bought = bought_with(evidence)
    until_s = {promise.hold.key: promise.t_until_s for promise in promises(evidence) if promise.hold.value.pool}
    found: dict[str, Basket] = {}
    for hold in evidence.takings.ok:
        value = hold.value
        if value.pool and hold.key not in found:
            order = bought.get(hold.key)
            ends_s = _OPEN_S if order else until_s.get(hold.key, hold.t_end_s)
            tickets = min(value.tickets, dict(order.pools).get(value.pool, 0)) if order else value.tickets
            order_id = order.order_id if order else ""
            found[hold.key] = Basket(hold, value.pool, tickets, ends_s, order_id, not evidence.keeps_nothing)
    return list(found.values())


def asked(evidence: Evidence) -> Iterator[Asked]:
    """Every hold of a pool that was granted, may have been, or met too few tickets."""
    if evidence.keeps_nothing:
        yield from _purchases(evidence)
        return
    paid = {pay.value.hold_id for pay in evidence.pays if pay.ok or pay.unknown}
    late_max_s = evidence.rules.hold_late_max_s if evidence.rules else 0.0
    given_back_s = {release.key: release.t_end_s for release in evidence.releases.ok}
    for hold in map(evidence.timed, evidence.holds):
        value = hold.value
        if not value.pool or not (hold.ok or hold.unknown or hold.error == _CONFLICT):
            continue
        until_s = _OPEN_S
        if hold.ok and hold.key not in paid and value.ttl_s is not None:
            until_s = min(hold.t_end_s + value.ttl_s + late_max_s, given_back_s.get(hold.key, _OPEN_S))
        yield Asked(hold, value.pool, value.tickets, until_s)


def untouched_until_s(evidence: Evidence) -> dict[str, float]:
    """Pool → until when some of the tickets that are free at rest surely were left, of pools that show them.

    Free at rest is what nobody asked for, and what was given back. All that was asked for by an instant and that no
    confirmed order has may have been given back since; so may what was held or sold before the release, or that no fan
    paid for. What was added to the pool meanwhile may have been added at the very end.
    """
    found: dict[str, float] = {}
    if not evidence.stock_at_rest:
        return found
    bought = bought_with(evidence)
    wanted = sorted(asked(evidence), key=lambda one: one.hold.t_invoke_s)
    for pool, left in free_and_nobodys(evidence).items():
        if left <= 0:
            continue
        found[pool] = _OPEN_S
        for one in wanted:
            if one.pool != pool or one.refused:
                continue
            order = bought.get(one.hold.key)
            left -= max(0, one.tickets - dict(order.pools).get(pool, 0)) if order else one.tickets
            if left <= 0:
                found[pool] = one.hold.t_invoke_s
                break
    return found


def free_and_nobodys(evidence: Evidence) -> dict[str, int]:
    """Pool → tickets that are free at rest, without those that may only be so because somebody else than the fans of
    the run gave them back, or because they were added; of pools that show what is free. It may be less than 0.
    """
    paid = set(evidence.pays.keys.to_pylist())
    others = [*evidence.baseline_orders.values()]
    others += [one for one in evidence.orders.values() if one.idempotency_key not in paid and one.state not in LIVE]
    found: dict[str, int] = {}
    for pool, rest in evidence.stock_at_rest.items():
        if rest.free is None:
            continue
        before = evidence.baseline_stock.get(pool)
        held = (before.held or 0) if before else 0
        others_had = sum(dict(order.pools).get(pool, 0) for order in others)
        found[pool] = rest.free - _added(evidence, rest) - others_had - held
    return found


def _added(evidence: Evidence, rest: PoolAtRest) -> int:
    """How many tickets the pool has at rest beyond those of before the release, or those that are declared."""
    declared = evidence.rules.stock.get(rest.pool) if evidence.rules else None
    before = evidence.baseline_stock.get(rest.pool)
    counted = None if before is None else _total(before)
    had = counted if counted is not None else declared
    has = _total(rest)
    return 0 if had is None or has is None else max(0, has - had)


def _total(pool: PoolAtRest) -> int | None:
    """All tickets of the pool; null where it does not show them all."""
    shown = (pool.free, pool.held, pool.sold)
    return None if None in shown else sum(one or 0 for one in shown)


def _purchases(evidence: Evidence) -> Iterator[Asked]:
    """The same where choosing keeps nothing: each purchase once, by its first try that ended best."""
    of_key: dict[str, Operation[SeatsValue]] = {}
    for pay in evidence.takings:
        if pay.value.pool and (pay.ok or pay.unknown or pay.error == _CONFLICT):
            before = of_key.get(pay.key)
            if before is None or (pay.ok and not before.ok) or (pay.unknown and before.error == _CONFLICT):
                of_key[pay.key] = pay
    for pay in of_key.values():
        yield Asked(pay, pay.value.pool, pay.value.tickets, _OPEN_S)


def bought_with(evidence: Evidence) -> dict[str, Order]:
    """Hold id → the confirmed order that it became; key of the purchase, where choosing keeps nothing."""
    found: dict[str, Order] = {}
    for pay in evidence.pays:
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        if pay.value.pool and order and order.state in LIVE:
            found.setdefault(pay.key if evidence.keeps_nothing else pay.value.hold_id, order)
    return found


class Sums:
    """The sum of what came up to any instant."""

    def __init__(self, t_s: Sequence[float], counts: Sequence[int]) -> None:
        order = np.argsort(t_s, kind="stable")
        self._t_s = np.array(t_s, dtype=np.float64)[order]
        limited = np.array([max(-_MOST, min(count, _MOST)) for count in counts], dtype=np.int64)
        self._sums = np.concatenate(([0], np.cumsum(limited[order])))

    def until(self, t_s: float, side: Literal["left", "right"]) -> int:
        """`side` right: with what came at that very instant."""
        return int(self._sums[np.searchsorted(self._t_s, t_s, side=side)])
