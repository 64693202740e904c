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

from harness.audit.operations import Operation, SeatsValue
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


def asked(seen: Observations) -> Iterator[Asked]:
    """The fans' holds for which the record shows when the fan last asked for a map."""
    maps = _maps_asked_s(seen)
    grants = _grants(seen)
    for hold in seen.history.holds:
        conflicted = hold.error == _CONFLICT
        before = maps.get(hold.actor, [])
        at = bisect_right(before, hold.t_invoke_s) - 1
        if at < 0 or not (hold.ok or conflicted):
            continue
        rivals = _granted_since(grants, hold, before[at]) if conflicted else set()
        if rivals != {hold.actor}:
            yield Asked(hold.actor, hold.t_invoke_s, conflicted, bool(rivals - {hold.actor}))


def _maps_asked_s(seen: Observations) -> dict[str, list[float]]:
    """Actor → when the actor asked for maps, in order: from the history, else from the actor's requests."""
    pages = seen.requests.filter(pc.equal(seen.requests["step"], "seat_map"))
    asked_s = _by_actor(zip(pages["actor"].to_pylist(), pages["t_start_s"].to_pylist(), strict=True))
    asked_s.pop("", None)  # condensed requests: their user is not known
    return asked_s | _by_actor((look.actor, look.t_invoke_s) for look in seen.history.looks)


def _by_actor(asked: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for actor, t_s in asked:
        found.setdefault(actor, []).append(t_s)
    return {actor: sorted(times) for actor, times in found.items()}


def _grants(seen: Observations) -> dict[str, list[Operation[SeatsValue]]]:
    """Seat → its holds that were granted or may have been; those of bots and probes too, because they compete."""
    grants: dict[str, list[Operation[SeatsValue]]] = {}
    for hold in seen.everything.holds:
        if hold.ok or hold.unknown:
            for seat in hold.value.seats:
                grants.setdefault(seat, []).append(hold)
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
