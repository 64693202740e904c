"""Checks `money_reconciles`: orders and the payment provider's own ledger agree to the cent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow.compute as pc

from harness.audit.history import Evidence, LedgerEntry, Order
from harness.audit.operations import Operation, Operations, PayValue
from harness.audit.orders.agreed import agreed
from harness.audit.orders.told import refusals
from harness.audit.spec import specified
from harness.audit.tally import VIOLATIONS_KEPT, Moment, Tally, at_rest, during

_Sums = dict[str, tuple[int, int]]
"""Order id → captures − refunds, in number and in cents."""
_NOTHING: Final = (0, 0)
_DECLINED: Final = "declined"
_DECLINE: Final = "decline"
_SIGN: Final = {"capture": 1, "refund": -1}


def money_reconciles(evidence: Evidence) -> Tally:
    """Each order was charged its amount once and ticketed, or refunded, or never charged; and nothing else was charged.

    - confirmed: captures − refunds is one capture, of the order's amount, which is also what the fan was told; an order
      of 0 cents needs none;
    - declined, expired, refunded: captures and refunds cancel out, in number and in cents;
    - declined at rest, or the last that the fan was told: nothing was captured at all, for a refund is no decline;
    - pending at rest with money taken: violated, for settling is over and the fan has neither ticket nor refund;
    - pending at rest with no money taken: undecided. No cent is wrong yet, but it may still be charged, so the
      invariant is then unknown and not held;
    - a refund on the charge of another order: violated, for another fan has the money; on the reference system, one on
      no charge at all too;
    - a capture or refund on another card than the fan paid with, where the ledger names cards: violated, for it is
      another's money;
    - a capture or refund without an order: violated, for the charge came before a durable intent. A platform of one's
      own may keep no order of a purchase that came to nothing, as when it charges before it finds that all are sold:
      there captures and refunds may cancel out, in number and in cents.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not (evidence.record.has("final_orders") and evidence.record.has("final_ledger")):
        tally.note = "the order export or the provider's ledger could not be read at rest"
        return tally
    sums = _sums(evidence)
    orphans = [order_id for order_id in sums if order_id not in evidence.orders]
    tally.checked = len(evidence.orders) + len(orphans)
    tally.chances = len(_at_stake(evidence, sums))
    problems = dict(_charged_though_declined(evidence)) | dict(_refunded_elsewhere(evidence))
    problems |= dict(_of_another_card(evidence))
    problems |= dict(_problems(evidence, sums))
    if evidence.own_platform is not None:
        orphans = [order_id for order_id in orphans if sums[order_id] != _NOTHING]
    _report(problems | dict(_without_order(evidence, orphans)), evidence, tally)
    pending = sum(o.state == "pending" and not sums.get(o.order_id, _NOTHING)[1] for o in evidence.orders.values())
    if pending:
        tally.undecided = True
        tally.note = f"{pending} orders were still pending, uncharged, when settling ended"
    return tally


def _at_stake(evidence: Evidence, sums: _Sums) -> set[str]:
    """The orders with a capture or a refund, and those whose payment had no answer."""
    doubtful = (evidence.order_of(pay.value.order_id, pay.key, pay.actor) for pay in evidence.pays.doubtful)
    return sums.keys() | {order.order_id for order in doubtful if order}


def _sums(evidence: Evidence) -> _Sums:
    sums: _Sums = {}
    for entry in evidence.ledger():
        if entry.entry == _DECLINE:
            continue
        captures, net = sums.get(entry.order_id, (0, 0))
        sign = _SIGN[entry.entry]
        sums[entry.order_id] = (captures + sign, net + sign * entry.amount_cents)
    return sums


def _problems(evidence: Evidence, sums: _Sums) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) for each order that the money does not fit."""
    quotes = _quotes(evidence)
    for order in evidence.orders.values():
        captures, net = sums.get(order.order_id, (0, 0))
        problem = _repeated(order) or _mismatch(order, captures, net) or _misquoted(order, quotes.get(order.order_id))
        if problem:
            yield order.order_id, f"order {order.order_id} of {order.fan} {problem}"


def _without_order(evidence: Evidence, orphans: list[str]) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) for money that no order stands behind."""
    booked = _entries(evidence, set(orphans)) if orphans else {}
    for order_id, entries in booked.items():
        net = sum(_SIGN.get(entry.entry, 0) * entry.amount_cents for entry in entries)
        yield order_id, f"the provider booked {net} cents for no order"


def _refunded_elsewhere(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) where a refund went back on the charge of another order: to another's card."""
    refunds: dict[str, set[str]] = {}
    for entry in evidence.ledger():
        if entry.entry == "refund":
            refunds.setdefault(entry.charge_id, set()).add(entry.order_id)
    of_nothing = dict(refunds)
    for entry in evidence.ledger() if refunds else ():
        if entry.entry == "capture":
            of_nothing.pop(entry.charge_id, None)
            for order_id in sorted(refunds.get(entry.charge_id, set()) - {entry.order_id}):
                yield order_id, f"the refund of order {order_id} went to the charge of order {entry.order_id}"
    if evidence.on_sale is not None:  # elsewhere a refund may have an id of its own
        for charge_id, order_ids in of_nothing.items():
            yield from (
                (one, f"the refund of order {one} went to {charge_id}, which charged nobody") for one in order_ids
            )


