"""First come, first admitted, as far as fans can know who came first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from harness.audit.draw import Draw, participants, published_draw
from harness.audit.history import Evidence
from harness.audit.spec import InvariantSpec
from harness.audit.tally import Moment, Tally, during


class Place(msgspec.Struct, frozen=True, gc=False):
    """One admitted fan: when they surely had the place and when it may first have been taken, and the admission.

    `join_at`, `enter_at`: the join that gave the place and the exchange, by their numbers in the evidence.
    `forged`: the place came with another's ticket.
    """

    actor: str
    join_at: int
    t_acked_s: float
    t_first_invoke_s: float
    forged: bool
    enter_at: int
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
        parked = ", parked" if evidence.joins[early.join_at].value.parked else ""
        tally.violated(
            f"{late.actor} was admitted {inversion.width} places ahead of {early.actor}, who joined first",
            *_story(evidence, early, late, f"was told the queue has them{parked}", "joined after that"),
        )
    return tally


def _drawn_first(places: list[Place], draw: Draw, tally: Tally) -> list[Place]:
    """Those who were in the draw against each other and against the others; returns the others."""
    drawn = sorted((p for p in places if draw.has(p.actor)), key=lambda p: draw.number_of(p.actor))
    others = [place for place in places if not draw.has(place.actor)]
    tally.note = f"{len(drawn)} of {len(places)} were in the draw, which is recomputed from its seed"
    latest: Place | None = None
    for place in (*drawn, *others):
        if latest and latest.admission_no > place.admission_no:
            why = "who drew an earlier lot" if draw.has(place.actor) else "who was in the draw"
            width = latest.admission_no - place.admission_no
            lots = (f"joined and drew {_lot(draw, one.actor)}" for one in (latest, place))
            tally.violated(
                f"{place.actor} was admitted {width} places ahead of {latest.actor}, {why}",
                *_story(tally.evidence, latest, place, *lots),
            )
        elif draw.has(place.actor):
            latest = place
    return others


def _story(evidence: Evidence, early: Place, late: Place, early_joined: str, late_joined: str) -> Iterator[Moment]:
    """Both joins and both admissions."""
    yield during(evidence.joins[early.join_at], f"{early.actor} {early_joined}")
    yield during(evidence.joins[late.join_at], f"{late.actor} {late_joined}")
    for place in (late, early):
        yield during(evidence.enters[place.enter_at], f"{place.actor} was admitted as no. {place.admission_no}")


def _lot(draw: Draw, fan: str) -> str:
    return f"{draw.number_of(fan)}" if draw.has(fan) else "no lot, being too late for it"


def _inversions(places: list[Place], margin_s: float) -> list[Inversion]:
    """For each fan that overtook, the worst overtaken. O(n log n): one sweep over time with a running maximum."""
    by_ack = sorted(places, key=lambda place: place.t_acked_s)
    found: list[Inversion] = []
    latest: Place | None = None
    acked = 0
    for place in sorted(places, key=lambda place: place.t_first_invoke_s):
        while acked < len(by_ack) and by_ack[acked].t_acked_s + margin_s < place.t_first_invoke_s:
            if latest is None or by_ack[acked].admission_no > latest.admission_no:
                latest = by_ack[acked]
            acked += 1
        if latest and latest.admission_no > place.admission_no:
            found.append(Inversion(latest, place))
    return found


def _places(evidence: Evidence) -> list[Place]:
    acked: dict[str, tuple[int, float, bool]] = {}
    first_invoke: dict[str, float] = {}
    called_s = evidence.called_in_s
    for at, join in enumerate(evidence.joins):
        if not (join.ok or join.unknown):
            continue
        known = acked.get(join.actor)
        if known and known[1] <= called_s.get(join.actor, math.inf) < join.t_invoke_s:
            del acked[join.actor], first_invoke[join.actor]
        first_invoke[join.actor] = min(join.t_invoke_s, first_invoke.get(join.actor, join.t_invoke_s))
        known = acked.get(join.actor)
        if join.ok and (known is None or join.t_end_s < known[1]):
            acked[join.actor] = (at, join.t_end_s, bool(join.value.ticket))
    admitted: dict[str, Place] = {}
    for at, enter in enumerate(evidence.enters):
        number, actor = enter.value.admission_no, enter.actor
        if enter.ok and number is not None and actor in acked and actor not in admitted:
            join_at, t_acked_s, forged = acked[actor]
            admitted[actor] = Place(actor, join_at, t_acked_s, first_invoke[actor], forged, at, number)
    owners = {place.admission_no for place in admitted.values() if not place.forged}
    return [place for place in admitted.values() if not (place.forged and place.admission_no in owners)]


QUEUE_ORDER: Final = InvariantSpec(
    name="queue_order",
    title="First come, first admitted",
    check="By the declared policy: who surely joined first is admitted first, or lots as their seed draws them.",
    chance="pairs of fans of whom one surely joined first",
    checker=queue_order,
    needs=("queue",),
    by_absence=True,
)
