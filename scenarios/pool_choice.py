"""Which pool a fan goes for: the first of those that are left, or any of them, the likelier the more is left. Pure."""

from __future__ import annotations

from collections.abc import Collection

from harness.platform import Pool, Stock
from harness.swarm.users.plan import Dice


def choose_pool(stock: Stock, quantity: int, dice: Dice, *, aims_hot: bool, avoid: Collection[str] = ()) -> Pool | None:
    """A pool with so many tickets left; null: there is none. `avoid`: pools that were just refused, taken last.

    A pool that does not show what is left may have enough.
    """
    enough = [pool for pool in stock.pools if pool.free is None or pool.free >= quantity]
    fresh = [pool for pool in enough if pool.name not in avoid] or enough
    if not fresh:
        return None
    roll = dice.roll()
    if aims_hot:
        return fresh[0]
    weights = [quantity if pool.free is None else pool.free for pool in fresh]
    left = roll * sum(weights)
    for pool, weight in zip(fresh, weights, strict=True):
        left -= weight
        if left < 0:
            return pool
    return fresh[-1]
