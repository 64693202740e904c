"""Checks `charged_as_shown`: the price that a fan was shown is the price ordered, charged and refunded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence, LedgerEntry
from harness.audit.operations import Operation, PayValue
from harness.audit.orders.agreed import agreed
from harness.audit.spec import specified
from harness.audit.tally import VIOLATIONS_KEPT, Moment, Tally, at_rest, during
from harness.record.schema import BOT_ACTOR

_CAPABILITIES: Final = ("order_export", "ledger_export")
_TABLES: Final = {"final_orders": "the order export", "final_ledger": "the provider's ledger"}


def charged_as_shown(evidence: Evidence) -> Tally:
    """The price shown when the seats were chosen = the order's = what its fan is told = each capture = each refund.

    That a platform is consistent in order, ledger and export is no excuse: the fan saw another price. Fees belong to
    the price that is shown. Captures and refunds in parts must add up to it; whether an order may be charged more than
    once is for `money_reconciles` to say.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    problems: dict[str, tuple[str, Operation[PayValue]]] = {}
    shown_to = evidence.pays.where(pc.is_valid(evidence.pays.column("shown_cents")))
    as_told = _as_told(evidence)
    priced = set(pc.unique(agreed(evidence).ids_of_pays.filter(pa.array(as_told))).to_pylist())
    for pay in evidence.pays.where(~as_told):
        shown = pay.value.shown_cents
        if shown is None:
            continue
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        told = pay.value.amount_cents if pay.ok else None
        if order:
            priced.add(order.order_id)
        name = order.order_id if order else pay.value.order_id or f"of key {pay.key}"
        if told is not None and told != shown:
            problem = f"was shown {shown} cents and told {told}{_fee(evidence, told - shown)}"
            problems.setdefault(name, (problem, pay))
        elif order and order.amount_cents != shown:
            fee = _fee(evidence, order.amount_cents - shown)
            problems.setdefault(name, (f"was shown {shown} cents, and the order is of {order.amount_cents}{fee}", pay))
    later = {order_id: text for order_id, text in _booked_otherwise(evidence, priced) if order_id not in problems}
    later |= {
        order_id: text for order_id, text in _told_otherwise(evidence, priced) if order_id not in problems | later
    }
    tally.checked = tally.chances = len(priced)
    _report(evidence, problems, later, tally)
    _limits(evidence, len(shown_to), tally)
    return tally


def _as_told(evidence: Evidence) -> npt.NDArray[np.bool_]:
    """The payments that agree with the order export, and whose fan was shown and told the price that it has."""
    shown, told = (evidence.pays.column(name) for name in ("shown_cents", "amount_cents"))
    same: npt.NDArray[np.bool_] = pc.fill_null(pc.equal(shown, told), False).to_numpy(False)
    return same & agreed(evidence).pays


def _fee(evidence: Evidence, more_cents: int) -> str:
    """The words about an undeclared fee, where a platform of the user's own takes more than it shows."""
    if evidence.own_platform is None or more_cents <= 0:
        return ""
    return f": {more_cents} more, which were shown neither with the tickets nor in the basket, and are no declared fee"


def _booked_otherwise(evidence: Evidence, priced: set[str]) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) where captures or refunds, one by one or in parts, are not the order's amount."""
    odd: dict[tuple[str, str], int] = {}
    for entry in evidence.ledger():
        if entry.entry != "decline" and entry.order_id in priced:
            amount = evidence.orders[entry.order_id].amount_cents
            if entry.amount_cents != amount:
                parts = (entry.order_id, entry.entry)
                odd[parts] = odd.get(parts, 0) + entry.amount_cents
    for (order_id, kind), cents in odd.items():
        amount = evidence.orders[order_id].amount_cents
        if cents != amount:
            yield order_id, f"was shown {amount} cents, and the {kind} is of {cents}"


