"""Checks `no_double_sell` and `no_lost_booking`: one owner per seat, and every answer to a fan still stands at rest.

Every claim comes from what a fan was told (an acked payment or look-up) or from the order export at rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence, Order, numbered
from harness.audit.operations import Operation, OrderValue, PayValue, goods
from harness.audit.orders.agreed import agreed, confirmed
from harness.audit.orders.told import contradictions, exported, refusals
from harness.audit.seats.contention import contested_seats, sold_seats_asked_for
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, at_rest, during

_LIVE: Final = ("confirmed", "mixed")


class Confirmation(msgspec.Struct, frozen=True, gc=False):
    """A fan was told that an order is confirmed. `order_id` is "" where the platform gave none."""

    operation: Operation[PayValue] | Operation[OrderValue]
    order_id: str
    idempotency_key: str
    seats: tuple[str, ...]
    pools: tuple[tuple[str, int], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each ticket, see `Order.names`."""
        return (*self.seats, *numbered(self.order_name, dict(self.pools)))

    @property
    def words(self) -> str:
        """Its seats and tickets in words."""
        return goods(self.seats, dict(self.pools))

    @property
    def order_name(self) -> str:
        """What to call the order."""
        return self.order_id or f"of key {self.idempotency_key}"

    def moment(self) -> Moment:
        """It as a step of a history."""
        told = f"{self.operation.actor} was told order {self.order_name} is confirmed for {self.words}"
        return during(self.operation, told)


def no_double_sell(evidence: Evidence) -> Tally:
    """At most one confirmed order per seat, over everything that fans were told and the order export.

    A payment that ended unknown claims nothing by itself: if it went through, the export shows its order. At rest a few
    sold seats are asked for once more; whoever is granted one of them could buy it a second time.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    tally.checked = agreed(evidence).seats_told + sum(1 for _ in _claims(evidence, odd=True))
    contested = _sold_twice(_claims(evidence, odd=True)) and _sold_twice(_claims(evidence))
    for seat, order, claim in _claims(evidence) if contested else ():
        if seat in contested:
            contested[seat].setdefault(order, claim)
    for seat, by_order in contested.items():
        moments = (c.moment() if isinstance(c, Confirmation) else exported(c) for c in by_order.values())
        tally.violated(f"seat {seat} was sold {len(by_order)} times: orders {', '.join(by_order)}", *moments)
    asked = sold_seats_asked_for(evidence)
    for seat, (sweep, sold) in asked.items():
        if sweep.ok:
            granted = during(sweep, f"{sweep.actor} was granted seat {seat}, which was sold")
            tally.violated(f"seat {seat} was granted again after order {sold.order_id} had it", exported(sold), granted)
    tally.chances = len(contested_seats(evidence) | asked.keys())
    if not evidence.record.has("final_orders"):
        tally.note = "judged by what fans were told alone: the record has no order export"
    return tally


def _sold_twice(
    claims: Iterable[tuple[str, str, Confirmation | Order]],
) -> dict[str, dict[str, Confirmation | Order]]:
    """The seats that two orders claim, each with room for the claims."""
    first: dict[str, str] = {}
    return {seat: {} for seat, order, _ in claims if first.setdefault(seat, order) != order}


def _claims(evidence: Evidence, *, odd: bool = False) -> Iterator[tuple[str, str, Confirmation | Order]]:
    """(seat, name of the order that claims it, how that is known). `odd`: see `confirmations`."""
    for confirmation in confirmations(evidence, odd=odd):
        order = evidence.order_of(confirmation.order_id, confirmation.idempotency_key, confirmation.operation.actor)
        name = order.order_id if order else confirmation.order_name
        for seat in confirmation.seats:
            yield seat, name, confirmation
    for order in evidence.orders.values():
        if order.state in _LIVE:
            for seat in order.seats:
                yield seat, order.order_id, order


def no_lost_booking(evidence: Evidence) -> Tally:
    """What fans were told of their purchases stands at rest: every yes, every no, and whose order it is.

    - a confirmation is confirmed at rest, for that fan and those seats, and the seat map shows them sold; of an order
      that the export gives nobody it cannot be said whose it is;
    - no yes is followed by a no, and no no by a yes, in later answers or at rest (see `harness.audit.orders.told`);
    - the order of an idempotency key belongs to the fan who used the key, has the id that they were told, and the seats
      that they paid for; and there is no order that nobody asked for.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not evidence.record.has("final_orders"):
        tally.note = "the order export could not be read at rest"
        return tally
    told = confirmed(evidence.pays.ok) + confirmed(evidence.lookups.ok)
    lost: set[str] = set()
    for confirmation in confirmations(evidence, odd=True):
        problem = _loss(evidence, confirmation)
        if problem and confirmation.order_name not in lost:
            lost.add(confirmation.order_name)
            summary = f"order {confirmation.order_name} of {confirmation.operation.actor} is lost: it {problem}"
            rest = at_rest("order export", f"order {confirmation.order_name} {problem}")
            tally.violated(summary, confirmation.moment(), rest)
    for contradiction in contradictions(evidence):
        if contradiction.earlier.order not in lost:
            tally.violated(contradiction.summary, *contradiction.moments())
    tally.chances = tally.checked = told + sum(1 for _ in refusals(evidence))
    _confirmed_but_unsold(evidence, tally)
    _of_somebody_else(evidence, lost, tally)
    return tally


