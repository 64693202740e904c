"""Checks `one_key_one_purchase`: however often a fan posts one idempotency key, there is one order and one charge."""

from __future__ import annotations

from typing import Final

import pyarrow.compute as pc

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, PayValue, ReuseValue
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, at_rest, during

_UNSENT: Final = frozenset({"refused", "dns", "tls", "ports_exhausted", "fds_exhausted"})
_USED: Final = "used"
_LEDGER: Final = "ledger_export"
_SIGN: Final = {"capture": 1, "refund": -1, "decline": 0}


def one_key_one_purchase(evidence: Evidence) -> Tally:
    """A payment posted again under its key, after a cut connection or at once, is the same order and the same charge.

    - all answers to one key name one order, and the export has one order of that key;
    - an order whose key was posted again is charged once at most;
    - a used key with another purchase is refused, or answered with the first one again;
    - a key that another fan has used is neither answered with that fan's order, nor refused for having been used, and
      who knows the id of that order cannot read it.
    To refuse a repeat does no harm; that no answer contradicts another is for `no_lost_booking` to say.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not evidence.record.has("final_orders"):
        tally.note = "the order export could not be read at rest"
        return tally
    posted = _posted_again(evidence)
    tally.checked = len(pc.unique(evidence.pays.keys)) + len(evidence.reuses)
    tally.chances = len(posted) + sum(1 for reuse in evidence.reuses if not reuse.unknown)
    reported = _several_orders(evidence, posted, tally)
    _charged_again(evidence, posted, reported, tally)
    _reuses(evidence, tally)
    return tally


def _posted_again(evidence: Evidence) -> dict[str, list[Operation[PayValue]]]:
    """Key → its payments, where more than one was sent."""
    repeated = evidence.pays.repeated_keys
    by_key: dict[str, list[Operation[PayValue]]] = {}
    for pay in evidence.pays.of_keys(repeated) if repeated else ():
        if pay.error not in _UNSENT:
            by_key.setdefault(pay.key, []).append(pay)
    return {key: pays for key, pays in by_key.items() if len(pays) > 1}


def _several_orders(evidence: Evidence, posted: dict[str, list[Operation[PayValue]]], tally: Tally) -> set[str]:
    """Keys with more than one order, by what fans were told and by the export. Returns those that were reported."""
    exported = {key: orders for key, orders in evidence.orders_by_key.items() if key and len(orders) > 1}
    reported: set[str] = set()
    for key in dict.fromkeys((*posted, *exported)):
        pays, orders = posted.get(key, []), exported.get(key, [])
        told = {pay.value.order_id for pay in pays if pay.ok and pay.value.order_id}
        fans = {order.fan for order in orders}
        if len(told) > 1 or len(orders) > len(fans):
            names = sorted(told | {order.order_id for order in orders})
            reported.add(key)
            summary = f"the key {key} bought {len(names)} orders: {', '.join(names)}"
            tally.violated(summary, *map(_paid, pays), *map(_exported, orders))
    return reported


def _charged_again(
    evidence: Evidence, posted: dict[str, list[Operation[PayValue]]], reported: set[str], tally: Tally
) -> None:
    """Orders whose key was posted again and that more was captured for than once, refunds taken off."""
    if _LEDGER not in evidence.run.capabilities:
        tally.hidden = "the platform does not show its ledger: whether a card was charged again cannot be told"
        return
    if evidence.unrest or not evidence.record.has("final_ledger"):
        tally.undecided = True
        unread = "the provider's ledger could not be read at rest"
        tally.note = f"the platform did not come to rest: {evidence.unrest}" if evidence.unrest else unread
        return
    orders = {
        order.order_id: key for key in posted if (order := evidence.order_of("", key, posted[key][0].actor)) is not None
    }
    captures: dict[str, int] = dict.fromkeys(orders, 0)
    for entry in evidence.ledger():
        if entry.order_id in captures:
            captures[entry.order_id] += _SIGN[entry.entry]
    for order_id, times in captures.items():
        key = orders[order_id]
        if times > 1 and key not in reported:
            booked = at_rest("provider's ledger", f"order {order_id} was captured {times} times, refunds taken off")
            summary = f"order {order_id} was charged {times} times; its key {key} was posted {len(posted[key])} times"
            tally.violated(summary, *map(_paid, posted[key]), booked)


def _reuses(evidence: Evidence, tally: Tally) -> None:
    """Used keys that were tried for another purchase at rest.

    A platform that is not at rest may take an order in, to look at its key when it can: its answer decides nothing.
    """
    if evidence.unrest and len(evidence.reuses):
        tally.undecided = True
        tally.note = f"keys were used again on a platform that did not come to rest: {evidence.unrest}"
        return
    for reuse in evidence.reuses:
        tally.unknowns += reuse.unknown
        tried = reuse.value
        first = evidence.orders.get(tried.order_id)
        if first is not None and first.fan not in ("", reuse.actor):
            _shown_to_others(reuse, first, tally)
            _others(reuse, first, tally)
            continue
        again = first is not None and (tried.answered_id, set(tried.answered_seats)) == (
            first.order_id,
            set(first.seats),
        )
        if reuse.ok and not again:
            asked = (
                f"{reuse.actor} paid for {', '.join(tried.seats)} with the key {reuse.key} of order {tried.order_id}"
            )
            answered = ", ".join(tried.answered_seats)
            tally.violated(
                f"the key of order {tried.order_id} was taken for another purchase",
                during(reuse, f"{asked}, and was answered with order {tried.answered_id} for {answered}"),
                *([_exported(first)] if first else []),
            )


def _others(reuse: Operation[ReuseValue], first: Order, tally: Tally) -> None:
    """Reports what `reuse` was told of another fan's order, whose key it shows."""
    if reuse.ok and reuse.value.answered_id == first.order_id:
        told = f"was answered with order {first.order_id} of {first.fan}"
    elif reuse.error == _USED:
        told = f"was refused for a key that {first.fan} had used"
    else:
        return
    asked = f"{reuse.actor} paid for {', '.join(reuse.value.seats)} with the key {reuse.key}"
    tally.violated(f"{reuse.actor} {told}", during(reuse, f"{asked}, and {told}"), _exported(first))


def _shown_to_others(reuse: Operation[ReuseValue], first: Order, tally: Tally) -> None:
    """Reports that `reuse` was shown another fan's order."""
    if reuse.value.read:
        told = f"{reuse.actor} was shown order {first.order_id} of {first.fan}, as {reuse.value.read}"
        tally.violated(told, during(reuse, told), _exported(first))


def _paid(pay: Operation[PayValue]) -> Moment:
    order = f" (order {pay.value.order_id})" if pay.value.order_id else ""
    answer = f"{pay.outcome}, {pay.value.state or pay.error or 'no answer'}{order}"
    return during(pay, f"{pay.actor} paid with key {pay.key}: {answer}")


def _exported(order: Order) -> Moment:
    return at_rest(
        "order export", f"order {order.order_id} of {order.fan} is {order.state}, {order.amount_cents} cents"
    )


ONE_KEY_ONE_PURCHASE: Final = specified("one_key_one_purchase", one_key_one_purchase)
