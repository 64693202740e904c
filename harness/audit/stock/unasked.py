"""Checks `no_unasked_purchase`: no fan has more orders than they meant to buy, however often anything was retried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Final

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, PayValue
from harness.audit.orders.told import exported
from harness.audit.spec import specified
from harness.audit.stock.claims import LIVE
from harness.audit.tally import Moment, Tally, during


def no_unasked_purchase(evidence: Evidence) -> Tally:
    """Each fan of the run has at most as many confirmed orders as purchases they asked for.

    One purchase is one idempotency key, which all tries of a payment share, also where the platform knows no such keys.
    What an operator tried in a fan's name counts as asked for. A fan who never paid asked for none; orders of people
    who are not fans of the run are not looked at. An order of which the export does not say whose it is may be a second
    one of anybody: then nothing is decided. Nor is it where the export gives orders that fans were told of to people
    who are no fans of the run: a second one may be under such a name, too.

    Chances: purchases that were sent again, or had no answer. Whoever was answered at once has no reason to buy twice.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not evidence.record.has("final_orders"):
        tally.note = "the order export could not be read at rest"
        return tally
    intended = _intended(evidence)
    orders: dict[str, list[Order]] = {}
    for order in evidence.orders.values():
        if order.state in LIVE and order.fan in intended:
            orders.setdefault(order.fan, []).append(order)
    nobodys = [order.order_id for order in evidence.orders.values() if order.state in LIVE and not order.fan]
    if nobodys:
        tally.undecided = True
        tally.note = (
            f"the export does not say in a way that is known here whose order {nobodys[0]} is"
            f"{f', and {len(nobodys) - 1} more' if nobodys[1:] else ''}: see ExportedOrder.fan"
        )
    if evidence.run.foreign_owners:
        tally.undecided = True
        tally.note = f"{evidence.run.foreign_owners}: see ExportedOrder.fan"
    tally.checked = sum(intended.values())
    tally.chances = _tried_again(evidence)
    too_many = {fan: of_fan for fan, of_fan in orders.items() if len(of_fan) > intended[fan]}
    pays = _payments(evidence, too_many.keys()) if too_many else {}
    for fan, of_fan in too_many.items():
        meant = intended[fan]
        purchases = f"{meant} purchase{'s' * (meant != 1)}"
        names = ", ".join(order.order_id for order in of_fan)
        summary = f"{fan} meant {purchases} and has {len(of_fan)} confirmed orders: {names}"
        tally.violated(summary, *map(_paid, pays.get(fan, ())), *map(exported, of_fan))
    return tally


def _intended(evidence: Evidence) -> Counter[str]:
    """Fan → purchases that they asked for; 0 for a fan who came and never paid."""
    keys = set(zip(evidence.pays.actors.to_pylist(), evidence.pays.keys.to_pylist(), strict=True))
    found = Counter(actor for actor, _ in keys)
    found.update(reuse.actor for reuse in evidence.reuses)
    for actor in (*evidence.askings.actors.unique().to_pylist(), *evidence.joins.actors.unique().to_pylist()):
        found.setdefault(actor, 0)
    return found


def _tried_again(evidence: Evidence) -> int:
    """Purchases with more than one try, or with one that had no answer."""
    return len({*evidence.pays.repeated_keys, *evidence.pays.doubtful.keys.to_pylist()})


def _payments(evidence: Evidence, fans: Collection[str]) -> dict[str, list[Operation[PayValue]]]:
    found: dict[str, list[Operation[PayValue]]] = {}
    for pay in evidence.pays:
        if pay.actor in fans:
            found.setdefault(pay.actor, []).append(pay)
    return found


def _paid(pay: Operation[PayValue]) -> Moment:
    answer = f"{pay.outcome}, {pay.value.state or pay.error or 'no answer'}"
    return during(pay, f"{pay.actor} paid for {pay.value.words} with the key {pay.key}: {answer}")


NO_UNASKED_PURCHASE: Final = specified("no_unasked_purchase", no_unasked_purchase)
