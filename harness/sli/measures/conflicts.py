"""Measures why holds conflict: another fan was faster (contention), or the seat map was out of date (stale map).

A fan asks only for seats that their last map showed free. If the platform granted one of these seats to somebody else
after the fan had asked for that map, the two competed for it: contention. If it did not, the map showed as free a seat
that was already taken: the map was stale. A hold without an answer may have been granted, so it explains a conflict
just as a granted hold does. A fan's own hold explains no conflict.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
import pyarrow.compute as pc

from harness.audit.operations import Operation, Operations, SeatsValue
from harness.record.schema import Outcome
from harness.sli.measured import Observations
from harness.sli.samples import Samples, share_of

_CONFLICT: Final = "conflict"


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One hold that was granted or refused because of a conflict. `contended`: somebody else was faster."""

    actor: str
    t_s: float
    conflicted: bool
    contended: bool


def contention_ratio(seen: Observations) -> Samples:
    """Share of holds, granted or conflicted, that asked for a seat which somebody else got while the fan chose."""
    return share_of([(one.actor, one.t_s, one.contended) for one in asked(seen)])


def stale_map_ratio(seen: Observations) -> Samples:
    """Share of holds, granted or conflicted, that asked for a seat which was taken before the fan asked for the map."""
    return share_of([(one.actor, one.t_s, one.conflicted and not one.contended) for one in asked(seen)])


def asked(seen: Observations) -> tuple[Asked, ...]:
    """The fans' holds for which the record shows when the fan last asked for a map."""
    return seen.once("asked", lambda: tuple(_asked(seen)))


def _asked(seen: Observations) -> Iterator[Asked]:
    maps = _maps_asked_s(seen)
    holds = seen.history.holds
    conflicts = holds.failed_with(_CONFLICT)
    grants, refused = _grants(seen, conflicts), iter(conflicts)
    columns = (holds.actors, holds.t_invoke_s, holds.outcomes(Outcome.OK), holds.ended_with(_CONFLICT))
    for actor, t_s, ok, conflicted in zip(*(column.tolist() for column in columns), strict=True):
        hold = next(refused) if conflicted else None
        before = maps.get(actor, [])
        at = bisect_right(before, t_s) - 1
        if at < 0 or not (ok or conflicted):
            continue
        rivals = _granted_since(grants, hold, before[at]) if hold else set()
        if rivals != {actor}:
            yield Asked(actor, t_s, conflicted, bool(rivals - {actor}))


def _maps_asked_s(seen: Observations) -> dict[str, list[float]]:
    """Actor → when the actor asked for maps, in order: from the history, else from the actor's requests."""
    pages = seen.requests.filter(pc.equal(seen.requests["step"], "seat_map"))
    asked_s = _by_actor(zip(pages["actor"].to_pylist(), pages["t_start_s"].to_pylist(), strict=True))
    asked_s.pop("", None)  # summed requests: their user is not known
    looks = seen.history.looks
    return asked_s | _by_actor(zip(looks.actors.to_pylist(), looks.t_invoke_s.tolist(), strict=True))


def _by_actor(asked: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for actor, t_s in asked:
        found.setdefault(actor, []).append(t_s)
    return {actor: sorted(times) for actor, times in found.items()}


def _grants(seen: Observations, refused: Operations[SeatsValue]) -> dict[str, list[Operation[SeatsValue]]]:
    """Seat → its holds that were granted or may have been, of the seats that were refused. Those of bots and probes
    too, because they compete."""
    grants: dict[str, list[Operation[SeatsValue]]] = {seat: [] for seat in refused.names_in("seats").to_pylist()}
    holds = seen.everything.holds
    granted = holds.where(~holds.outcomes(Outcome.FAIL)) if grants else ()
    for hold in granted:
        for seat in hold.value.seats:
            if seat in grants:
                grants[seat].append(hold)
    return grants


def _granted_since(
    grants: dict[str, list[Operation[SeatsValue]]], refused: Operation[SeatsValue], t_s: float
) -> set[str]:
    """The actors that may have got one of the seats between the map and the refusal."""
    return {
        other.actor
        for seat in refused.value.seats
        for other in grants.get(seat, ())
        if other.t_invoke_s <= refused.t_end_s and (other.t_complete_s is None or other.t_complete_s >= t_s)
    }
