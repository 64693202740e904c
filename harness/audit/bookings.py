"""What was promised to whom: no seat to two fans, and no promise forgotten.

Every claim comes from what a fan was told (an acked payment or look-up) or from the order export at rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, OrderValue, PayValue
from harness.audit.spec import InvariantSpec
from harness.audit.tally import Moment, Tally, at_rest, during


class Confirmation(msgspec.Struct, frozen=True, gc=False):
    """A fan was told that an order is confirmed. `order_id` is "" where the platform gave none."""

    operation: Operation[PayValue] | Operation[OrderValue]
    order_id: str
    idempotency_key: str
    seats: tuple[str, ...]

    @property
    def order_name(self) -> str:
        """What to call the order."""
        return self.order_id or f"of key {self.idempotency_key}"

    def moment(self) -> Moment:
        """It as a step of a history."""
        seats = _seats(self.seats)
        return during(
            self.operation, f"{self.operation.actor} was told order {self.order_name} is confirmed for {seats}"
        )


def no_double_sell(evidence: Evidence) -> Tally:
    """At most one confirmed order per seat, over everything that fans were told and the order export.

    A payment that ended unknown claims nothing by itself: if it went through, the export shows its order.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    first: dict[str, str] = {}
    contested: dict[str, dict[str, Confirmation | Order]] = {}
    for seat, order, _ in _claims(evidence):
        tally.checked += 1
        if first.setdefault(seat, order) != order:
            contested[seat] = {}
    for seat, order, claim in _claims(evidence) if contested else ():
        if seat in contested:
            contested[seat].setdefault(order, claim)
    for seat, by_order in contested.items():
        moments = (c.moment() if isinstance(c, Confirmation) else _exported(c) for c in by_order.values())
        tally.violated(f"seat {seat} was sold {len(by_order)} times: orders {', '.join(by_order)}", *moments)
    if not evidence.record.has("final_orders"):
        tally.note = "judged by what fans were told alone: the record has no order export"
    return tally


def _claims(evidence: Evidence) -> Iterator[tuple[str, str, Confirmation | Order]]:
    """(seat, name of the order that claims it, how that is known)."""
    for confirmation in confirmations(evidence):
        order = evidence.order_of(confirmation.order_id, confirmation.idempotency_key)
        name = order.order_id if order else confirmation.order_name
        for seat in confirmation.seats:
            yield seat, name, confirmation
    for order in evidence.orders.values():
        if order.state in ("confirmed", "mixed"):
            for seat in order.seats:
                yield seat, order.order_id, order


def no_lost_booking(evidence: Evidence) -> Tally:
    """Every acked confirmation is confirmed at rest, for that fan and those seats, and the seat map shows them sold."""
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not evidence.record.has("final_orders"):
        tally.note = "the order export could not be read at rest"
        return tally
    for confirmation in confirmations(evidence):
        tally.checked += 1
        problem = _loss(evidence, confirmation)
        if problem:
            summary = f"order {confirmation.order_name} of {confirmation.operation.actor} is lost: it {problem}"
            rest = at_rest("order export", f"order {confirmation.order_name} {problem}")
            tally.violated(summary, confirmation.moment(), rest)
    _confirmed_but_unsold(evidence, tally)
    return tally


def confirmations(evidence: Evidence) -> Iterator[Confirmation]:
    """Every time a fan was told that an order is confirmed."""
    for pay in evidence.pays.ok:
        if pay.value.state == "confirmed":
            yield Confirmation(pay, pay.value.order_id, pay.key, pay.value.seats)
    for lookup in evidence.lookups.ok:
        if lookup.value.state == "confirmed":
            yield Confirmation(lookup, lookup.key, "", lookup.value.seats)


def _loss(evidence: Evidence, confirmation: Confirmation) -> str:
    """What became of an acked order, if it is not what the fan was told."""
    order = evidence.order_of(confirmation.order_id, confirmation.idempotency_key)
    if order is None:
        return "is not in the order export"
    if order.state != "confirmed":
        return f"is {order.state}"
    if order.fan != confirmation.operation.actor:
        return f"belongs to {order.fan}"
    missing = [seat for seat in confirmation.seats if seat not in order.seats]
    return f"no longer has {_seats(tuple(missing))}" if missing else ""


def _confirmed_but_unsold(evidence: Evidence, tally: Tally) -> None:
    """A confirmed seat that the map does not show as sold can be bought by somebody else."""
    if not evidence.seats:
        return
    for order in evidence.orders.values():
        if order.state != "confirmed":
            continue
        for seat in order.seats:
            tally.checked += 1
            state = evidence.seat_states.get(seat, "missing")
            if state != "sold":
                summary = f"seat {seat} of the confirmed order {order.order_id} is {state} in the seat map"
                owned = at_rest("order export", f"order {order.order_id} of {order.fan} is confirmed for seat {seat}")
                tally.violated(summary, owned, at_rest("seat map", f"seat {seat} is {state}"))


def _exported(order: Order) -> Moment:
    text = f"order {order.order_id} of {order.fan} is {order.state} for {_seats(order.seats)}"
    return at_rest("order export", text)


def _seats(seats: tuple[str, ...]) -> str:
    return f"seat {seats[0]}" if len(seats) == 1 else f"seats {', '.join(seats)}"


NO_DOUBLE_SELL: Final = InvariantSpec(
    name="no_double_sell",
    title="No seat is sold twice",
    check="At most one confirmed order per seat across what fans were told and the order export at rest.",
    chance="seats that two fans asked for while the other had or wanted them",
    checker=no_double_sell,
)

NO_LOST_BOOKING: Final = InvariantSpec(
    name="no_lost_booking",
    title="No confirmed booking is lost",
    check="Every confirmation that a fan was told stands at rest, for that fan and those seats, sold in the map.",
    chance="confirmations that fans were told",
    checker=no_lost_booking,
    needs=("order_export",),
    at_rest=True,
)