def confirmations(evidence: Evidence, *, odd: bool = False) -> Iterator[Confirmation]:
    """Every time a fan was told that an order is confirmed. `odd`: without what agrees with the order export."""
    pays, looks = evidence.pays, evidence.lookups.ok
    if odd:
        pays, looks = agreed(evidence).odd_pays, agreed(evidence).odd_looks
    for pay in pays.ok:
        if pay.value.state == "confirmed":
            value = pay.value
            bought = value.quantity if value.bought is None else value.bought
            pools = ((value.pool, bought),) if value.pool else ()
            yield Confirmation(pay, value.order_id, pay.key, value.seats, pools)
    for lookup in looks:
        if lookup.value.state == "confirmed":
            pools = ((lookup.value.pool, lookup.value.quantity),) if lookup.value.pool else ()
            yield Confirmation(lookup, lookup.key, "", lookup.value.seats, pools)


def _loss(evidence: Evidence, confirmation: Confirmation) -> str:
    """What became of an acked order, if it is not what the fan was told."""
    order = evidence.order_of(confirmation.order_id, confirmation.idempotency_key, confirmation.operation.actor)
    if order is None:
        return "is not in the order export"
    if order.state != "confirmed":
        return f"is {order.state}"
    if order.fan not in ("", confirmation.operation.actor):
        return f"belongs to {order.fan}"
    missing = [seat for seat in confirmation.seats if seat not in order.seats]
    if missing:
        return f"no longer has {goods(missing, {})}"
    extra = [seat for seat in order.seats if seat not in confirmation.seats] if confirmation.seats else []
    return f"has {goods(extra, {})} too" if extra else ""


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


def _of_somebody_else(evidence: Evidence, lost: set[str], tally: Tally) -> None:
    """Orders that are not what was paid for under their key. Only where the export shows the keys that fans used."""
    used = evidence.pays.keys
    orders = list(evidence.orders.values())
    known = pc.is_in(pa.array([order.idempotency_key or None for order in orders], pa.string()), value_set=used)
    if not pc.any(known).as_py():
        return
    problems: dict[tuple[str, str], tuple[Operation[PayValue], str]] = {}
    for pay in agreed(evidence).odd_pays:
        problem = _not_as_paid(evidence, pay)
        if problem:
            problems.setdefault((pay.key, pay.actor), (pay, problem))
    again = evidence.pays.of_keys([key for key, _ in problems]) if problems else ()
    as_paid = {(pay.key, pay.actor) for pay in again if not _not_as_paid(evidence, pay)}
    for (key, fan), (pay, problem) in problems.items():
        if (key, fan) not in as_paid and not lost & {f"of key {key}", pay.value.order_id}:
            paid = during(pay, f"{fan} paid for {pay.value.words} with the key {key}: {pay.outcome}")
            rest = at_rest("order export", f"the purchase with the key {key} {problem}")
            tally.violated(f"the purchase of {fan} with the key {key} {problem}", paid, rest)
    if not evidence.missing_operations:
        _never_asked_for(evidence, [orders[at] for at in pc.indices_nonzero(pc.invert(known)).to_pylist()], tally)


def _not_as_paid(evidence: Evidence, pay: Operation[PayValue]) -> str:
    """What is wrong with the order behind a payment, "" for nothing. Money is looked at elsewhere."""
    told = evidence.orders.get(pay.value.order_id) if pay.ok else None
    if told and told.idempotency_key not in ("", pay.key):
        return f"was answered with order {told.order_id}, which is of the key {told.idempotency_key}"
    order = told or evidence.order_of("", pay.key, pay.actor)
    if order is None:
        return ""
    if pay.ok and pay.value.order_id not in ("", order.order_id):
        return f"is order {order.order_id}, and was answered with order {pay.value.order_id}"
    if order.fan not in ("", pay.actor):
        return f"is order {order.order_id} of {order.fan}"
    if order.state in _LIVE and pay.value.seats and set(order.seats) != set(pay.value.seats):
        return f"is order {order.order_id}, which has {order.words}"
    return ""


def _never_asked_for(evidence: Evidence, unasked: list[Order], tally: Tally) -> None:
    """Live orders under a key that no fan of the run used, and with an id that no fan was told.

    Where the platform is ours, nobody else buys. Elsewhere only orders in the name of a fan of the run are looked at.
    """
    suspects = [order for order in unasked if order.state in _LIVE]
    if not suspects:
        return
    everybody = evidence.on_sale is not None
    fans = {fan for done in (evidence.joins, evidence.askings) for fan in pc.unique(done.actors).to_pylist()}
    told = {pay.value.order_id for pay in evidence.pays.ok} | set(evidence.lookups.ok.keys.to_pylist())
    told |= {reuse.value.answered_id for reuse in evidence.reuses}
    for order in suspects:
        if (everybody or order.fan in fans) and order.order_id not in told:
            tally.violated(f"{order.fan} never asked for order {order.order_id}", exported(order))


NO_DOUBLE_SELL: Final = specified("no_double_sell", no_double_sell)

NO_LOST_BOOKING: Final = specified("no_lost_booking", no_lost_booking)
