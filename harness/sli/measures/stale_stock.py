"""Measures how often fans were shown more tickets of a pool than can have been left.

Where only baskets are counted, no invariant can prove that a number which never falls is wrong. Fans act by it all the
same, so it is measured.
"""

from __future__ import annotations

import numpy as np

from harness.audit.history import Evidence
from harness.audit.stock.claims import Basket, baskets
from harness.audit.stock.oversell import ALL, sold_before
from harness.sli.measured import Floats, Observations
from harness.sli.samples import Samples, share_of


class _Taken:
    """Tickets of one pool that fans surely had."""

    def __init__(self, of_pool: list[Basket]) -> None:
        self._from_s, self._begun = _summed([(basket.hold.t_end_s, basket.tickets) for basket in of_pool])
        self._until_s, self._ended = _summed([(basket.t_until_s, basket.tickets) for basket in of_pool])

    def all_along(self, from_s: float, until_s: float) -> int:
        """How many at least from one instant to a later one."""
        begun = self._begun[np.searchsorted(self._from_s, from_s, side="right")]
        ended = self._ended[np.searchsorted(self._until_s, until_s, side="right")]
        return max(0, int(begun - ended))


def stale_stock_ratio(seen: Observations) -> Samples:
    """Share of looks that showed more of a pool than was left for all of `map_late_max_s` before the look.

    Of looks at pools of which fans had tickets for so long, and of which it is known how many there are. A number that
    says itself that it is old is none of these.
    """
    history = seen.history
    if history.rules is None:
        return share_of([])
    held = baskets(history)
    taken = {pool: _Taken([basket for basket in held if basket.pool == pool]) for pool in {one.pool for one in held}}
    on_sale = {pool: _on_sale(history, pool) for pool in taken}
    late_max_s = history.rules.map_late_max_s
    found = []
    for look in history.stocks.ok:
        if look.value.stale:
            continue
        judged = []
        for pool, free in look.value.pools.items():
            there = on_sale.get(pool)
            gone = taken[pool].all_along(look.t_invoke_s - late_max_s, look.t_end_s) if pool in taken else 0
            if free is not None and there is not None and gone:
                judged.append(free > there - gone)
        if judged:
            found.append((look.actor, look.t_invoke_s, any(judged)))
    return share_of(found)


def _on_sale(history: Evidence, pool: str) -> int | None:
    """Tickets of a pool at the release: as declared, else as the platform showed them then; null: nobody says."""
    declared = history.rules.stock if history.rules else {}
    if pool in declared:
        return declared[pool] - sold_before(history, pool)
    if ALL in declared and len(history.baseline_stock) == 1:
        return declared[ALL] - sold_before(history, ALL)
    before = history.baseline_stock.get(pool)
    return before.free if before else None


def _summed(counted: list[tuple[float, int]]) -> tuple[Floats, Floats]:
    """Instants in their order, and how many there were in all before each, and at the end."""
    counted.sort()
    at_s = np.array([one[0] for one in counted], dtype=np.float64)
    return at_s, np.concatenate([[0.0], np.cumsum([one[1] for one in counted], dtype=np.float64)])
