"""Checks `no_oversell`: what is sold and held of a pool is never more than what is on sale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from harness.audit.history import Evidence, Order
from harness.audit.orders.told import exported
from harness.audit.seats.bookings import Confirmation, confirmations
from harness.audit.spec import specified
from harness.audit.stock.claims import LIVE, Asked, Basket, Sums, asked, baskets
from harness.audit.tally import Moment, Tally, during

ALL: Final = ""
"""The name of all pools together, where the rules declare one number."""
_SHOWN: Final = 8
"""Of the baskets and orders of a counter-example so many are shown, the last ones."""


def no_oversell(evidence: Evidence) -> Tally:
    """Confirmed orders, and at each moment what fans surely hold, are at most the declared stock of the pool.

    The stock is what the scenario's rules declare, without what was sold before the release; the platform's own figure
    of it is never asked. Sold are the orders that are confirmed at rest, and what fans were told is confirmed and the
    export does not know. A basket is surely held from when its fan was told until its time is over, or the fan may have
    given it up; one that became an order, for ever.

    Where choosing keeps nothing, purchases take the place of holds.

    Chances: holds asked for when, with what others had or may have had, there were not enough tickets left for all.
    """
    tally = Tally(evidence, unknowns=evidence.takings.unknowns, chances=0)
    stock = evidence.rules.stock if evidence.rules else {}
    if not stock:
        tally.hidden = "how many tickets are on sale is not declared: set platform.rules.stock"
        return tally
    sold = sold_in_run(evidence)
    held = baskets(evidence)
    wanted = list(asked(evidence))
    tally.checked = len(held) + len(sold)
    pools = {basket.pool for basket in held} | {pool for _, one in sold.items() for pool, _ in one.pools}
    if unknown := sorted(pools - stock.keys()) if ALL not in stock else []:
        tally.undecided = True
        tally.note = f"no stock is declared of {', '.join(map(_quoted, unknown))}: add it to platform.rules.stock"
    elif not evidence.record.has("final_orders"):
        tally.note = "judged by what fans were told alone: the record has no order export"
    for pool, declared in stock.items():
        left = declared - sold_before(evidence, pool)
        of_pool = [basket for basket in held if pool in (ALL, basket.pool)]
        if not _sold_too_many(pool, left, declared, sold, of_pool, tally):
            _held_too_many(pool, left, declared, of_pool, tally)
        tally.chance(_chances([one for one in wanted if pool in (ALL, one.pool)], left))
    return tally


def sold_before(evidence: Evidence, pool: str) -> int:
    """Tickets of the pool that were sold before the release: by the orders of then, else by the platform's figure."""
    orders = [order for order in evidence.baseline_orders.values() if order.state in LIVE]
    if orders or evidence.record.has("baseline_orders"):
        return sum(quantity_of(order, pool) for order in orders)
    return sum(one.sold or 0 for name, one in evidence.baseline_stock.items() if pool in (ALL, name))


def quantity_of(order: Order | Confirmation, pool: str) -> int:
    """Tickets of the pool that an order has."""
    return sum(quantity for name, quantity in order.pools if pool in (ALL, name))


def sold_in_run(evidence: Evidence) -> dict[str, Order | Confirmation]:
    """Name → what is confirmed: by the export, and where that has no such order by what a fan was told."""
    sold: dict[str, Order | Confirmation] = {}
    for order in evidence.orders.values():
        if order.state in LIVE and order.pools:
            sold[order.order_id] = order
    for told in confirmations(evidence, odd=True):
        if told.pools and evidence.order_of(told.order_id, told.idempotency_key, told.operation.actor) is None:
            sold.setdefault(told.order_name, told)
    return sold


