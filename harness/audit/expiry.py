"""Holds against the time that their fans were promised: nobody loses seats before it is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from harness.amounts import amount
from harness.audit.history import Evidence
from harness.audit.operations import Operation, PayValue, SeatsValue
from harness.audit.spec import InvariantSpec
from harness.audit.tally import Tally, during

_EXPIRED: Final = "expired"


class Promise(msgspec.Struct, frozen=True, gc=False):
    """One granted hold. `t_until_s`: the fan may count on the seats until then, or until they may have given them up.

    Until the invocation + TTL: a platform that starts the clock later keeps them longer.
    """

    hold: Operation[SeatsValue]
    t_until_s: float
    t_given_up_s: float


def no_early_expiry(evidence: Evidence) -> Tally:
    """Nobody else is granted a seat, and no fan is told that their hold is gone, before the hold's invocation + TTL.

    Two grants of one seat contradict each other if each was acked before the other's promise was over: then neither
    can have come first. A promise ends early when its fan released the hold, or paid and the order did not become
    theirs (declined, refunded, unknown): from the invocation of that on, the seats may be anybody's. A grant that was
    acked when its own time was over says nothing.
    """
    tally = Tally(evidence, unknowns=evidence.holds.unknowns)
    promises = _promises(evidence)
    tally.checked = len(promises)
    _granted_twice(promises, evidence.clock_margin_s, tally)
    _told_too_soon(evidence, promises, tally)
    if not promises:
        tally.note = "no hold with a time to live was granted"
    return tally


def _promises(evidence: Evidence) -> list[Promise]:
    """Every granted hold that tells its time to live, by the time of its ack."""
    given_up: dict[str, float] = {}
    for hold_id, t_s in _gifts(evidence):
        given_up[hold_id] = min(t_s, given_up.get(hold_id, t_s))
    promises = []
    for hold in evidence.holds.ok:
        ttl_s = hold.value.ttl_s
        if ttl_s is not None:
            over_s = hold.t_invoke_s + ttl_s
            t_given_up_s = given_up.get(hold.key, float("inf"))
            promises.append(Promise(hold, min(over_s, t_given_up_s), t_given_up_s))
    return sorted(promises, key=lambda promise: promise.hold.t_end_s)


def _gifts(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """(hold id, since when) for everything that may have given a hold's seats back."""
    for release in evidence.releases:
        if release.ok or release.unknown:
            yield release.key, release.t_invoke_s
    for pay in evidence.pays:
        if pay.unknown or pay.error == "declined" or (pay.ok and not _bought(evidence, pay)):
            yield pay.value.hold_id, pay.t_invoke_s


def _bought(evidence: Evidence, pay: Operation[PayValue]) -> bool:
    order = evidence.order_of(pay.value.order_id, pay.key)
    return order.state == "confirmed" if order else pay.value.state == "confirmed"


def _granted_twice(promises: list[Promise], margin_s: float, tally: Tally) -> None:
    """One pass by the time of the ack: for each seat the longest promise so far, and the longest of another fan."""
    longest: dict[str, tuple[Promise, Promise | None]] = {}
    for promise in promises:
        if promise.t_until_s <= promise.hold.t_end_s:
            continue
        for seat in promise.hold.value.seats:
            first, second = longest.get(seat, (promise, None))
            rival = first if first.hold.actor != promise.hold.actor else second
            if rival and promise.hold.t_end_s + margin_s < rival.t_until_s:
                _report(seat, rival, promise, tally)
            longest[seat] = _longest_two(first, second, promise)


def _longest_two(first: Promise, second: Promise | None, new: Promise) -> tuple[Promise, Promise | None]:
    """The longest promise, and the longest one of another fan."""
    if new.hold.actor == first.hold.actor:
        return max(first, new, key=_until), second
    if new.t_until_s > first.t_until_s:
        return new, first
    return first, new if second is None else max(second, new, key=_until)


def _until(promise: Promise) -> float:
    return promise.t_until_s


def _report(seat: str, earlier: Promise, later: Promise, tally: Tally) -> None:
    early = amount(earlier.t_until_s - later.hold.t_end_s, "s")
    tally.violated(
        f"seat {seat} was granted to {later.hold.actor} {early} before {earlier.hold.actor}'s hold was over",
        during(earlier.hold, _granted(earlier, seat)),
        during(later.hold, _granted(later, seat)),
    )


def _told_too_soon(evidence: Evidence, promises: list[Promise], tally: Tally) -> None:
    """A fan who did nothing with the hold yet is told that it is gone. A payment of which there is an order is none."""
    gone: dict[str, list[Operation[SeatsValue] | Operation[PayValue]]] = {}
    for release in evidence.releases.failed_with(_EXPIRED):
        gone.setdefault(release.key, []).append(release)
    if evidence.record.has("final_orders"):
        for pay in evidence.pays.failed_with(_EXPIRED):
            if evidence.order_of("", pay.key) is None:
                gone.setdefault(pay.value.hold_id, []).append(pay)
    held = {promise.hold.key: promise for promise in promises if promise.hold.key in gone}
    for hold_id, told in ((hold_id, told) for hold_id, of_hold in gone.items() for told in of_hold):
        promise = held.get(hold_id)
        if promise is None or told.t_end_s >= min(promise.t_until_s, promise.t_given_up_s):
            continue
        early_s = promise.t_until_s - told.t_end_s
        tally.violated(
            f"{told.actor} was told that their hold is gone {amount(early_s, 's')} before it was over",
            during(promise.hold, _granted(promise, ", ".join(promise.hold.value.seats))),
            during(told, f"{told.actor} was told that the hold is gone"),
        )


def _granted(promise: Promise, seats: str) -> str:
    hold = promise.hold
    return f"{hold.actor} was granted {seats} for {hold.value.ttl_s:g} s, asked at {hold.t_invoke_s:.3f} s"


NO_EARLY_EXPIRY: Final = InvariantSpec(
    name="no_early_expiry",
    title="No hold ends before its time",
    check="Before the request + its time to live nobody else gets the seat, and no holder is told that it is gone.",
    chance="holds that lived to their end",
    checker=no_early_expiry,
    by_absence=True,
)
