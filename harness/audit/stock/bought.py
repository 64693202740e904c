"""Checks `bought_as_told`: how many tickets and at what price is the same when asked, when told, and at rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, OrderValue, PayValue, SeatsValue
from harness.audit.orders.agreed import agreed
from harness.audit.orders.told import exported
from harness.audit.spec import specified
from harness.audit.stock.claims import LIVE
from harness.audit.tally import Moment, Tally, during

_REFUSALS: Final = ("declined", "expired", "conflict", "limit")


def bought_as_told(evidence: Evidence) -> Tally:
    """A yes is for as many tickets as were asked for, and what a fan is told of number and price is so at rest.

    - a granted hold has as many tickets as were asked for: a part of them is neither success nor failure;
    - a payment that was answered yes bought what was asked for, and its order has that many, at the price told;
    - a later look at the order shows the number and the price of the export;
    - a payment that was refused, and not sent again, left no confirmed order of a part.
    Which seats an order has is for `no_lost_booking` to say.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not evidence.record.has("final_orders"):
        tally.note = "the order export could not be read at rest"
        return tally
    problems: dict[str, tuple[str, tuple[Moment, ...]]] = {}
    of_pools = evidence.askings.ok
    of_pools = of_pools.where(pc.not_equal(of_pools.column("pool"), ""))
    for hold in of_pools:
        value = hold.value
        if value.pool and value.granted is not None:
            tally.checked += 1
            if value.granted != value.quantity:
                summary = (
                    f"{hold.actor} asked for {value.quantity} of {value.pool} and was told yes for {value.granted}"
                )
                problems.setdefault(f"hold {hold.key}", (summary, (_held(hold),)))
    found = agreed(evidence)
    tally.checked += len(evidence.pays.ok)
    compared = set(pc.unique(found.ids_of_pays.filter(pa.array(found.pays))).to_pylist())
    for pay in found.odd_pays.ok:
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        if order and order.state in LIVE:
            compared.add(order.order_id)
        if problem := _paid_otherwise(pay, order):
            name = order.order_id if order else pay.value.order_id or pay.key
            problems.setdefault(name, (f"{pay.actor} {problem}", (_paid(pay), *_rest(order))))
    for look in found.odd_looks:
        order = evidence.orders.get(look.key)
        problem = _shown_otherwise(look, order) if order else ""
        if problem:
            problems.setdefault(look.key, (f"{look.actor} {problem}", (_looked(look), *_rest(order))))
    for pay, order in _part_of_a_no(evidence):
        tally.checked += 1
        summary = (
            f"{pay.actor} asked for {pay.value.words} and was told no, and order {order.order_id} has {order.words}"
        )
        problems.setdefault(order.order_id, (summary, (_paid(pay), exported(order))))
    tally.chances = len(compared)
    for summary, moments in problems.values():
        tally.violated(summary, *moments)
    return tally


def _paid_otherwise(pay: Operation[PayValue], order: Order | None) -> str:
    """How the answer differs from what was asked for, or from the order; "" for not."""
    value = pay.value
    asked = len(value.seats) or value.quantity
    told = asked if value.bought is None else value.bought
    if told != asked:
        return f"asked to buy {asked} of {value.pool} and was told yes for {told}"
    if order is None or order.state not in LIVE:
        return ""
    if told and told != order.tickets:
        return f"was told that order {order.order_id} has {_tickets(told)}, and it has {order.tickets}"
    if value.amount_cents is not None and value.amount_cents != order.amount_cents:
        return f"was told {value.amount_cents} cents for order {order.order_id}, which is of {order.amount_cents}"
    return ""


def _shown_otherwise(look: Operation[OrderValue], order: Order) -> str:
    """How a look at an order differs from it. A look that shows no number, or no price, says nothing of it."""
    value = look.value
    shown = len(value.seats) or value.quantity
    if order.state not in LIVE or value.state != "confirmed" or value.stale:
        return ""
    if shown and shown != order.tickets:
        return f"was shown {_tickets(shown)} in order {order.order_id}, and it has {order.tickets}"
    if value.amount_cents is not None and value.amount_cents != order.amount_cents:
        return f"was shown {value.amount_cents} cents for order {order.order_id}, which is of {order.amount_cents}"
    return ""


def _part_of_a_no(evidence: Evidence) -> Iterator[tuple[Operation[PayValue], Order]]:
    """Payments refused for good whose key has a confirmed order of fewer tickets than were asked for."""
    again = set(evidence.pays.ok.keys.to_pylist()) | set(evidence.pays.doubtful.keys.to_pylist())
    for pay in evidence.pays.failed:
        order = evidence.order_of("", pay.key, pay.actor) if pay.error in _REFUSALS and pay.key not in again else None
        asked = len(pay.value.seats) or pay.value.quantity
        if order and order.state in LIVE and order.tickets < asked:
            yield pay, order


def _rest(order: Order | None) -> tuple[Moment, ...]:
    return (exported(order),) if order else ()


def _held(hold: Operation[SeatsValue]) -> Moment:
    return during(hold, f"{hold.actor} asked for {hold.value.words} and was granted {hold.value.granted}")


def _paid(pay: Operation[PayValue]) -> Moment:
    value = pay.value
    bought = "" if value.bought is None else f", {value.bought} bought"
    cents = "" if value.amount_cents is None else f", {value.amount_cents} cents"
    answer = f"{pay.outcome}, {value.state or pay.error or 'no state'}{bought}{cents}"
    return during(pay, f"{pay.actor} paid for {value.words}: {answer}")


def _looked(look: Operation[OrderValue]) -> Moment:
    shown = len(look.value.seats) or look.value.quantity
    return during(look, f"{look.actor} was shown order {look.key}: {_tickets(shown)}, {look.value.amount_cents} cents")


def _tickets(count: int) -> str:
    return f"{count} {'ticket' if count == 1 else 'tickets'}"


BOUGHT_AS_TOLD: Final = specified("bought_as_told", bought_as_told)
