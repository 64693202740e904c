"""Checks `purchase_limit`: one person buys no more than allowed, over all sessions, devices and attempts.

So does one order, where the platform limits orders.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import NO_RULES, Evidence, Order, numbered
from harness.audit.operations import Operation, Operations, SeatsValue
from harness.audit.orders.agreed import confirmed
from harness.audit.seats.bookings import Confirmation, confirmations
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, at_rest
from harness.record.schema import Outcome

_OVER_LIMIT: Final = "limit"
_FOR_EVER: Final = float("inf")


def purchase_limit(evidence: Evidence) -> Tally:
    """No identity has more seats or tickets than the on-sale's purchase limit, over all the fans that it came as.

    What counts are the tickets of orders that are confirmed at rest, and of confirmations that fans were told and the
    order export does not know. Who a fan is comes from the history; a fan of whom it has nothing is their own identity.
    Of an order that the export gives nobody, nobody can say whose limit it counts for.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    limit = evidence.rules.purchase_limit if evidence.rules else 0
    of_one = evidence.rules.order_limit if evidence.rules else 0
    if not limit and not of_one:
        tally.hidden = f"{evidence.rules.where} sets no purchase_limit" if evidence.rules else NO_RULES
        return tally
    bought: dict[str, dict[str, Order | Confirmation]] = {}
    identities = _identities(evidence)
    tally.checked = confirmed(evidence.pays.ok) + confirmed(evidence.lookups.ok)
    for confirmation in confirmations(evidence, odd=True):
        if evidence.order_of(confirmation.order_id, confirmation.idempotency_key, confirmation.operation.actor) is None:
            seats = bought.setdefault(confirmation.operation.identity, {})
            for seat in confirmation.names:
                seats.setdefault(seat, confirmation)
    for order in evidence.orders.values():
        if order.state in ("confirmed", "mixed") and order.fan:
            tally.checked += 1
            bought.setdefault(identities.get(order.fan, order.fan), {}).update(dict.fromkeys(order.names, order))
    tally.chances = len(at_their_limit(evidence, limit) if limit else _asked_for_more(evidence, of_one))
    for identity, seats in bought.items():
        if limit and len(seats) > limit:
            _report(identity, seats, limit, tally)
        for purchase in dict.fromkeys(seats.values()) if of_one else ():
            if len(purchase.names) > of_one:
                of_it = f"{identity} bought {len(purchase.names)} tickets in one order; {of_one} are allowed"
                tally.violated(of_it, _moment(purchase, identity))
    return tally


def _asked_for_more(evidence: Evidence, limit: int) -> set[str]:
    """Identities that asked for more tickets at once than an order may have, and were answered."""
    asked = {
        one.identity for one in evidence.askings if one.value.tickets > limit and (one.ok or one.error == _OVER_LIMIT)
    }
    return asked | {pay.identity for pay in evidence.pays.failed_with(_OVER_LIMIT)}


def at_their_limit(evidence: Evidence, limit: int) -> set[str]:
    """Identities that asked for more seats than they had left, over all their fans, and got the seats or a no for that.

    Theirs are the seats of holds that were granted before and whose time is not over, or that were bought.
    """
    askings = evidence.askings
    askings = askings.where(askings.outcomes(Outcome.OK) | askings.ended_with(_OVER_LIMIT))
    repeated = set(askings.repeated_identities)
    bought = {
        pay.value.hold_id
        for pay in evidence.pays.of_identities(repeated)
        if (order := evidence.order_of(pay.value.order_id, pay.key, pay.actor))
        and order.state in ("confirmed", "mixed")
    }
    released = {release.key: release.t_invoke_s for release in evidence.releases if not release.error}
    theirs: dict[str, list[tuple[float, float, frozenset[str]]]] = {}
    asked: set[str] = set()
    several = np.asarray(pc.is_in(askings.identities, value_set=pa.array(repeated, pa.string())))
    for hold in askings.where(several | ~_within(askings, limit)):
        had = theirs.setdefault(hold.identity, []) if hold.identity in repeated else []
        had[:] = [one for one in had if hold.t_invoke_s <= one[1]]
        seats = frozenset(_names(hold))
        if len(seats.union(*(one[2] for one in had if one[0] <= hold.t_invoke_s))) > limit:
            asked.add(hold.identity)
        if hold.ok:
            over_s = hold.t_invoke_s + (hold.value.ttl_s or 0.0)
            until_s = _FOR_EVER if hold.key in bought else min(over_s, released.get(hold.key, _FOR_EVER))
            had.append((hold.t_end_s, until_s, seats))
    return asked | {pay.identity for pay in evidence.pays.failed_with(_OVER_LIMIT)}


def _within(askings: Operations[SeatsValue], limit: int) -> npt.NDArray[np.bool_]:
    """Whether each asks for no more than so many seats, and for seats."""
    seats: npt.NDArray[np.int32] = pc.list_value_length(askings.column("seats")).to_numpy()
    return (seats > 0) & (seats <= limit)


def _names(hold: Operation[SeatsValue]) -> tuple[str, ...]:
    """A name for each ticket that was asked for."""
    value = hold.value
    return value.seats or tuple(numbered(hold.key, {value.pool: value.tickets}))


def _identities(evidence: Evidence) -> dict[str, str]:
    """Fan → who they are, of those who are somebody else too."""
    return {
        **evidence.joins.aliases,
        **evidence.askings.aliases,
        **evidence.pays.aliases,
        **evidence.lookups.aliases,
    }


def _report(identity: str, seats: dict[str, Order | Confirmation], limit: int, tally: Tally) -> None:
    """The purchases that together are too many, none more than needed: the biggest first."""
    by_purchase: dict[str, tuple[Order | Confirmation, list[str]]] = {}
    for seat, bought in seats.items():
        name = bought.order_id if isinstance(bought, Order) else bought.order_name
        by_purchase.setdefault(name, (bought, []))[1].append(seat)
    moments: list[Moment] = []
    counted = 0
    for bought, of_it in sorted(by_purchase.values(), key=lambda pair: -len(pair[1])):
        if counted <= limit:
            counted += len(of_it)
            moments.append(_moment(bought, identity))
    fans = {bought.fan if isinstance(bought, Order) else bought.operation.actor for bought, _ in by_purchase.values()}
    came = f", as {len(fans)} fans" if len(fans) > 1 else ""
    tally.violated(f"{identity} bought {len(seats)} tickets{came}; {limit} are allowed", *moments)


def _moment(bought: Order | Confirmation, identity: str) -> Moment:
    if isinstance(bought, Confirmation):
        return bought.moment()
    text = f"order {bought.order_id} of {bought.fan}, who is {identity}, is {bought.state} for {bought.words}"
    return at_rest("order export", text)


PURCHASE_LIMIT: Final = specified("purchase_limit", purchase_limit)
