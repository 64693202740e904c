"""Measures the sale as its owner sees it: what was sold and when, and who went home with nothing.

When a seat was sold is read from the seat feed as all followers saw it together; without a feed, and of tickets without
a seat, from the first time that their fan was told of a confirmed order. Times are in s after T0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from harness.audit.history import Evidence, Order
from harness.audit.seats.accessible import wheelchair_places
from harness.audit.seats.bookings import confirmations
from harness.audit.stock.claims import baskets
from harness.record.verdict import Figure
from harness.sli.examinations.figures import cents, figure
from harness.sli.examinations.second_wave import returns
from harness.sli.measured import Observations, percentile
from harness.sli.measures.buyers import Buyer, buyers, told_s
from harness.sli.seat_changes import SOLD, STALE_S
from harness.sli.sold_out import nothing_left_s, seen_empty, told_in_line

_SHARES: Final = ((0.5, "half"), (0.9, "90_percent"), (1.0, "all"))
_WORDS: Final = {"half": "half of it", "90_percent": "90 % of it", "all": "all of it"}
_TAKEN: Final = "their access code, or who they are, had let another in"
_FOR_NOTHING: Final = "they waited for nothing"


def business(seen: Observations) -> Iterator[Figure]:
    """Every figure. Nothing where the platform shows no orders at rest."""
    if not seen.record.has("final_orders"):
        return
    evidence = seen.everybody
    confirmed = [order for order in evidence.orders.values() if order.state == "confirmed"]
    on_sale, sold = _on_sale(evidence, seen.seats_on_sale), sum(order.tickets for order in confirmed)
    yield figure("on_sale", "On sale", on_sale, "tickets", on_sale or 0)
    yield figure("sold", "Sold", sold, "tickets", on_sale or sold)
    revenue = sum(order.amount_cents for order in confirmed)
    yield cents(evidence, "revenue_cents", "Revenue", revenue, len(confirmed))
    sales = sorted(_sales(seen))
    yield from _times(sales, on_sale)
    yield from _empty_handed(seen)
    yield from _accessible(seen, confirmed)
    yield from _let_in_for_nothing(seen, sales, on_sale)
    yield from _resold(seen)


def _on_sale(evidence: Evidence, seats: int | None) -> int | None:
    """Tickets that could be sold from T0 on; null: the platform does not say."""
    pools = [pool.free for pool in evidence.baseline_stock.values()]
    if None in pools or (seats is None and not pools):
        return None
    return (seats or 0) + sum(free or 0 for free in pools)


def _sales(seen: Observations) -> Iterator[float]:
    """When each ticket was sold."""
    by_feed = bool(seen.seat_changes)
    if by_feed:
        first: dict[str, float] = {}
        for change in seen.seat_changes:
            if change.state == SOLD:
                first.setdefault(change.seat, change.t_s)
        yield from first.values()
    told: dict[str, tuple[float, int]] = {}
    for confirmation in confirmations(seen.everybody, odd=by_feed):  # what agrees with the export has seats only
        t_s, tickets = confirmation.operation.t_end_s, sum(quantity for _, quantity in confirmation.pools)
        if not by_feed:
            tickets += len(confirmation.seats)
        known_s, known = told.get(confirmation.order_name, (t_s, 0))
        told[confirmation.order_name] = (min(t_s, known_s), max(tickets, known))
    for t_s, tickets in told.values():
        yield from [t_s] * tickets


def _times(sales: Sequence[float], on_sale: int | None) -> Iterator[Figure]:
    for share, name in _SHARES:
        needed = int(np.ceil(share * on_sale)) if on_sale else 0
        t_s = sales[needed - 1] if 0 < needed <= len(sales) else None
        note = "" if t_s is not None else "not within the run" if on_sale else "what was on sale is not known"
        yield figure(f"sold_{name}_s", f"Sold {_WORDS[name]} at", t_s, "s", len(sales), note)


def _empty_handed(seen: Observations) -> Iterator[Figure]:
    """Fans who got nothing, and how long it took them to learn it."""
    looks, told = seen_empty(seen), told_in_line(seen)
    shown = _together(looks, told)
    first_s = min((t_s for times in shown.values() for t_s in times), default=None)
    yield figure("sold_out_first_shown_s", '"Sold out" first shown at', first_s, "s", sum(map(len, shown.values())))
    found = buyers(seen)
    empty = [one for one in found if not one.told]
    yield figure("empty_handed", "Fans who got nothing", len(empty), "fans", len(found))
    if out := seen.history.not_drawn:
        undrawn = sum(one.actor in out for one in empty)
        yield figure(
            "not_drawn", "Of these, not drawn by lot", undrawn, "fans", len(empty), "as the sale's rule has it"
        )
    if away := seen.history.turned_away:
        yield figure("turned_away", "Others, turned away at the entrance", len(away), "fans", len(found), _TAKEN)
    waits_s = _waits_s(empty, _together(seen_empty(seen, for_them=True), told))
    yield figure("learnt", "Of these, saw that nothing was left", len(waits_s), "fans", len(empty))
    for share, words in ((0.5, "median"), (0.95, "p95")):
        title = f"From coming to seeing it, {words}"
        yield figure(f"learnt_p{share * 100:.0f}_s", title, percentile(waits_s, share), "s", len(waits_s))


def _accessible(seen: Observations, confirmed: Sequence[Order]) -> Iterator[Figure]:
    """What became of the accessible seats, and of the fans who needed one."""
    places = wheelchair_places(seen.everything)  # the layout may go with the first look of a probe
    if not places:
        return
    sold = sum(seat in places for order in confirmed for seat in order.seats)
    yield figure("accessible_sold", "Accessible seats sold", sold, "tickets", len(places))
    needed = {look.actor for look in seen.history.looks.naming("declared") if look.value.declared}
    yield figure("accessible_needed", "Fans who needed an accessible seat", len(needed), "fans", len(needed))
    empty = needed - told_s(seen.history).keys()
    yield figure("accessible_empty", "Of these, got none", len(empty), "fans", len(needed))


def _together(looks: dict[str, list[float]], told: dict[str, list[float]]) -> dict[str, list[float]]:
    return {actor: looks.get(actor, []) + told.get(actor, []) for actor in looks.keys() | told.keys()}


def _let_in_for_nothing(seen: Observations, sales: Sequence[float], on_sale: int | None) -> Iterator[Figure]:
    """From when on nothing was left, and who was let in afterwards: later than a map may be old.

    Who is called in on a stream is let in when that is told, whenever they follow.
    """
    gone_s = nothing_left_s(seen)
    if gone_s is None and on_sale and len(sales) >= on_sale:
        gone_s = sales[on_sale - 1]
    note = "" if gone_s is not None else "something was left to the end, or nobody was shown what was"
    yield figure("gone_s", "Nothing was left for good from", gone_s, "s", on_sale or 0, note)
    if gone_s is None:
        return
    rules = seen.history.rules
    late_s = gone_s + (rules.map_late_max_s if rules else STALE_S)
    let_in_s = seen.history.enters.ok.first_invoked_s
    called_s = seen.history.called_in_s
    late = sum(called_s.get(actor, t_s) > late_s for actor, t_s in let_in_s.items())
    yield figure("let_in_after", "Let in after that", late, "fans", len(let_in_s), _FOR_NOTHING if late else "")


def _resold(seen: Observations) -> Iterator[Figure]:
    """Tickets that came back, and how many of these were sold then."""
    again = back = 0
    if seen.seat_changes:
        found = returns(seen.seat_changes)
        again, back = sum(one.sold for one in found), len(found)
    pools = {name: pool.free for name, pool in seen.everybody.baseline_stock.items()}
    if any(pools.values()):
        more, of_pools = _resold_of_pools(seen.everybody, pools)
        again, back = again + more, back + of_pools
    elif not seen.seat_changes:
        return
    note = "at least: tickets of a pool have no number" if any(pools.values()) else ""
    yield figure("resold", "Sold after they came back", again, "of those back", back, note)


def _resold_of_pools(evidence: Evidence, on_sale: Mapping[str, int | None]) -> tuple[int, int]:
    """(tickets that were sold after they came back, tickets that came back).

    Whatever is granted once as many tickets were granted as there are had been granted to somebody before.
    """
    again = back = 0
    fresh = {pool: free or 0 for pool, free in on_sale.items()}
    for basket in sorted(baskets(evidence), key=lambda one: one.hold.t_end_s):
        left = fresh.get(basket.pool, 0)
        fresh[basket.pool] = max(0, left - basket.tickets)
        if not basket.order_id:
            back += basket.tickets
        else:
            again += max(0, basket.tickets - left)
    return again, back


def _waits_s(empty: Sequence[Buyer], shown: Mapping[str, Sequence[float]]) -> list[float]:
    return [min(shown[one.actor]) - one.t_came_s for one in empty if one.actor in shown]
