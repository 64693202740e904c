"""Checks `no_leaked_stock`: at rest every ticket of a pool is free or sold, and none is held."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.audit.history import Evidence, PoolAtRest
from harness.audit.operations import Operation, SeatsValue
from harness.audit.seats.bookings import Confirmation
from harness.audit.spec import specified
from harness.audit.stock.claims import LIVE, Basket, baskets
from harness.audit.stock.oversell import ALL, quantity_of, sold_before, sold_in_run
from harness.audit.tally import Moment, Tally, at_rest, during

_SHOWN: Final = 8


def no_leaked_stock(evidence: Evidence) -> Tally:
    """Free + sold = stock at rest, and nothing is held: what a basket held came back, and nothing came from nowhere.

    Sold is what the order export has, with what was sold before the release; the platform's own figure where there is
    no export. The stock is the declared one, else what the platform showed before the release. Where the two differ,
    nobody can say what should be left. Tickets of orders that were pending before the release may be free, held or
    sold; those of orders that fans were told of and that are lost have not leaked but were lost with them. That more
    is sold than there is, is for `no_oversell` to say.

    Chances: baskets that were granted, or may have been, and became no order; where choosing keeps nothing, purchases
    that were refused or had no answer.
    """
    tally = Tally(evidence)
    if not evidence.record.has("final_stock"):
        tally.note = "what is left of the pools could not be read at rest"
        return tally
    pools = list(evidence.stock_at_rest.values())
    declared = evidence.rules.stock if evidence.rules else {}
    if not pools and evidence.baseline_stock:
        tally.note = "the operator's stock has no pool at rest"
        return tally
    if not pools:
        tally.hidden = "the platform does not show what is left of its pools: write stock(api) in the adapter"
        return tally
    if all(pool.free is None for pool in pools):
        tally.hidden = "the platform does not show how many tickets are free at rest"
        return tally
    came_back = [basket for basket in baskets(evidence) if not basket.order_id]
    lost = [hold for hold in evidence.takings.doubtful if hold.value.pool]
    if evidence.keeps_nothing:
        lost += [pay for pay in evidence.takings.failed if pay.value.pool]
    tally.checked = len(pools)
    tally.chances = len(came_back) + len(lost)
    suspects = [(one.pool, _basket(one)) for one in came_back] + [(one.value.pool, _lost(one)) for one in lost]
    for pool in pools:
        before = evidence.baseline_stock.get(pool.pool)
        kept = before.held or 0 if before else 0
        if (pool.held or 0) > min(kept, _pending_before(evidence, pool.pool)):
            shown = at_rest("operator's stock", f"{pool.held} of {pool.pool} are held")
            summary = f"{pool.held} of {pool.pool} are still held though nobody has a basket any more"
            tally.violated(summary, *_of_pool(pool.pool, suspects), shown)
    if _unlike(evidence, declared, tally):
        return tally
    if ALL in declared:
        _balance(ALL, pools, declared[ALL], _of_pool(ALL, suspects), tally)
        return tally
    for pool in pools:
        _balance(pool.pool, [pool], declared.get(pool.pool), _of_pool(pool.pool, suspects), tally)
    return tally


def _of_pool(name: str, suspects: list[tuple[str, Moment]]) -> list[Moment]:
    """The last of those that may have had tickets of the pool."""
    return [moment for pool, moment in suspects if name in (ALL, pool)][-_SHOWN:]


def _unlike(evidence: Evidence, declared: Mapping[str, int], tally: Tally) -> bool:
    """Whether the stock at rest has other pools than it should have: then nobody can say what is left of which."""
    shown = evidence.stock_at_rest.keys()
    missing = sorted(((declared.keys() - {ALL}) | evidence.baseline_stock.keys()) - shown)
    fans = set(evidence.pays.actors.unique().to_pylist())
    live = [order for order in evidence.orders.values() if order.state in LIVE and order.fan in fans]
    foreign = sorted({pool for order in live for pool, _ in order.pools} - shown) if ALL not in declared else []
    if missing:
        tally.note = f"the operator's stock at rest has no pool {', '.join(missing)}"
    elif foreign:
        names = ", ".join(pool or "without a name" for pool in foreign)
        tally.note = f"orders are of the pool {names}, and the operator's stock has {', '.join(sorted(shown))}"
    tally.undecided = bool(missing or foreign)
    return tally.undecided


def _balance(name: str, pools: list[PoolAtRest], declared: int | None, suspects: list[Moment], tally: Tally) -> None:
    """One pool, or all of them together."""
    evidence = tally.evidence
    before = _before(evidence, name)
    stock = before if declared is None else declared
    free = _sum([pool.free for pool in pools])
    words = name or "the tickets"
    pending = _pending_before(evidence, name)
    if declared is not None and before is not None and declared not in (before, before + pending):
        tally.undecided = True
        tally.note = f"the platform showed {before} of {words} before the sale, and platform.rules.stock has {declared}"
        return
    sold = _sold(evidence, name, pools)
    if stock is None or free is None or sold is None:
        tally.undecided = True
        what = "how many there are" if stock is None else "how many are free" if free is None else "how many are sold"
        tally.note = f"nobody says {what} of {words}"
        return
    missing = stock - free - sold - (_sum([pool.held for pool in pools]) or 0)
    lost = _lost_with_orders(evidence, name)
    parts = f"{free} free + {sold} sold"
    sold_by = "order export" if evidence.record.has("final_orders") else "operator's stock"
    shown = (at_rest("operator's stock", f"{free} of {words} are free"), at_rest(sold_by, f"{sold} are sold"))
    if pending and abs(missing) <= pending:
        tally.undecided = tally.undecided or missing not in (0, pending)
        tally.note = f"{pending} of {words} are of orders that were pending before the release"
    elif missing > lost:
        besides = f", and {lost} in orders that are lost" if lost else ""
        what = f"{missing - lost} of {words} are gone: {parts} at rest{besides}, of {stock}"
        tally.violated(what, *suspects, *shown)
    elif missing > 0:
        tally.note = f"{missing} of {words} went with orders that are lost"
    elif missing < 0 and sold <= stock:
        tally.violated(f"{-missing} of {words} are there too many: {parts} at rest, of {stock}", *shown)


def _pending_before(evidence: Evidence, name: str) -> int:
    """Tickets of orders that were pending before the release: the platform may keep them, free them or sell them."""
    orders = evidence.baseline_orders.values()
    return sum(quantity_of(order, name) for order in orders if order.state == "pending")


def _lost_with_orders(evidence: Evidence, name: str) -> int:
    """Tickets of orders that fans were told are confirmed and that the export does not have."""
    told = (one for one in sold_in_run(evidence).values() if isinstance(one, Confirmation))
    return sum(quantity_of(one, name) for one in told) if evidence.record.has("final_orders") else 0


def _sold(evidence: Evidence, name: str, pools: list[PoolAtRest]) -> int | None:
    if not evidence.record.has("final_orders"):
        return _sum([pool.sold for pool in pools])
    orders = (order for order in evidence.orders.values() if order.state in LIVE)
    return sum(quantity_of(order, name) for order in orders) + sold_before(evidence, name)


def _before(evidence: Evidence, name: str) -> int | None:
    """What there was before the release: free, held and sold; null where the platform did not show it."""
    pools = [pool for pool in evidence.baseline_stock.values() if name in (ALL, pool.pool)]
    free = _sum([pool.free for pool in pools])
    if free is None:
        return None
    return free + (_sum([pool.held for pool in pools]) or 0) + sold_before(evidence, name)


def _sum(figures: list[int | None]) -> int | None:
    """Null where there is none, or one is not known."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known and len(known) == len(figures) else None


def _basket(basket: Basket) -> Moment:
    return during(basket.hold, f"{basket.words}, and did not buy them")


def _lost(hold: Operation[SeatsValue]) -> Moment:
    return during(
        hold, f"{hold.actor} asked for {hold.value.words} and {'had no answer' if hold.unknown else 'was refused'}"
    )


NO_LEAKED_STOCK: Final = specified("no_leaked_stock", no_leaked_stock)
