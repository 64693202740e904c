"""Orders against the payment provider's own ledger, to the cent."""

from __future__ import annotations

from harness.audit.history import Evidence, LedgerEntry, Operation, Order, PayValue
from harness.audit.tally import Moment, Tally, at_rest, during

_SIGN = {"capture": 1, "refund": -1, "decline": 0}


def money_reconciles(evidence: Evidence) -> Tally:
    """Each order was charged its amount once and ticketed, or refunded, or never charged; and nothing else was charged.

    - confirmed: captures − refunds is one capture, of the order's amount, which is also what the fan was told;
    - declined, expired, refunded: captures and refunds cancel out, in number and in cents;
    - pending at rest with money taken: violated, for settling is over and the fan has neither ticket nor refund;
    - pending at rest with no money taken: undecided. No cent is wrong yet, but it may still be charged, so the
      invariant is then unknown and not held;
    - a capture or refund without an order: violated, for the charge came before a durable intent.
    """
    tally = Tally(evidence, unknowns=sum(1 for pay in evidence.pays if pay.unknown))
    if not (evidence.record.has("final_orders") and evidence.record.has("final_ledger")):
        tally.note = "the order export or the provider's ledger could not be read at rest"
        return tally
    entries: dict[str, list[LedgerEntry]] = {}
    for entry in evidence.ledger:
        entries.setdefault(entry.order_id, []).append(entry)
    pays = _pays_by_order(evidence)
    pending = 0
    for order in evidence.orders.values():
        tally.checked += 1
        booked = entries.pop(order.order_id, [])
        pending += order.state == "pending" and not _net(booked)
        problem = _mismatch(order, booked) or _misquoted(order, pays.get(order.order_id))
        if problem:
            moments = [*_paid(pays.get(order.order_id)), _exported(order), *map(_booked, booked)]
            tally.violated(f"order {order.order_id} of {order.fan} {problem}", *moments)
    _without_order(entries, tally)
    if pending:
        tally.undecided = True
        tally.note = f"{pending} orders were still pending, uncharged, when settling ended"
    return tally


def _mismatch(order: Order, booked: list[LedgerEntry]) -> str:
    """What is wrong between an order and its ledger entries, "" if nothing."""
    net, captures = _net(booked), _captures(booked)
    money = f"the ledger nets {captures} captures of {net} cents"
    match order.state:
        case "confirmed" if (captures, net) != (1, order.amount_cents):
            return f"is confirmed for {order.amount_cents} cents, but {money}"
        case "pending" if (captures, net) != (0, 0):
            return f"is neither ticketed nor refunded after settling, and {money}"
        case "declined" | "expired" | "refunded" if (captures, net) != (0, 0):
            return f"is {order.state}, but {money}"
        case "mixed":
            return f"has seats in different states, and {money}"
    return ""


def _misquoted(order: Order, pay: Operation[PayValue] | None) -> str:
    told = pay.value.amount_cents if pay and pay.ok else None
    if told is None or told == order.amount_cents:
        return ""
    return f"costs {order.amount_cents} cents, but the fan was told {told}"


def _without_order(entries: dict[str, list[LedgerEntry]], tally: Tally) -> None:
    for order_id, orphans in entries.items():
        tally.checked += 1
        if any(entry.entry != "decline" for entry in orphans):
            rest = at_rest("order export", f"no order {order_id}")
            tally.violated(f"the provider booked {_net(orphans)} cents for no order", *map(_booked, orphans), rest)


def _pays_by_order(evidence: Evidence) -> dict[str, Operation[PayValue]]:
    """The last payment of each order; by idempotency key where the fan never learnt the order's id."""
    pays: dict[str, Operation[PayValue]] = {}
    for pay in evidence.pays:
        order = evidence.order_of(pay.value.order_id, pay.key)
        if order:
            pays[order.order_id] = pay
    return pays


def _net(booked: list[LedgerEntry]) -> int:
    return sum(_SIGN[entry.entry] * entry.amount_cents for entry in booked)


def _captures(booked: list[LedgerEntry]) -> int:
    return sum(_SIGN[entry.entry] for entry in booked)


def _paid(pay: Operation[PayValue] | None) -> list[Moment]:
    if pay is None:
        return []
    answer = f"{pay.outcome}, {pay.value.state or pay.error or 'no answer'}"
    return [during(pay, f"{pay.actor} paid with key {pay.key}: {answer}")]


def _exported(order: Order) -> Moment:
    return at_rest("order export", f"order {order.order_id} is {order.state}, {order.amount_cents} cents")


def _booked(entry: LedgerEntry) -> Moment:
    return at_rest(
        "provider's ledger", f"{entry.entry} {entry.charge_id} of {entry.amount_cents} cents for {entry.order_id}"
    )
