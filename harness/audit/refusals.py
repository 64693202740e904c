"""Checks `refused_for_cause`: a fan who is refused seats, a payment or entry is refused for a cause that was there."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np
import pyarrow.compute as pc

from harness.audit.history import Evidence, numbered
from harness.audit.holds.given_back import counts_no_longer
from harness.audit.holds.late import REFUSED, SeatClaim, claims_on_seats, first_claimed_s
from harness.audit.operations import Operation, PayValue, SeatsValue
from harness.audit.orders.told import refusals
from harness.audit.queue.entrance import check_entrance
from harness.audit.seats.claims import sales
from harness.audit.spec import specified
from harness.audit.stock.claims import asked, untouched_until_s
from harness.audit.stock.refused import check_pools
from harness.audit.tally import Moment, Tally, during
from harness.record.schema import PROBE_ACTOR

_SHOWN: Final = frozenset({"seats", "queue"})
_LIMIT: Final = "limit"
_CONFLICT: Final = "conflict"
_DECLINED: Final = "declined"
_OPEN_S: Final = float("inf")
_NOBODY_REFUSED: Final = "nobody was refused tickets or a payment for a cause that the platform shows"


def refused_for_cause(evidence: Evidence) -> Tally:
    """A refusal names a cause that is so: nothing is refused that nobody has, below the limit, or to a called fan.

    - "limit": the identity had so many tickets, or may have had, that those asked for were too many for one customer or
      for one order; what may have been theirs is what they held, asked for without an answer, or bought, for as long as
      anybody may have kept it, or until they had given it back;
    - "conflict" over tickets without a seat: there were not so many left, see `harness.audit.stock.refused`;
    - "conflict": somebody had one of the seats, may have had, or asked for it at that time; on a platform with orders
      of before the release somebody may have had anything until holds of then were over;
    - "sold out", told to fans in line: nothing was left that nobody had asked for by then, and that was granted later
      or is free at rest;
    - "declined": the provider's ledger has a decline of that order (on the reference system, whose ledger has all);
    - turned away when they joined, or in line: somebody else asked for a place with the fan's access code, or identity
      where the sale gives it one place (on the reference system);
    - "used" at the entrance: the fan had come in before; on the reference system, so long ago that it is no repeat; or
      somebody else has the place of the fan's access code or identity;
    - "expired" at the entrance: the call was as old as it may get (on the reference system, which declares that);
    - "waiting" at the entrance: the fan was not called in yet, or a fault may have lost the call.

    A hold that a fan is told is gone is for `no_early_expiry`.
    """
    tally = Tally(evidence, chances=0)
    claims = claims_on_seats(evidence, evidence.rules.hold_late_max_s if evidence.rules else _OPEN_S)
    first_s = first_claimed_s(claims)
    _over_limit(evidence, claims, tally)
    counts_no_longer(evidence, claims, tally)
    _taken(evidence, first_s, tally)
    _sold_out(evidence, first_s, tally)
    check_pools(evidence, tally)
    _declined(evidence, tally)
    check_entrance(evidence, tally)
    tally.checked = len(evidence.holds) + len(evidence.pays) + len(evidence.enters)
    if not tally.chances and not _SHOWN & set(evidence.run.capabilities):
        no_stock = "the platform does not show: seats or queue"
        tally.hidden = _NOBODY_REFUSED if "stock" in evidence.run.capabilities else no_stock
    elif not tally.chances:
        tally.note = "nobody was refused anything for a cause that can be checked, and nobody came in"
    return tally


class _Had:
    """What the identities of some refused requests had, or may have had."""

    def __init__(self, evidence: Evidence, claims: list[SeatClaim], identities: set[str]) -> None:
        self._margin_s = evidence.clock_margin_s
        self._claims: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
        for claim in claims:
            owner = claim.hold.identity if claim.hold else ""
            if claim.hold is None or owner in identities:
                name = claim.hold.key if claim.hold else ""
                self._claims[owner].append((claim.t_from_s, claim.t_until_s, name, claim.seat))
        for one in asked(evidence):
            if one.hold.identity in identities and not one.refused:
                tickets = numbered(one.hold.key, {one.pool: one.tickets})
                self._claims[one.hold.identity] += (
                    (one.hold.t_invoke_s, _OPEN_S, one.hold.key, ticket) for ticket in tickets
                )
        self._told_s: dict[tuple[str, str], float] = {}
        limited = evidence.rules is not None and evidence.rules.order_limit > 0
        for sale in sales(evidence) if limited else ():  # else nobody asks what is in no order to come
            if sale.told.identity in identities:
                for seat in sale.seats:
                    known_s = self._told_s.get((sale.told.identity, seat), _OPEN_S)
                    self._told_s[sale.told.identity, seat] = min(known_s, sale.told.t_end_s)

    def tickets(self, one: Operation[SeatsValue] | Operation[PayValue]) -> set[tuple[str, str]]:
        """(hold, ticket) of everything beside what a refused payment is for."""
        from_s, until_s = one.t_invoke_s - self._margin_s, one.t_end_s + self._margin_s
        paid = _paid_for(one.value) if isinstance(one.value, PayValue) else set[str]()
        return {
            (hold, ticket)
            for t_from_s, t_until_s, hold, ticket in (*self._claims[one.identity], *self._claims[""])
            if t_from_s <= until_s and t_until_s >= from_s and ticket not in paid
        }

    def bought(self, one: Operation[SeatsValue] | Operation[PayValue], ticket: str) -> bool:
        """Whether the ticket was surely sold to the identity before, so that it is in no order to come."""
        return self._told_s.get((one.identity, ticket), _OPEN_S) < one.t_invoke_s - self._margin_s


def _paid_for(value: PayValue) -> set[str]:
    """A name for each ticket, as `_Had` has them."""
    return {*value.seats, *numbered(value.hold_id, {value.pool: value.quantity} if value.pool else {})}


def _over_limit(evidence: Evidence, claims: list[SeatClaim], tally: Tally) -> None:
    """Reports each refusal for a limit of an identity that cannot have gone over it then.

    What a fan has chosen and not bought may become one order with what they ask for, which the limit of one order is
    for. Of fans who had bought before the release nothing is said; orders of then that name nobody may be anybody's.
    """
    rules, before = evidence.rules, evidence.baseline_orders.values()
    if rules is None or not rules.purchase_limit:
        return
    owners, nameless = {order.fan for order in before}, sum(order.tickets for order in before if not order.fan)
    refused: list[Operation[SeatsValue] | Operation[PayValue]] = []
    refused += [one for one in evidence.holds.failed_with(_LIMIT) if one.value.seats or one.value.pool]
    refused += [one for one in evidence.pays.failed_with(_LIMIT) if one.value.seats or one.value.pool]
    refused = [one for one in refused if one.actor not in owners and one.t_invoke_s > evidence.held_before_until_s]
    if not refused:
        return
    had = _Had(evidence, claims, {one.identity for one in refused})
    for one in refused:
        tally.chance()
        theirs, asks = had.tickets(one), len(one.value.seats) or one.value.quantity
        most = len(theirs) + nameless
        what = "seats" if one.value.seats else f"of {one.value.pool}"
        in_order = asks + sum(not had.bought(one, ticket) for _, ticket in theirs)
        if most + asks <= rules.purchase_limit and not 0 < rules.order_limit < in_order:
            tally.violated(
                f"{one.identity} was refused {asks} {what} for the limit of {rules.purchase_limit}, and had {most} at "
                "most",
                during(one, f"{one.actor} asked for {one.value.words} and was told that it is over the limit"),
            )


def _taken(evidence: Evidence, first_s: dict[str, float], tally: Tally) -> None:
    """Refusals for seats that nobody had had until then. Those of which a hold was over are for `no_late_expiry`."""
    refused = [one for error in REFUSED for one in evidence.takings.failed_with(error)]
    tries: dict[str, list[Operation[SeatsValue]]] = defaultdict(list)
    for one in refused:
        for seat in one.value.seats:
            tries[seat].append(one)
    on_sale = {seat for seat, state in evidence.seats if state == "free"}
    on_sale |= set(evidence.takings.ok.names_in("seats").to_pylist())
    on_sale -= {seat for order in evidence.baseline_orders.values() for seat in order.seats}
    for one in refused:
        if (
            one.error != _CONFLICT
            or not one.value.seats
            or one.actor.startswith(PROBE_ACTOR)
            or one.t_end_s > evidence.duration_s
            or one.t_invoke_s <= evidence.held_before_until_s
        ):
            continue
        tally.chance()
        until_s = one.t_end_s + evidence.clock_margin_s
        if any(
            seat not in on_sale
            or first_s.get(seat, _OPEN_S) <= until_s
            or _rivals(tries[seat], one, evidence.clock_margin_s)
            for seat in one.value.seats
        ):
            continue
        seats = ", ".join(one.value.seats)
        text = f"{one.actor} asked for {seats} at {one.t_invoke_s:.3f} s and was refused"
        tally.violated(f"{one.actor} was refused {seats}, which nobody had asked for by then", during(one, text))


def _rivals(tries: list[Operation[SeatsValue]], one: Operation[SeatsValue], margin_s: float) -> bool:
    """Whether another request for the seat was under way at that time, the fan's own included, which may have kept it
    from this one for a moment and was refused itself, because it met this one or a limit."""
    return any(
        other is not one and other.t_invoke_s <= one.t_end_s + margin_s and other.t_end_s >= one.t_invoke_s - margin_s
        for other in tries
    )


def _sold_out(evidence: Evidence, first_s: dict[str, float], tally: Tally) -> None:
    """Fans in line who were told that nothing is left, while a seat or a ticket was. Each is told of once.

    Where nothing is known that could have been left, being told so is no chance.
    """
    told = evidence.events("positions", ("sold_out",), ("actor", "t_s"))
    told = told.filter(pc.greater(told["t_s"], evidence.held_before_until_s))
    left_s = _left_until_s(evidence, first_s) if told.num_rows else {}
    if not left_s:
        return
    tally.chance(told.num_rows)
    last = max(left_s, key=lambda name: left_s[name])
    t_s, actors = told["t_s"].to_numpy(), told["actor"]
    wrong = np.flatnonzero(t_s + evidence.clock_margin_s < left_s[last])
    blamed: set[str] = set()
    for at in wrong[np.argsort(t_s[wrong], kind="stable")].tolist():
        fan, told_s = actors[at].as_py(), float(t_s[at])
        if fan not in blamed:
            blamed.add(fan)
            heard = Moment(fan, f"{fan} was told that nothing is left", (told_s, told_s))
            tally.violated(f"{fan} was told that nothing is left, and nobody had asked for {last} by then", heard)


def _left_until_s(evidence: Evidence, first_s: dict[str, float]) -> dict[str, float]:
    """In words what was on sale → until when it surely was left, because nobody had asked for it.

    Seats that were granted or bought later, and what is free at rest though nobody gave it back.
    """
    left_s = {f"seat {seat}": first_s[seat] for seat in evidence.takings.ok.names_in("seats").to_pylist()}
    if evidence.on_sale is not None or not evidence.unrest:
        before = {seat for order in evidence.baseline_orders.values() for seat in order.seats}
        free = (seat for seat, state in evidence.seats if state == "free" and seat not in before)
        left_s |= {f"seat {seat}": _OPEN_S for seat in free if seat not in first_s}
        left_s |= {f"tickets of {pool}": t_s for pool, t_s in untouched_until_s(evidence).items()}
    return left_s


def _declined(evidence: Evidence, tally: Tally) -> None:
    """Declines that the provider knows nothing of. Where it was not read at rest, nothing is said of them."""
    if evidence.on_sale is None or evidence.unrest or not evidence.record.has("final_ledger"):
        return
    known = {entry.order_id for entry in evidence.ledger() if entry.entry == "decline"}
    for word in refusals(evidence) if evidence.record.has("final_orders") else ():
        order = evidence.order_of("", word.key, word.operation.actor)
        if word.state != _DECLINED or (order and order.state != _DECLINED):
            continue  # an order that is something else contradicts what the fan was told: `no_lost_booking`
        tally.chance()
        if order is None or order.order_id not in known:
            summary = f"{word.operation.actor} was told that the card was declined, which the provider never did"
            tally.violated(summary, word.moment())


REFUSED_FOR_CAUSE: Final = specified("refused_for_cause", refused_for_cause)
