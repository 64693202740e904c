"""Checks `refused_for_cause`: a fan who is refused seats, a payment or entry is refused for a cause that was there."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from harness.audit.history import Evidence
from harness.audit.operations import EnterValue, Operation, PayValue, SeatsValue
from harness.audit.orders.told import refusals
from harness.audit.seats.given_back import counts_no_longer
from harness.audit.seats.late import SeatClaim, claims_on_seats
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, during
from harness.record.schema import PROBE_ACTOR

_SHOWN: Final = frozenset({"seats", "queue"})
_LIMIT: Final = "limit"
_CONFLICT: Final = "conflict"
_DECLINED: Final = "declined"
_NOT_IN: Final = ("used", "expired", "waiting")
_RECOVERY_S: Final = 5.0
"""So long after a fault, or before it, a called fan may be told to wait again: the queue may have lost the call."""
_REPEAT_ENTER_S: Final = 60.0
"""The reference system gives who comes in again so soon the same answer, for the first may have been lost."""
_NEVER_S: Final = float("-inf")
_OPEN_S: Final = float("inf")


def refused_for_cause(evidence: Evidence) -> Tally:
    """A refusal names a cause that is so: nothing is refused that nobody has, below the limit, or to a called fan.

    - "limit": the identity had so many seats, or may have had, that those asked for were too many; what may have been
      theirs is what they held, asked for without an answer, or bought, for as long as anybody may have kept it, or
      until they had given it back;
    - "conflict": somebody had one of the seats, may have had, or asked for it at that time;
    - "sold out", told to fans in line: no seat was left that nobody had asked for by then, and that was granted later
      (on the reference system, or is free at rest);
    - "declined": the provider's ledger has a decline of that order (on the reference system, whose ledger has all);
    - "used" at the entrance: the fan had come in before; on the reference system, so long ago that it is no repeat;
    - "expired" at the entrance: the call was as old as it may get (on the reference system, which declares that);
    - "waiting" at the entrance: the fan was not called in yet, or a fault may have lost the call.

    A hold that a fan is told is gone is for `no_early_expiry`.
    """
    tally = Tally(evidence, chances=0)
    if not _SHOWN & set(evidence.run.capabilities):
        tally.hidden = "the platform does not show: seats or queue"
        return tally
    claims = claims_on_seats(evidence, evidence.rules.hold_late_max_s if evidence.rules else _OPEN_S)
    _over_limit(evidence, claims, tally)
    counts_no_longer(evidence, claims, tally)
    _taken(evidence, claims, tally)
    _sold_out(evidence, claims, tally)
    _declined(evidence, tally)
    _at_the_entrance(evidence, tally)
    tally.checked = len(evidence.holds) + len(evidence.pays) + len(evidence.enters)
    if not tally.chances:
        tally.note = "nobody was refused anything for a cause that can be checked, and nobody came in"
    return tally


def _chance(tally: Tally, count: int = 1) -> None:
    tally.chances = (tally.chances or 0) + count


def _over_limit(evidence: Evidence, claims: list[SeatClaim], tally: Tally) -> None:
    """Reports each refusal for the purchase limit of an identity that cannot have had so many tickets then."""
    limit = evidence.rules.purchase_limit if evidence.rules else 0
    refused: list[Operation[SeatsValue] | Operation[PayValue]] = []
    refused += [one for one in evidence.holds.failed_with(_LIMIT) if one.value.seats]
    refused += [one for one in evidence.pays.failed_with(_LIMIT) if one.value.seats]
    identities = {one.identity for one in refused}
    fans = {one.actor for one in refused}
    if not limit or any(order.fan in fans for order in evidence.baseline_orders.values()):
        return
    theirs: dict[str, list[SeatClaim]] = defaultdict(list)
    for claim in claims if refused else ():
        if claim.hold is None or claim.hold.identity in identities:
            theirs[claim.hold.identity if claim.hold else ""].append(claim)
    margin_s = evidence.clock_margin_s
    for one in refused:
        _chance(tally)
        had = {
            (claim.seat, claim.hold.key if claim.hold else "")
            for claim in (*theirs[one.identity], *theirs[""])
            if claim.t_from_s <= one.t_end_s + margin_s and claim.t_until_s >= one.t_invoke_s - margin_s
        }
        seats = set(one.value.seats)
        if isinstance(one.value, PayValue):
            had = {claimed for claimed in had if claimed[0] not in seats}
        most = len(had) + len(seats)
        if most <= limit:
            tally.violated(
                f"{one.identity} was refused {len(seats)} seats for the limit of {limit}, and had {len(had)} at most",
                during(one, f"{one.actor} asked for {one.value.words} and was told that it is over the limit"),
            )


def _taken(evidence: Evidence, claims: list[SeatClaim], tally: Tally) -> None:
    """Refusals for seats that nobody had had until then. Those of which a hold was over are for `no_late_expiry`."""
    first_s: dict[str, float] = {}
    asked: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for claim in claims:
        first_s[claim.seat] = min(claim.t_from_s, first_s.get(claim.seat, _OPEN_S))
    refused = [one for one in evidence.holds.failed_with(_CONFLICT) if one.value.seats]
    for one in refused:
        for seat in one.value.seats:
            asked[seat].append((one.t_invoke_s, one.t_end_s, one.actor))
    first_s |= {seat: _NEVER_S for order in evidence.baseline_orders.values() for seat in order.seats}
    on_sale = {seat for seat, state in evidence.seats if state == "free"}
    on_sale |= {seat for hold in evidence.holds.ok for seat in hold.value.seats}
    for one in refused:
        if one.actor.startswith(PROBE_ACTOR) or one.t_end_s > evidence.duration_s:
            continue
        _chance(tally)
        until_s = one.t_end_s + evidence.clock_margin_s
        if any(
            seat not in on_sale or first_s.get(seat, _OPEN_S) <= until_s or _rivals(asked[seat], one)
            for seat in one.value.seats
        ):
            continue
        seats = ", ".join(one.value.seats)
        text = f"{one.actor} asked for {seats} at {one.t_invoke_s:.3f} s and was refused"
        tally.violated(f"{one.actor} was refused {seats}, which nobody had asked for by then", during(one, text))


def _sold_out(evidence: Evidence, claims: list[SeatClaim], tally: Tally) -> None:
    """Fans in line who were told that nothing is left, while a seat was. Each is told of once."""
    told = evidence.events("positions", ("sold_out",), ("actor", "t_s"))
    tally.chances = (tally.chances or 0) + told.num_rows
    if not told.num_rows:
        return
    first_s: dict[str, float] = {}
    for claim in claims:
        first_s[claim.seat] = min(claim.t_from_s, first_s.get(claim.seat, _OPEN_S))
    left_s = {seat: first_s[seat] for hold in evidence.holds.ok for seat in hold.value.seats}
    if evidence.on_sale is not None:
        left_s |= {seat: _OPEN_S for seat, state in evidence.seats if state == "free" and seat not in first_s}
    last = max(left_s, key=lambda seat: left_s[seat], default="")
    t_s, actors = told["t_s"].to_numpy(), told["actor"]
    wrong = np.flatnonzero(t_s + evidence.clock_margin_s < left_s.get(last, _NEVER_S))
    blamed: set[str] = set()
    for at in wrong[np.argsort(t_s[wrong], kind="stable")].tolist():
        fan, told_s = actors[at].as_py(), float(t_s[at])
        if fan not in blamed:
            blamed.add(fan)
            heard = Moment(fan, f"{fan} was told that nothing is left", (told_s, told_s))
            tally.violated(f"{fan} was told that nothing is left, and nobody had asked for seat {last} by then", heard)


def _rivals(asked: list[tuple[float, float, str]], one: Operation[SeatsValue]) -> bool:
    """Somebody else was asking for the seat at that time, and may have kept it from this fan for a moment."""
    return any(fan != one.actor and begun_s <= one.t_end_s and end_s >= one.t_invoke_s for begun_s, end_s, fan in asked)


def _declined(evidence: Evidence, tally: Tally) -> None:
    """Declines that the provider knows nothing of. Where it was not read at rest, nothing is said of them."""
    if evidence.on_sale is None or evidence.unrest or not evidence.record.has("final_ledger"):
        return
    known = {entry.order_id for entry in evidence.ledger() if entry.entry == "decline"}
    for word in refusals(evidence) if evidence.record.has("final_orders") else ():
        order = evidence.order_of("", word.key)
        if word.state != _DECLINED or (order and order.state != _DECLINED):
            continue  # an order that is something else contradicts what the fan was told: `no_lost_booking`
        _chance(tally)
        if order is None or order.order_id not in known:
            summary = f"{word.operation.actor} was told that the card was declined, which the provider never did"
            tally.violated(summary, word.moment())


def _at_the_entrance(evidence: Evidence, tally: Tally) -> None:
    """Each fan's ways in, in order. Of fans who showed a forged ticket nothing is said."""
    forged = {join.actor for join in evidence.joins.naming("ticket") if join.value.ticket}
    called_s = _calls(evidence)
    tried_s: dict[str, float] = {}
    joined_s = evidence.joins.first_invoked_s
    for enter in evidence.enters:
        fan = enter.actor
        if fan not in forged and (enter.ok or enter.error in _NOT_IN):
            _chance(tally)
            if problem := _untrue(evidence, enter, tried_s, called_s.get(fan), joined_s.get(fan)):
                told = during(enter, f"{fan} asked to come in and was told: {enter.error}")
                tally.violated(f"{fan} was refused entry as {enter.error}, {problem}", told)
        if enter.error not in _NOT_IN:
            tried_s.setdefault(fan, enter.t_invoke_s)


