"""The money table: payment intents and amounts in the provider's ledger, in the orders, and in the answers to fans.

`harness.audit.orders.money` says whether anything is wrong; this table says where the money went, so that a reader can
add it up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow.compute as pc

from harness.audit.history import Evidence, LedgerEntry, Order
from harness.record.verdict import Figure
from harness.sli.examinations.figures import cents, figure
from harness.sli.measured import Observations

_ENDS: Final = {
    "ticketed": "charged once and ticketed",
    "refunded": "charged and refunded to the cent",
    "never_charged": "never charged, no ticket",
    "in_flight": "still pending, nothing charged",
    "wrong": "anything else",
}


def money(seen: Observations) -> Iterator[Figure]:
    """Intents by how they ended, and sums in cents. Empty when the platform shows no ledger or no orders."""
    evidence = seen.everybody
    if not (seen.record.has("final_orders") and seen.record.has("final_ledger")):
        return
    booked: dict[str, list[LedgerEntry]] = {}
    ledger = tuple(evidence.ledger())
    for entry in ledger:
        booked.setdefault(entry.order_id, []).append(entry)
    ends = Counter(end_of(order, booked.get(order.order_id, ())) for order in evidence.orders.values())
    orphans = (entries for order_id, entries in booked.items() if order_id not in evidence.orders)
    may_cancel = (
        evidence.own_platform is not None
    )  # a platform of one's own may keep no order of what it could not sell
    for captured, refunded in map(_amounts, orphans):
        if captured or refunded:
            ends["refunded" if may_cancel and sorted(captured) == sorted(refunded) else "wrong"] += 1
    intents = ends.total()
    for end, words in _ENDS.items():
        yield figure(f"intents_{end}", f"Intents {words}", ends[end], "intents", intents)
    yield from _sums(evidence, ledger)
    yield from _twice(evidence, booked)


def end_of(order: Order, entries: Sequence[LedgerEntry]) -> str:
    """How one intent ended: a key of the table above."""
    captured, refunded = _amounts(entries)
    if order.state == "confirmed":
        return "ticketed" if sum(captured) - sum(refunded) == order.amount_cents == sum(captured[:1]) else "wrong"
    if order.state == "pending":
        return "wrong" if captured or refunded else "in_flight"
    if order.state == "mixed" or sorted(captured) != sorted(refunded):
        return "wrong"
    return "refunded" if captured else "never_charged"


def _amounts(entries: Sequence[LedgerEntry]) -> tuple[list[int], list[int]]:
    """What was captured and what was refunded, each in the order of the ledger."""
    captured = [entry.amount_cents for entry in entries if entry.entry == "capture"]
    return captured, [entry.amount_cents for entry in entries if entry.entry == "refund"]


def _sums(evidence: Evidence, ledger: Sequence[LedgerEntry]) -> Iterator[Figure]:
    captured = sum(entry.amount_cents for entry in ledger if entry.entry == "capture")
    refunded = sum(entry.amount_cents for entry in ledger if entry.entry == "refund")
    confirmed = [order for order in evidence.orders.values() if order.state == "confirmed"]
    owed = sum(order.amount_cents for order in confirmed)
    told = _told(evidence)
    known = [amount for amount in told.values() if amount is not None]
    sum_told = sum(known) if known or not told else None
    lacking = "" if len(known) == len(told) else f"of {len(told) - len(known):,} of them no amount was told"
    entries = len(ledger)
    yield cents(evidence, "captured_cents", "Captured by the provider", captured, entries)
    yield cents(evidence, "refunded_cents", "Refunded by the provider", refunded, entries)
    yield cents(evidence, "ordered_cents", "Confirmed orders", owed, len(confirmed))
    yield cents(evidence, "told_cents", "Told to fans as confirmed", sum_told, len(known), lacking)
    unexplained = captured - refunded - owed
    yield cents(evidence, "unexplained_cents", "Captured − refunded − confirmed", unexplained, entries)


def _told(evidence: Evidence) -> dict[str, int | None]:
    """Order id → cents that the platform told its fan last, for the orders that it confirmed; null: it told none."""
    pays, looks = evidence.pays.ok, evidence.lookups.ok
    pays = pays.where(pc.equal(pays.column("state"), "confirmed"))
    looks = looks.where(pc.equal(looks.column("state"), "confirmed"))
    cells = pays.column("order_id").to_pylist(), pays.column("amount_cents").to_pylist()
    told: dict[str, int | None] = dict(zip(*cells, strict=True))
    for order_id, cents_told in zip(looks.keys.to_pylist(), looks.column("amount_cents").to_pylist(), strict=True):
        if cents_told is not None or order_id not in told:
            told[order_id] = cents_told
    return told


def _twice(evidence: Evidence, booked: dict[str, list[LedgerEntry]]) -> Iterator[Figure]:
    """Counts repeats: payments under one key, keys used for another purchase, entries in the ledger."""
    repeated = evidence.pays.repeated_keys
    purchases: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
    for pay in evidence.pays.of_keys(repeated):
        purchases.setdefault(pay.key, set()).add((pay.value.hold_id, pay.value.seats))
    tries = len(pc.unique(evidence.pays.keys))
    unknown = set(evidence.pays.doubtful.keys.to_pylist())
    charged = {order.idempotency_key for order in evidence.orders.values() if order.state == "confirmed"}
    yield figure("keys_repeated", "Payments tried again under one key", len(repeated), "keys", tries)
    clashes = sum(1 for bodies in purchases.values() if len(bodies) > 1)
    yield figure("keys_reused", "Keys used for another purchase as well", clashes, "keys", tries)
    went_through = len(unknown & charged)
    yield figure("unknown_charged", "Payments without an answer that went through", went_through, "keys", len(unknown))
    captures = _more_than_once(booked, "capture")
    refunds = _more_than_once(booked, "refund")
    yield figure("captured_twice", "Orders captured more than once", captures, "orders", len(booked))
    yield figure("refunded_twice", "Orders refunded more than once", refunds, "orders", len(booked))


def _more_than_once(booked: dict[str, list[LedgerEntry]], kind: str) -> int:
    return sum(1 for entries in booked.values() if sum(1 for entry in entries if entry.entry == kind) > 1)
