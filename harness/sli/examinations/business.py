"""Measures the sale as its owner sees it: what was sold and when, and who went home with nothing.

When a ticket was sold is read from the seat feed as all followers saw it together; without a feed, from the first time
that its fan was told of a confirmed order. Times are in s after T0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from harness.audit.history import Evidence
from harness.audit.seats.bookings import confirmations
from harness.record.verdict import Figure
from harness.sli.examinations.figures import figure
from harness.sli.examinations.second_wave import returns
from harness.sli.measured import Observations, percentile
from harness.sli.measures.buyers import Buyer, buyers
from harness.sli.seat_changes import SOLD
from harness.sli.sold_out import seen_empty, told_in_line

_SHARES: Final = ((0.5, "half"), (0.9, "90_percent"), (1.0, "all"))
_WORDS: Final = {"half": "half of it", "90_percent": "90 % of it", "all": "all of it"}


def business(seen: Observations) -> Iterator[Figure]:
    """Every figure. Nothing where the platform shows no orders at rest."""
    if not seen.record.has("final_orders"):
        return
    evidence = seen.everybody
    confirmed = [order for order in evidence.orders.values() if order.state == "confirmed"]
    on_sale, sold = _on_sale(evidence, seen.capacity), sum(order.tickets for order in confirmed)
    yield figure("on_sale", "On sale", on_sale, "tickets", on_sale or 0)
    yield figure("sold", "Sold", sold, "tickets", on_sale or sold)
    revenue = sum(order.amount_cents for order in confirmed)
    yield figure("revenue_cents", "Revenue", revenue, "cents", len(confirmed))
    sales = sorted(_sales(seen))
    yield from _times(sales, on_sale)
    yield from _empty_handed(seen, sales, on_sale)
    if seen.seat_changes:
        back = returns(seen.seat_changes)
        again = sum(one.sold for one in back)
        yield figure("resold", "Sold after they came back", again, "of those back", len(back))


def _on_sale(evidence: Evidence, capacity: int | None) -> int | None:
    """Tickets that could be sold from T0 on; null: the platform does not say."""
    before = sum(len(order.seats) for order in evidence.baseline_orders.values() if order.state == "confirmed")
    seats = None if capacity is None else capacity - before
    pools = [pool.free for pool in evidence.baseline_stock.values()]
    if None in pools or (seats is None and not pools):
        return None
    return (seats or 0) + sum(free or 0 for free in pools)


def _sales(seen: Observations) -> Iterator[float]:
    """When each ticket was sold."""
    if seen.seat_changes:
        first: dict[str, float] = {}
        for change in seen.seat_changes:
            if change.state == SOLD:
                first.setdefault(change.seat, change.t_s)
        yield from first.values()
        return
    told: dict[str, tuple[float, int]] = {}
    for confirmation in confirmations(seen.everybody):
        operation = confirmation.operation
        tickets = len(operation.value.seats) or operation.value.quantity
        known = told.setdefault(confirmation.order_id, (operation.t_end_s, tickets))
        if operation.t_end_s < known[0]:
            told[confirmation.order_id] = (operation.t_end_s, tickets)
    for t_s, tickets in told.values():
        yield from [t_s] * tickets


def _times(sales: Sequence[float], on_sale: int | None) -> Iterator[Figure]:
    for share, name in _SHARES:
        needed = int(np.ceil(share * on_sale)) if on_sale else 0
        t_s = sales[needed - 1] if 0 < needed <= len(sales) else None
        note = "" if t_s is not None else "not within the run" if on_sale else "what was on sale is not known"
        yield figure(f"sold_{name}_s", f"Sold {_WORDS[name]} at", t_s, "s", len(sales), note)


def _empty_handed(seen: Observations, sales: Sequence[float], on_sale: int | None) -> Iterator[Figure]:
    """Fans who got nothing, how long it took them to learn it, and who was let in when nothing could be had."""
    looks, told = seen_empty(seen), told_in_line(seen)
    shown = {actor: looks.get(actor, []) + told.get(actor, []) for actor in looks.keys() | told.keys()}
    first_s = min((t_s for times in shown.values() for t_s in times), default=None)
    yield figure("sold_out_first_shown_s", '"Sold out" first shown at', first_s, "s", sum(map(len, shown.values())))
    found = list(buyers(seen))
    empty = [one for one in found if not one.told]
    yield figure("empty_handed", "Fans who got nothing", len(empty), "fans", len(found))
    if out := seen.history.not_drawn:
        undrawn = sum(one.actor in out for one in empty)
        yield figure(
            "not_drawn", "Of these, not drawn by lot", undrawn, "fans", len(empty), "as the sale's rule has it"
        )
    waits_s = _waits_s(empty, shown)
    yield figure("learnt", "Of these, saw that nothing was left", len(waits_s), "fans", len(empty))
    for share, words in ((0.5, "median"), (0.95, "p95")):
        title = f"From coming to seeing it, {words}"
        yield figure(f"learnt_p{share * 100:.0f}_s", title, percentile(waits_s, share), "s", len(waits_s))
    if on_sale is not None and len(sales) >= on_sale > 0:
        entered = [enter.t_end_s for enter in seen.history.enters.ok]
        late = sum(t_s > sales[on_sale - 1] for t_s in entered)
        note = "they waited for nothing" if late else ""
        yield figure("let_in_after", "Let in after the last ticket was sold", late, "fans", len(entered), note)


def _waits_s(empty: Sequence[Buyer], shown: Mapping[str, Sequence[float]]) -> list[float]:
    return [min(shown[one.actor]) - one.t_came_s for one in empty if one.actor in shown]
