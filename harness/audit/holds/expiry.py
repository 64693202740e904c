"""Checks `no_early_expiry`: no fan loses held seats before the promised time is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from harness.amounts import amount
from harness.audit.history import Evidence
from harness.audit.operations import Operation, PayValue, SeatsValue
from harness.audit.seats.claims import EXPIRED, GONE, FirstSales, GrantedHold, promises, told_gone_without_an_order
from harness.audit.spec import specified
from harness.audit.tally import Tally, during

_SEATS: Final = "seats"
_HELD: Final = frozenset({_SEATS, "stock"})
_NEVER_S: Final = float("-inf")
_OPEN_S: Final = float("inf")


def no_early_expiry(evidence: Evidence) -> Tally:
    """Nobody else gets a seat, and no fan is told that their hold is gone, before the hold's invocation + TTL.

    Two grants of one seat contradict each other if each was acked before the other's promise was over: then neither
    can have come first. A sale to another fan contradicts a promise in which it was told, unless it was told before
    the hold was asked for: then a sold seat was granted, see `no_sold_seat_granted`. A promise ends early when its
    fan released the hold, or paid and the order did not become theirs (declined, expired, refunded, unknown): from the
    invocation of that on, the seats may be anybody's. A grant that was acked when its own time was over says nothing.
    Nobody but its fan may release a hold or buy what it keeps: a probe tries both.
    Of tickets without a seat nobody knows who has them next: there it is what the fans were told.
    Of a hold that was granted without a time to live nothing can be told: then the invariant is not held.
    """
    tally = Tally(evidence, unknowns=evidence.holds.unknowns)
    if not _HELD & set(evidence.run.capabilities):
        tally.hidden = "the platform does not show: seats or stock"
        return tally
    granted = promises(evidence)
    tally.checked = len(granted)
    tally.chances = len(lived_to_their_end(evidence, granted)) + _asked_for_in_time(evidence, granted)
    tally.chances += _paid_late(evidence, granted)
    tally.chances += _ended_by_others(evidence, granted, tally)
    _granted_twice(granted, evidence.clock_margin_s, tally)
    _sold_meanwhile(evidence, granted, tally)
    _told_too_soon(evidence, granted, tally)
    without = len(evidence.holds.ok) - len(granted)
    if not granted and _SEATS not in evidence.run.capabilities:
        tally.hidden = "nobody says how long a hold lasts: set platform.rules.hold_ttl_s"
    elif not granted:
        tally.note = "no hold with a time to live was granted"
    elif without:
        tally.undecided = True
        tally.note = f"{without} holds were granted without a time to live"
    return tally


def lived_to_their_end(evidence: Evidence, granted: list[GrantedHold]) -> list[GrantedHold]:
    """Those whose time passed within the run, and whose fan neither paid before that nor gave them back."""
    over_s = {promise.hold.key: promise.hold.t_end_s + (promise.hold.value.ttl_s or 0.0) for promise in granted}
    used = {release.key for release in evidence.releases if release.t_invoke_s < over_s.get(release.key, _NEVER_S)}
    used |= {hold_id for hold_id, t_s in _paid_s(evidence) if t_s < over_s.get(hold_id, _NEVER_S)}
    end_s = evidence.duration_s
    return [promise for promise in granted if promise.hold.key not in used and over_s[promise.hold.key] <= end_s]


def _asked_for_in_time(evidence: Evidence, granted: list[GrantedHold]) -> int:
    """Holds of tickets without a seat that their fan came back for before their time was over."""
    over_s = {promise.hold.key: promise.t_over_s for promise in granted if promise.hold.value.pool}
    if not over_s:
        return 0
    pays = {hold_id for hold_id, t_s in _paid_s(evidence) if t_s < over_s.get(hold_id, _NEVER_S)}
    return len(pays | {one.key for one in evidence.releases if one.t_invoke_s < over_s.get(one.key, _NEVER_S)})


def _paid_late(evidence: Evidence, granted: list[GrantedHold]) -> int:
    """Payments for a hold that was over, of which another fan surely had a seat all the while."""
    over_s = {promise.hold.key: promise.t_over_s for promise in granted}
    is_late = [t_s > over_s.get(hold_id, _OPEN_S) for hold_id, t_s in _paid_s(evidence)]
    late = list(evidence.pays.where(np.array(is_late, dtype=np.bool_)))
    wanted = {seat for pay in late for seat in pay.value.seats}
    held: dict[str, list[GrantedHold]] = {}
    for promise in granted if wanted else ():
        for seat in wanted.intersection(promise.hold.value.seats):
            held.setdefault(seat, []).append(promise)
    return sum(
        any(
            one.hold.actor != pay.actor and one.hold.t_end_s <= pay.t_invoke_s and pay.t_end_s <= one.t_until_s
            for seat in pay.value.seats
            for one in held.get(seat, ())
        )
        for pay in late
    )


def _paid_s(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """(hold id, when its payment began) of every payment."""
    return zip(evidence.pays.column("hold_id").to_pylist(), evidence.pays.t_invoke_s.tolist(), strict=True)


def _granted_twice(granted: list[GrantedHold], margin_s: float, tally: Tally) -> None:
    """One pass by the time of the ack: for each seat the longest promise so far, and the longest of another fan."""
    longest: dict[str, tuple[GrantedHold, GrantedHold | None]] = {}
    for promise in granted:
        if not promise.told_in_time:
            continue
        for seat in promise.hold.value.seats:
            first, second = longest.get(seat, (promise, None))
            rival = first if first.hold.actor != promise.hold.actor else second
            if rival and promise.hold.t_end_s + margin_s < rival.t_until_s:
                _report(seat, rival, promise, tally)
            longest[seat] = _longest_two(first, second, promise)


def _longest_two(
    first: GrantedHold, second: GrantedHold | None, new: GrantedHold
) -> tuple[GrantedHold, GrantedHold | None]:
    """The longest promise, and the longest one of another fan."""
    if new.hold.actor == first.hold.actor:
        return max(first, new, key=_until), second
    if new.t_until_s > first.t_until_s:
        return new, first
    return first, new if second is None else max(second, new, key=_until)


def _until(promise: GrantedHold) -> float:
    return promise.t_until_s


def _report(seat: str, earlier: GrantedHold, later: GrantedHold, tally: Tally) -> None:
    early = amount(earlier.t_until_s - later.hold.t_end_s, "s")
    tally.violated(
        f"seat {seat} was granted to {later.hold.actor} {early} before {earlier.hold.actor}'s hold was over",
        during(earlier.hold, earlier.granted(seat)),
        during(later.hold, later.granted(seat)),
    )


def _sold_meanwhile(evidence: Evidence, granted: list[GrantedHold], tally: Tally) -> None:
    """Of each seat the first sale to another fan, against every promise of it that came before the sale was told."""
    first = FirstSales(evidence)
    for promise in granted:
        hold = promise.hold
        if not promise.told_in_time:
            continue
        for seat in hold.value.seats:
            sale = first.to_another(seat, hold)
            if sale is None or hold.t_invoke_s > sale.told.t_end_s + evidence.clock_margin_s:
                continue
            early_s = promise.t_until_s - sale.told.t_end_s
            if early_s > evidence.clock_margin_s:
                early = amount(early_s, "s")
                summary = f"seat {seat} was sold to {sale.told.actor} {early} before {hold.actor}'s hold was over"
                tally.violated(summary, during(hold, promise.granted(seat)), during(sale.told, sale.words))


def _told_too_soon(evidence: Evidence, granted: list[GrantedHold], tally: Tally) -> None:
    """A fan who did nothing with the hold yet is told that it is gone. A payment that has an order is none, and
    one for a hold that was paid for before says nothing of the hold.
    """
    gone: dict[str, list[Operation[SeatsValue] | Operation[PayValue]]] = {}
    for release in evidence.releases.failed_with(EXPIRED):
        gone.setdefault(release.key, []).append(release)
    for pay in (pay for error in GONE for pay in evidence.pays.failed_with(error)):
        if told_gone_without_an_order(evidence, pay):
            gone.setdefault(pay.value.hold_id, []).append(pay)
    held = {promise.hold.key: promise for promise in granted if promise.hold.key in gone}
    paid_s = _first_paid_s(evidence) if gone else {}
    for hold_id, told in ((hold_id, told) for hold_id, of_hold in gone.items() for told in of_hold):
        promise = held.get(hold_id)
        if promise is None or told.t_end_s > promise.t_given_up_s or told.t_invoke_s < promise.hold.t_end_s:
            continue
        if paid_s.get(hold_id, _OPEN_S) <= told.t_end_s:
            continue
        early_s = promise.t_over_s - told.t_end_s
        if early_s <= 0:
            continue
        tally.violated(
            f"{told.actor} was told that their hold is gone {amount(early_s, 's')} before it was over",
            during(promise.hold, promise.granted(promise.hold.value.words)),
            during(told, f"{told.actor} was told that the hold is gone"),
        )


def _ended_by_others(evidence: Evidence, granted: list[GrantedHold], tally: Tally) -> int:
    """Reports tries to release or buy another's hold that worked. Returns how many had a clear answer in its time."""
    wanted = {one.value.hold_id for one in evidence.tries_of_others_holds}
    held = {promise.hold.key: promise for promise in granted if promise.hold.key in wanted}
    clear = 0
    for one in evidence.tries_of_others_holds:
        promise = held.get(one.value.hold_id)
        if promise is None or one.unknown or one.t_invoke_s >= promise.t_until_s:
            continue
        clear += one.ok or one.t_end_s <= promise.t_until_s
        if one.ok:
            seats = ", ".join(promise.hold.value.seats)
            tried = during(one, f"{one.actor} tried it ({one.key}) and it worked")
            summary = f"{one.actor} could end the hold of {promise.hold.actor} ({one.key})"
            tally.violated(summary, during(promise.hold, promise.granted(seats)), tried)
    return clear


def _first_paid_s(evidence: Evidence) -> dict[str, float]:
    """Hold id → when the first of its payments that were answered with yes began."""
    paid = evidence.pays.ok
    found: dict[str, float] = {}
    for hold_id, t_s in zip(paid.column("hold_id").to_pylist(), paid.t_invoke_s.tolist(), strict=True):
        found.setdefault(hold_id, t_s)
    return found


NO_EARLY_EXPIRY: Final = specified("no_early_expiry", no_early_expiry)