def _told_otherwise(evidence: Evidence, priced: set[str]) -> Iterator[tuple[str, str]]:
    """(order id, what is wrong) where a look-up shows another amount than the order's."""
    for look in agreed(evidence).odd_looks:
        if look.key in priced and look.value.amount_cents is not None:
            amount = evidence.orders[look.key].amount_cents
            if look.value.amount_cents != amount:
                yield look.key, f"was shown {amount} cents, and later told {look.value.amount_cents}"


def _report(
    evidence: Evidence, problems: dict[str, tuple[str, Operation[PayValue]]], later: dict[str, str], tally: Tally
) -> None:
    """The first with their payment and what was booked; the others are counted."""
    shown = {*list(problems)[:VIOLATIONS_KEPT], *list(later)[:VIOLATIONS_KEPT]}
    paid = {name: pay for name, (_, pay) in problems.items()} | _payments(evidence, shown & later.keys())
    booked: dict[str, list[LedgerEntry]] = {}
    for entry in evidence.ledger() if shown else ():
        if entry.order_id in shown and entry.entry != "decline":
            booked.setdefault(entry.order_id, []).append(entry)
    for name, problem in ({name: text for name, (text, _) in problems.items()} | later).items():
        pay = paid.get(name)
        fan = pay.actor if pay else "a fan"
        moments = [_chosen(pay)] if pay else []
        order = evidence.orders.get(name)
        if order:
            moments.append(at_rest("order export", f"order {name} is {order.state}, {order.amount_cents} cents"))
        tally.violated(f"order {name}: {fan} {problem}", *moments, *map(_entry, booked.get(name, ())))


def _payments(evidence: Evidence, order_ids: set[str]) -> dict[str, Operation[PayValue]]:
    found: dict[str, Operation[PayValue]] = {}
    for pay in evidence.pays if order_ids else ():
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        if order and order.order_id in order_ids:
            found.setdefault(order.order_id, pay)
    return found


def _limits(evidence: Evidence, shown_to: int, tally: Tally) -> None:
    """Why nothing can be held, where the run shows only a part."""
    hidden = [capability for capability in _CAPABILITIES if capability not in evidence.run.capabilities]
    unread = [what for table, what in _TABLES.items() if not evidence.record.has(table)]
    if len(evidence.pays) and not shown_to and evidence.on_sale is None:
        tally.hidden = "no price was shown when the seats were chosen, or the adapter does not say it"
    elif len(evidence.pays) and not shown_to:
        tally.undecided, tally.note = True, "no fan was shown a price, though the venue of the on-sale has prices"
    elif hidden:
        tally.hidden = f"the platform does not show: {', '.join(hidden)}"
    elif unread:
        tally.undecided, tally.note = True, f"{' and '.join(unread)} could not be read at rest"
    elif unpriced := _unpriced(evidence):
        tally.undecided, tally.note = True, f"{unpriced} purchases were paid for without a price having been shown"
    elif evidence.unrest:
        tally.undecided, tally.note = True, f"the platform did not come to rest: {evidence.unrest}"


def _unpriced(evidence: Evidence) -> int:
    """How many purchases of fans had no price at any try and came to an order. Bots need not look at prices."""
    pays = evidence.pays.where(agreed(evidence).order_of_pay >= 0).without((BOT_ACTOR,))
    shown = pa.table({"key": pays.keys, "shown": pc.is_valid(pays.column("shown_cents"))})
    by_key = shown.group_by("key").aggregate([("shown", "any")])
    return int(pc.sum(pc.invert(by_key["shown_any"])).as_py() or 0)


def _chosen(pay: Operation[PayValue]) -> Moment:
    answer = (
        f"{pay.outcome}, {pay.value.amount_cents} cents" if pay.value.amount_cents is not None else f"{pay.outcome}"
    )
    chose = f"{pay.actor} paid for {pay.value.words}, shown at {pay.value.shown_cents} cents: {answer}"
    return during(pay, chose)


def _entry(entry: LedgerEntry) -> Moment:
    return at_rest("provider's ledger", f"{entry.entry} {entry.charge_id} of {entry.amount_cents} cents")


CHARGED_AS_SHOWN: Final = specified("charged_as_shown", charged_as_shown)
