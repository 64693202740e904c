"""First come, first admitted, as far as fans can know who came first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from harness.audit.draw import Draw, participants, published_draw
from harness.audit.history import Evidence
from harness.audit.operations import EnterValue, JoinValue, Operation
from harness.audit.tally import Tally, during


class Place(msgspec.Struct, frozen=True, gc=False):
    """One admitted fan: the join that surely gave the place, when it may first have been taken, and the admission."""

    join: Operation[JoinValue]
    t_first_invoke_s: float
    enter: Operation[EnterValue]
    admission_no: int


@dataclass(frozen=True, slots=True)
class Inversion:
    """`late` was admitted before `early`, though `early` held a place before `late` asked for one."""

    early: Place
    late: Place

    @property
    def width(self) -> int:
        """How many admissions apart."""
        return self.early.admission_no - self.late.admission_no


def queue_order(evidence: Evidence) -> Tally:
    """If A's join was acked before B's was invoked, A is admitted first. Counted: fans admitted ahead of such an A.

    Where the on-sale draws lots among those who came before the opening, they are admitted in the order that is drawn
    again from the published seed, which was committed to before; whoever came later follows, first come, first served.


    A parked join (a ticket given while the queue was away) is an ack like any other: its place counts from then. A fan
    who was called in and did not come, and then joined again, has used up the first place: the new one counts. Who
    came with another's ticket and was given that one's number has no place of their own.
    Joins that overlap have no order. Times of different workers are compared with the uncertainty of their clocks.
    """
    tally = Tally(evidence, unknowns=evidence.enters.unknowns)
    places = _places(evidence)
    tally.checked = len(places)
    if not places:
        tally.note = "nobody who joined was admitted with an admission number"
    if len({place.admission_no for place in places}) < len(places):
        tally.undecided = True
        tally.note = "admission numbers were given twice, so they tell no order"
        return tally
    if evidence.on_sale is not None and evidence.on_sale.queue_policy == "shuffle":
        draw = published_draw(evidence, tally)
        if draw is None:
            return tally
        participants(evidence, draw, tally)
        places = _drawn_first(places, draw, tally)
    for inversion in sorted(_inversions(places, evidence.clock_margin_s), key=lambda found: -found.width):
        early, late = inversion.early, inversion.late
        parked = ", parked" if early.join.value.parked else ""
        tally.violated(
            f"{late.enter.actor} was admitted {inversion.width} places ahead of {early.enter.actor}, who joined first",
            during(early.join, f"{early.join.actor} was told the queue has them{parked}"),
            during(late.join, f"{late.join.actor} joined after that"),
            during(late.enter, f"{late.enter.actor} was admitted as no. {late.admission_no}"),
            during(early.enter, f"{early.enter.actor} was admitted as no. {early.admission_no}"),
        )
    return tally


def _drawn_first(places: list[Place], draw: Draw, tally: Tally) -> list[Place]:
    """Those who were in the draw against each other and against the others; returns the others."""
    drawn = sorted((p for p in places if draw.has(p.enter.actor)), key=lambda p: draw.number_of(p.enter.actor))
    others = [place for place in places if not draw.has(place.enter.actor)]
    tally.note = f"{len(drawn)} of {len(places)} were in the draw, which is recomputed from its seed"
    latest: Place | None = None
    for place in (*drawn, *others):
        if latest and latest.admission_no > place.admission_no:
            early, late = latest.enter, place.enter
            why = "who drew an earlier lot" if draw.has(late.actor) else "who was in the draw"
            width = latest.admission_no - place.admission_no
            tally.violated(
                f"{late.actor} was admitted {width} places ahead of {early.actor}, {why}",
                during(latest.join, f"{early.actor} joined and drew {_lot(draw, early.actor)}"),
                during(place.join, f"{late.actor} joined and drew {_lot(draw, late.actor)}"),
                during(late, f"{late.actor} was admitted as no. {place.admission_no}"),
                during(early, f"{early.actor} was admitted as no. {latest.admission_no}"),
            )
        elif draw.has(place.enter.actor):
            latest = place
    return others


def _lot(draw: Draw, fan: str) -> str:
    return f"{draw.number_of(fan)}" if draw.has(fan) else "no lot, being too late for it"


def _inversions(places: list[Place], margin_s: float) -> list[Inversion]:
    """For each fan that overtook, the worst overtaken. O(n log n): one sweep over time with a running maximum."""
    by_ack = sorted(places, key=lambda place: place.join.t_end_s)
    found: list[Inversion] = []
    latest: Place | None = None
    acked = 0
    for place in sorted(places, key=lambda place: place.t_first_invoke_s):
        while acked < len(by_ack) and by_ack[acked].join.t_end_s + margin_s < place.t_first_invoke_s:
            if latest is None or by_ack[acked].admission_no > latest.admission_no:
                latest = by_ack[acked]
            acked += 1
        if latest and latest.admission_no > place.admission_no:
            found.append(Inversion(latest, place))
    return found


def _places(evidence: Evidence) -> list[Place]:
    first_ack: dict[str, Operation[JoinValue]] = {}
    first_invoke: dict[str, float] = {}
    called_s = evidence.called_in_s
    for join in evidence.joins:
        if not (join.ok or join.unknown):
            continue
        known = first_ack.get(join.actor)
        if known and known.t_end_s <= called_s.get(join.actor, math.inf) < join.t_invoke_s:
            del first_ack[join.actor], first_invoke[join.actor]
        first_invoke[join.actor] = min(join.t_invoke_s, first_invoke.get(join.actor, join.t_invoke_s))
        known = first_ack.get(join.actor)
        if join.ok and (known is None or join.t_end_s < known.t_end_s):
            first_ack[join.actor] = join
    admitted: dict[str, Place] = {}
    for enter in evidence.enters.ok:
        number = enter.value.admission_no
        if number is not None and enter.actor in first_ack and enter.actor not in admitted:
            place = Place(first_ack[enter.actor], first_invoke[enter.actor], enter, number)
            admitted[enter.actor] = place
    owners = {place.admission_no for place in admitted.values() if not place.join.value.ticket}
    return [p for p in admitted.values() if not (p.join.value.ticket and p.admission_no in owners)]