def _sold_too_many(
    pool: str,
    left: int,
    declared: int,
    sold: Mapping[str, Order | Confirmation],
    held: Sequence[Basket],
    tally: Tally,
) -> bool:
    """Whether more was sold than there is. Shown: the orders beyond the limit, in the order of their baskets."""
    began_s = {basket.order_id: basket.hold.t_end_s for basket in held if basket.order_id}
    of_pool = {name: one for name, one in sold.items() if quantity_of(one, pool)}
    in_order = sorted(of_pool, key=lambda name: began_s.get(name, float("inf")))
    total = sum(quantity_of(one, pool) for one in of_pool.values())
    if total <= left:
        return False
    counted, beyond = 0, []
    for name in in_order:
        counted += quantity_of(of_pool[name], pool)
        if counted > left:
            beyond.append(name)
    by_order = {basket.order_id: basket for basket in held}
    first = by_order.get(beyond[0])
    overlapped = _overlapping(first, held, set(beyond)) if first else []
    moments = [*map(_granted, overlapped), *(m for name in beyond[:_SHOWN] for m in _of_order(name, of_pool, by_order))]
    names = ", ".join(beyond[:_SHOWN]) + (f" and {len(beyond) - _SHOWN} more" if len(beyond) > _SHOWN else "")
    tally.violated(f"{total} of {_named(pool)} were sold, and {_of(left, declared)}; beyond that: {names}", *moments)
    return True


def _held_too_many(pool: str, left: int, declared: int, held: Sequence[Basket], tally: Tally) -> None:
    """The first moment at which surely more was held and sold than there is; told of once for each pool."""
    margin_s = tally.evidence.clock_margin_s
    ends: list[tuple[float, int]] = []  # of those that are held: until when, and how many
    total = 0
    for basket in sorted(held, key=lambda one: one.hold.t_end_s):
        at_s, until_s = basket.hold.t_end_s, basket.t_until_s - margin_s
        while ends and ends[0][0] <= at_s:
            total -= heappop(ends)[1]
        if until_s > at_s:
            heappush(ends, (until_s, basket.tickets))
            total += basket.tickets
        if total > left:
            summary = f"{total} of {_named(pool)} were held and sold at {at_s:.3f} s, and {_of(left, declared)}"
            together = [one for one in held if one.hold.t_end_s <= at_s < one.t_until_s - margin_s]
            tally.violated(summary, *map(_granted, together[-_SHOWN:]))
            return


def _overlapping(basket: Basket, held: Sequence[Basket], without: set[str]) -> list[Basket]:
    """The last of the baskets that others surely had or bought when this one was granted, beside those of these orders.

    Of a basket that was granted later, or that reserves nothing and was never bought, nothing was taken.
    """
    at_s = basket.hold.t_end_s
    others = [
        one
        for one in held
        if one is not basket and one.order_id not in without and one.hold.t_end_s <= at_s < one.t_until_s
    ]
    return sorted(others, key=lambda one: one.hold.t_end_s)[-_SHOWN:]


def _chances(wanted: Sequence[Asked], left: int) -> int:
    """Holds that met a pool in which, with everything others had or may have had, there was not enough for them.

    What others may have had while this one was asked for: holds begun before it ended, that may not have ended before
    it began. Two sorted lists give it for all.
    """
    taking = [one for one in wanted if not one.refused]
    tickets = [one.tickets for one in taking]
    begun, over = (
        Sums([one.hold.t_invoke_s for one in taking], tickets),
        Sums([one.t_until_s for one in taking], tickets),
    )
    found = 0
    for one in wanted:
        if one.hold.unknown:
            continue
        others = begun.until(one.hold.t_end_s, "right") - over.until(one.hold.t_invoke_s, "left")
        found += others + (one.tickets if one.refused else 0) > left
    return found


def _of_order(
    name: str, sold: Mapping[str, Order | Confirmation], by_order: Mapping[str, Basket]
) -> tuple[Moment, ...]:
    one = sold[name]
    shown = exported(one) if isinstance(one, Order) else one.moment()
    return (_granted(by_order[name]), shown) if name in by_order else (shown,)


def _granted(basket: Basket) -> Moment:
    return during(basket.hold, basket.words)


def _quoted(pool: str) -> str:
    return pool or "tickets whose pool the adapter does not name"


def _named(pool: str) -> str:
    return pool or "the tickets"


def _of(left: int, declared: int) -> str:
    return f"{left} were on sale" + (f" ({declared} less {declared - left} sold before)" if left != declared else "")


NO_OVERSELL: Final = specified("no_oversell", no_oversell)
