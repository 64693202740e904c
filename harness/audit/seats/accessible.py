"""Checks `accessible_kept`: accessible seats go to fans who declared the need, companion seats with their places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import Operation, SeatsValue
from harness.audit.spec import specified
from harness.audit.tally import Tally, at_rest, during
from harness.record.schema import PROBE_ACTOR, WITHHELD

_SOLD: Final = frozenset({"confirmed", "mixed"})


def accessible_kept(evidence: Evidence) -> Tally:
    """An accessible seat is granted and sold to fans who declared the need, who are not refused it for want of that.

    Which seats are accessible is what the layout showed. A companion seat goes to a fan who asks for its wheelchair
    place too, or may have got it before or later. Probes, which an operator let in, are not judged.
    """
    tally = Tally(evidence, unknowns=evidence.takings.unknowns, chances=0)
    places = wheelchair_places(evidence)
    if not places:
        tally.hidden = "no seat map told which seats are accessible"
        return tally
    claims = _Claims(evidence, places)
    granted: set[tuple[str, str]] = set()
    for one in evidence.takings.without((PROBE_ACTOR,)):
        tally.checked += 1
        if not places.keys().isdisjoint(one.value.seats):
            _judge(one, claims, tally)
        if one.ok:
            granted |= {(one.actor, seat) for seat in one.value.seats}
    for order in evidence.orders.values():
        if order.state not in _SOLD or order.fan not in claims.fans:
            continue
        wrong = [seat for seat in claims.not_due(order.fan, order.seats) if (order.fan, seat) not in granted]
        if wrong:
            summary = f"{', '.join(wrong)} was sold to {order.fan}, {claims.why(order.fan)}"
            tally.violated(summary, at_rest("order export", f"order {order.order_id} of {order.fan} has {order.words}"))
    return tally


def wheelchair_places(evidence: Evidence) -> dict[str, str]:
    """Accessible seat → the wheelchair place that it goes with, as layouts showed them."""
    return {
        seat: place for look in evidence.looks.naming("accessible") for seat, place in look.value.accessible.items()
    }


class _Claims:
    """Which accessible seats are due to which of the fans."""

    def __init__(self, evidence: Evidence, places: Mapping[str, str]) -> None:
        askings = evidence.askings
        self.fans = set(askings.actors.to_pylist())
        self._declared = set(askings.actors.filter(pc.equal(askings.column("declared"), True)).to_pylist())
        self._places = places
        self._had: dict[str, set[str]] = defaultdict(set)
        for one in evidence.takings:
            if one.ok or one.unknown:
                self._had[one.actor].update(places.keys() & set(one.value.seats))

    def not_due(self, fan: str, seats: Collection[str]) -> list[str]:
        """The accessible ones of these seats that the fan should not have together with the others."""
        accessible = [seat for seat in seats if seat in self._places]
        if fan not in self._declared:
            return accessible
        return [seat for seat in accessible if self._places[seat] not in self._had[fan].union(seats)]

    def is_due(self, fan: str, seats: Collection[str]) -> bool:
        """Whether the fan declared the need and asks for each companion seat together with its place."""
        return fan in self._declared and all(self._places.get(seat, seat) in seats for seat in seats)

    def why(self, fan: str) -> str:
        """Why they are not due."""
        if fan not in self._declared:
            return "who declared no need of accessible seats"
        return "who has not the wheelchair place beside it"


def _judge(one: Operation[SeatsValue], claims: _Claims, tally: Tally) -> None:
    wrong, seats = claims.not_due(one.actor, one.value.seats), ", ".join(one.value.seats)
    if wrong and (one.ok or one.error == WITHHELD):
        tally.chance()
    if wrong and one.ok:
        granted = during(one, f"{one.actor} was granted {seats}")
        tally.violated(f"{', '.join(wrong)} was granted to {one.actor}, {claims.why(one.actor)}", granted)
    elif one.error == WITHHELD and claims.is_due(one.actor, one.value.seats):
        refused = during(one, f"{one.actor} asked for {seats} and was told that they are kept for others")
        tally.violated(f"{one.actor} was refused accessible seats, and had declared the need", refused)


ACCESSIBLE_KEPT: Final = specified("accessible_kept", accessible_kept)
