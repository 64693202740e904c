"""Finds rows of an order export that may only be listed again. Pure.

Two rows of one order that say the same may be two tickets, in an export with one row for each ticket, or one row that a
page of the export repeats. What the order's fan was told decides: as many tickets as in all rows, or as in each of them
once.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

Said = tuple[str, int, str, str, int]
"""Of a row without a seat: fan, cents, idempotency key, pool, tickets."""


class Once(msgspec.Struct, frozen=True):
    """An order with each of its rows counted once. `cents_again`: what the others add to its price.

    `states`: those of its rows, in their order.
    """

    pools: tuple[tuple[str, int], ...]
    cents_again: int
    states: tuple[str, ...]


class Repeats:
    """The rows of each order, in the order of the export."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Said, list[str]]] = {}

    def add(self, order_id: str, state: str, said: Said) -> None:
        """One more row."""
        self._rows.setdefault(order_id, {}).setdefault(said, []).append(state)

    def orders(self) -> list[str]:
        """The orders of which several rows say the same, but for their state."""
        return [name for name, rows in self._rows.items() if any(len(states) > 1 for states in rows.values())]

    def once(self, order_id: str) -> Once:
        """The order, each of its rows counted once."""
        pools: dict[str, int] = {}
        rows = self._rows[order_id]
        for _, _, _, pool, tickets in rows:
            pools[pool] = pools.get(pool, 0) + tickets
        cents_again = sum(cents * (len(states) - 1) for (_, cents, _, _, _), states in rows.items())
        states = tuple(state for states in rows.values() for state in states)
        return Once(tuple(pools.items()), cents_again, states)

    def only_listed_again(self, tickets: Mapping[str, int], told: Mapping[str, int]) -> list[str]:
        """Those of `tickets` (order → tickets in all its rows) that may only be listed again.

        `told`: order → tickets that its fan knows of. Where no fan knows of an order, the others show whether this
        export has a row for each ticket.
        """
        has_ticket_rows = any(told.get(name) == count for name, count in tickets.items())
        return [
            name
            for name in tickets
            if (told[name] == sum(count for _, count in self.once(name).pools) if name in told else not has_ticket_rows)
        ]