def _of_another_card(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) where money was taken from, or given back to, a card that the fan did not pay with."""
    found = agreed(evidence)
    is_told = pc.and_(pc.is_valid(found.ids_of_pays), pc.is_valid(evidence.pays.column("card")))
    shown: dict[str, set[str]] = {}
    for order_id, card in zip(
        found.ids_of_pays.filter(is_told).to_pylist(),
        evidence.pays.column("card").filter(is_told).to_pylist(),
        strict=True,
    ):
        shown.setdefault(order_id, set()).add(card)
    for entry in evidence.ledger() if shown else ():
        cards = shown.get(entry.order_id)
        if cards and entry.card is not None and entry.entry != _DECLINE and entry.card not in cards:
            whose = f"the {entry.entry} of {entry.amount_cents} cents is on the card {entry.card}"
            yield entry.order_id, f"order {entry.order_id} was paid for with {', '.join(sorted(cards))}, and {whose}"


def _charged_though_declined(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) where the money of a declined order went to and fro."""
    told = (
        evidence.order_of("", word.key, word.operation.actor) for word in refusals(evidence) if word.state == _DECLINED
    )
    declined = {order.order_id for order in told if order}
    declined |= {order.order_id for order in evidence.orders.values() if order.state == _DECLINED}
    for entry in evidence.ledger() if declined else ():
        if entry.entry == "capture" and entry.order_id in declined:
            yield (
                entry.order_id,
                f"order {entry.order_id} was declined, and yet {entry.amount_cents} cents were captured",
            )


def _report(problems: dict[str, str], evidence: Evidence, tally: Tally) -> None:
    """What led to each of the first; the others are counted."""
    shown = set(list(problems)[:VIOLATIONS_KEPT])
    booked = _entries(evidence, shown) if shown else {}
    pays = _pays(evidence, shown) if shown else {}
    for order_id, problem in problems.items():
        order = evidence.orders.get(order_id)
        rest = _exported(order) if order else at_rest("order export", f"no order {order_id}")
        tally.violated(problem, *_paid(pays.get(order_id)), rest, *map(_booked, booked.get(order_id, ())))


def _entries(evidence: Evidence, order_ids: set[str]) -> dict[str, list[LedgerEntry]]:
    found: dict[str, list[LedgerEntry]] = {}
    for entry in evidence.ledger():
        if entry.order_id in order_ids:
            found.setdefault(entry.order_id, []).append(entry)
    return found


def _repeated(order: Order) -> str:
    """An export that lists a seat of an order twice sells it twice to whoever adds up the export."""
    return f"is exported more than once: several rows for {', '.join(order.repeated)}" if order.repeated else ""


def _mismatch(order: Order, captures: int, net: int) -> str:
    """What is wrong between an order and its ledger entries, "" if nothing."""
    money = f"the ledger nets {captures} captures of {net} cents"
    match order.state:
        case "confirmed" if (captures, net, order.amount_cents) == (0, 0, 0):
            return ""  # nothing to charge
        case "confirmed" if (captures, net) != (1, order.amount_cents):
            return f"is confirmed for {order.amount_cents} cents, but {money}"
        case "pending" if (captures, net) != (0, 0):
            return f"is neither ticketed nor refunded after settling, and {money}"
        case "declined" | "expired" | "refunded" if (captures, net) != (0, 0):
            return f"is {order.state}, but {money}"
        case "mixed":
            return f"has seats in different states, and {money}"
    return ""


def _misquoted(order: Order, told: int | None) -> str:
    return "" if told is None else f"costs {order.amount_cents} cents, but the fan was told {told}"


def _quotes(evidence: Evidence) -> dict[str, int]:
    """What the last payment of each order was told that it costs, where that is not what it costs."""
    return _misquotes(evidence, agreed(evidence).odd_pays) and _misquotes(evidence, evidence.pays)


def _misquotes(evidence: Evidence, pays: Operations[PayValue]) -> dict[str, int]:
    quotes: dict[str, int] = {}
    for pay in pays:
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        if order:
            told = pay.value.amount_cents if pay.ok else None
            if told is None or told == order.amount_cents:
                quotes.pop(order.order_id, None)
            else:
                quotes[order.order_id] = told
    return quotes


def _pays(evidence: Evidence, order_ids: set[str]) -> dict[str, Operation[PayValue]]:
    """The last payment of each of these orders; by idempotency key where the fan never learnt the order's id."""
    pays: dict[str, Operation[PayValue]] = {}
    for pay in evidence.pays:
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        if order and order.order_id in order_ids:
            pays[order.order_id] = pay
    return pays


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


MONEY_RECONCILES: Final = specified("money_reconciles", money_reconciles)
