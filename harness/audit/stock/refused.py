"""Refusals of tickets without a seat, a part of `refused_for_cause`: not so many were left, of what surely was.

Surely left at an instant was what is free at rest or was sold to fans who asked later, without what fans may have had
then and gave back since. A request that met too few tickets, or a limit, may have kept its tickets from others until
its answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from harness.audit.history import Evidence
from harness.audit.holds.late import RECOVERY_S, REFUSED
from harness.audit.operations import Operation, SeatsValue
from harness.audit.stock.claims import Sums, asked, bought_with, free_and_nobodys
from harness.audit.stock.oversell import quantity_of
from harness.audit.tally import Tally, during
from harness.record.schema import PROBE_ACTOR

_CONFLICT: Final = "conflict"
_OPEN_S: Final = float("inf")


class _Kept(msgspec.Struct, frozen=True, gc=False):
    """A fan may have had `tickets` of a pool between these instants, and `sold` more from the first of them on."""

    t_from_s: float
    t_until_s: float
    tickets: int
    sold: int = 0


def check_pools(evidence: Evidence, tally: Tally) -> None:
    """Reports refusals of tickets of which enough were left. Each of which that can be told is a chance.

    It can be told of pools that are shown at rest and whose tickets have no seats: of several beside each other there
    may be too few.
    """
    shows_held = {name for name, pool in evidence.baseline_stock.items() if pool.held is not None}
    refused = [one for one in evidence.takings.failed_with(_CONFLICT) if _is_judged(one, evidence, shows_held)]
    if not refused or evidence.unrest or not evidence.record.has("final_orders"):
        return
    with_seats = _with_seats(evidence)
    free = {pool: left for pool, left in free_and_nobodys(evidence).items() if pool not in with_seats}
    kept = _kept(evidence)
    margin_s = evidence.clock_margin_s
    lines = {pool: _Line(left, kept.get(pool, ())) for pool, left in free.items()}
    for one in refused:
        if (line := lines.get(one.value.pool)) is None:
            continue
        tally.chance()
        others_left = line.left(one.t_invoke_s - margin_s, one.t_end_s + margin_s)
        left = others_left + one.value.quantity  # what it asked for itself is no reason to refuse it
        if left >= one.value.quantity:
            text = f"{one.actor} asked for {one.value.words} at {one.t_invoke_s:.3f} s and was refused"
            summary = f"{one.actor} was refused {one.value.words}, of which {left} were left"
            tally.violated(summary, during(one, text))


def _is_judged(one: Operation[SeatsValue], evidence: Evidence, shows_held: Collection[str]) -> bool:
    """`shows_held`: the pools of which it is known how many tickets were held before the release."""
    value = one.value
    if not value.pool or value.seats or value.quantity <= 0 or one.actor.startswith(PROBE_ACTOR):
        return False
    knows_before = value.pool in shows_held or one.t_invoke_s > evidence.held_before_until_s
    return knows_before and one.t_end_s <= evidence.duration_s


def _with_seats(evidence: Evidence) -> set[str]:
    return {one.value.pool for one in evidence.takings.ok.naming("seats") if one.value.seats}


def _kept(evidence: Evidence) -> dict[str, list[_Kept]]:
    """Pool → all that fans had or may have had of it. What a fan began to pay for has no end, nor what a fault met, nor
    what was refused for another reason than want of tickets or a limit.
    """
    bought, paid = bought_with(evidence), set(evidence.pays.column("hold_id").to_pylist())
    late_max_s = evidence.rules.hold_late_max_s if evidence.rules else _OPEN_S
    found: dict[str, list[_Kept]] = {}
    for one in asked(evidence):
        if one.refused:
            continue
        order = bought.get(one.hold.key)
        sold = quantity_of(order, one.pool) if order else 0
        until_s = _OPEN_S if one.hold.key in paid else one.t_until_s + late_max_s
        if evidence.faults_between(one.hold.t_invoke_s, until_s + RECOVERY_S):
            until_s = _OPEN_S
        kept = _Kept(one.hold.t_invoke_s, until_s, max(0, one.tickets - sold), sold)
        found.setdefault(one.pool, []).append(kept)
    for refused in evidence.takings.failed:
        if refused.value.pool:
            until_s = refused.t_end_s if refused.error in REFUSED else _OPEN_S
            one_try = _Kept(refused.t_invoke_s, until_s, refused.value.quantity)
            found.setdefault(refused.value.pool, []).append(one_try)
    return found


class _Line:
    """How many tickets of one pool were left, at any time. `free`: at rest."""

    def __init__(self, free: int, kept: Iterable[_Kept]) -> None:
        kept = list(kept)
        tickets, sold = [one.tickets for one in kept], [one.sold for one in kept]
        self._free = free + sum(sold)
        self._begun = Sums([one.t_from_s for one in kept], tickets)
        self._over = Sums([one.t_until_s for one in kept], tickets)
        self._sold = Sums([one.t_from_s for one in kept], sold)

    def left(self, t_from_s: float, t_to_s: float) -> int:
        """At least so many, at each instant between the two."""
        kept = self._begun.until(t_to_s, "right") - self._over.until(t_from_s, "left")
        return self._free - self._sold.until(t_to_s, "right") - kept