def _untrue(
    evidence: Evidence,
    enter: Operation[EnterValue],
    tried_s: dict[str, float],
    called_s: list[float] | None,
    joined_s: float | None,
) -> str:
    """What shows that the cause was none; "" where nothing does."""
    fan, on_sale = enter.actor, evidence.on_sale
    match enter.error:
        case "used" if fan not in tried_s:
            return "and had not come in before"
        case "used" if on_sale and enter.t_end_s - tried_s[fan] < _REPEAT_ENTER_S:
            return "and had first tried so shortly before that it is a repeat"
        case "expired" if on_sale and joined_s is not None and enter.t_end_s - joined_s < on_sale.admission_valid_s:
            return f"and had joined less than {on_sale.admission_valid_s:g} s before, so long a call is good"
        case "waiting" if on_sale and called_s:
            at_s = [t_s for t_s in called_s if t_s < enter.t_invoke_s]
            lost = evidence.unrest or (
                at_s and evidence.faults_between(at_s[-1] - _RECOVERY_S, enter.t_end_s + _RECOVERY_S)
            )
            if at_s and not lost and (joined_s is None or joined_s < at_s[-1]):
                return "and had been called in before"
    return ""


def _calls(evidence: Evidence) -> dict[str, list[float]]:
    """Fan → when their stream said that they are called in, in order."""
    rows = evidence.events("positions", ("admitted",), ("actor", "t_s"))
    found: dict[str, list[float]] = defaultdict(list)
    t_s = rows["t_s"].to_numpy()
    names = rows["actor"].to_pylist()
    for at in np.argsort(t_s, kind="stable").tolist():
        found[names[at]].append(float(t_s[at]))
    return found


REFUSED_FOR_CAUSE: Final = specified("refused_for_cause", refused_for_cause)
