"""Checks `queue_order`: fans are admitted in the order of joining, or of the published draw, as far as it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.audit.history import Evidence
from harness.audit.queue.draw import NO_DRAW, PublishedDraw, participants, published_draw
from harness.audit.queue.places import (
    NO_NUMBERS,
    AdmittedPlace,
    admitted_places,
    by_epoch,
    claims_of,
    comparable_pairs,
    doubt_numbers,
    shows_no_numbers,
)
from harness.audit.queue.told_lots import overtaken, told_places
from harness.audit.spec import specified
from harness.audit.tally import VIOLATIONS_KEPT, Moment, Tally, during


@dataclass(frozen=True, slots=True)
class Inversion:
    """`late` was admitted before `early`, though `early` held a place before `late` asked for one, or by lot."""

    early: AdmittedPlace
    late: AdmittedPlace

    @property
    def width(self) -> int:
        """How many admissions apart."""
        return self.early.admission_no - self.late.admission_no


def queue_order(evidence: Evidence) -> Tally:
    """If A's join was acked before B's was invoked, A is admitted first. Counted: fans admitted ahead of such an A.

    Where the on-sale draws lots among those who came before the opening, they are admitted in the order that is drawn
    again from the published seed, which was committed to before; whoever came later follows, first come, first served.
    Where nothing is published, by the places that fans were told after the draw.

    Joins that overlap have no order. Times of different workers are compared with the uncertainty of their clocks.
    Admissions of different epochs are not compared: after a loss of the queue's data the numbers begin again, and a fan
    who was admitted before it and had not entered yet is admitted a second time. `place_kept` looks at the loss itself.
    """
    tally = Tally(evidence, unknowns=evidence.enters.unknowns, chances=0)
    places = admitted_places(evidence, claims_of(evidence))
    tally.checked = len(places)
    if shows_no_numbers(evidence):
        tally.hidden = NO_NUMBERS
        return tally
    if not places:
        tally.note = "nobody who joined was admitted with an admission number"
    epochs = by_epoch(places, tally)
    draw: PublishedDraw | None = None
    if evidence.rules is not None and evidence.rules.is_shuffled:
        if not evidence.rules.publishes_draw:
            _as_told(epochs, tally)
            doubt_numbers(evidence, tally)
            return tally
        draw = published_draw(evidence, tally)
        if draw is None:
            return tally
        participants(evidence, draw, tally)
        drawn = sum(draw.has(place.actor) for place in places)
        tally.note = f"{drawn} of {len(places)} were in the draw, which is recomputed from its seed"
    for group in epochs:
        others = _drawn_first(group, draw, tally) if draw else group
        tally.chance(comparable_pairs(others, evidence.clock_margin_s))
        _first_come(others, tally)
    doubt_numbers(evidence, tally)
    return tally


def _as_told(epochs: Sequence[Sequence[AdmittedPlace]], tally: Tally) -> None:
    """Those who were told their places after a draw of which nothing is published."""
    evidence = tally.evidence
    told = told_places(evidence)
    found = []
    for group in epochs:
        more, compared = overtaken(group, told, evidence.clock_margin_s)
        found += more
        tally.chance(compared)
    if not tally.chances:
        tally.hidden = f"{NO_DRAW}; nor were fans told places that can be compared"
        return
    found.sort(key=lambda one: -one.width)
    for one in found[:VIOLATIONS_KEPT]:
        enters = (during(evidence.enters[place.enter_at], f"{place.actor} was admitted as no. {place.admission_no}")
                  for place in (one.late, one.early))  # fmt: skip
        tally.violated(
            f"{one.late.actor} was admitted {one.width} places ahead of {one.early.actor}, who drew an earlier lot",
            one.early_told.moment(), one.late_told.moment(), *enters,
        )  # fmt: skip
    tally.violations_total += len(found[VIOLATIONS_KEPT:])
    out = len(evidence.not_drawn)
    tally.note = f"by the places that {len(told)} fans were told after the draw, which is not published"
    tally.note += f"; {out} were not drawn" if out else ""


def _first_come(places: Sequence[AdmittedPlace], tally: Tally) -> None:
    """Those who drew no lots, against each other."""
    evidence = tally.evidence
    inversions = sorted(_inversions(places, evidence.clock_margin_s), key=lambda found: -found.width)
    for inversion in inversions[:VIOLATIONS_KEPT]:
        early, late = inversion.early, inversion.late
        parked = ", parked" if early.claim.parked else ""
        tally.violated(
            f"{late.actor} was admitted {inversion.width} places ahead of {early.actor}, who joined first",
            *_story(evidence, early, late, f"was told the queue has them{parked}", "joined after that"),
        )
    tally.violations_total += len(inversions[VIOLATIONS_KEPT:])


def _drawn_first(places: Sequence[AdmittedPlace], draw: PublishedDraw, tally: Tally) -> list[AdmittedPlace]:
    """Those who were in the draw against each other and against the others; returns the others."""
    drawn = sorted((p for p in places if draw.has(p.actor)), key=lambda p: draw.number_of(p.actor))
    others = [place for place in places if not draw.has(place.actor)]
    tally.chance(len(drawn) * (len(drawn) - 1) // 2 + len(drawn) * len(others))
    latest: AdmittedPlace | None = None
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


def _story(
    evidence: Evidence, early: AdmittedPlace, late: AdmittedPlace, early_joined: str, late_joined: str
) -> Iterator[Moment]:
    """Both joins and both admissions."""
    yield during(evidence.joins[early.claim.join_at], f"{early.actor} {early_joined}")
    yield during(evidence.joins[late.claim.join_at], f"{late.actor} {late_joined}")
    for place in (late, early):
        yield during(evidence.enters[place.enter_at], f"{place.actor} was admitted as no. {place.admission_no}")


def _lot(draw: PublishedDraw, fan: str) -> str:
    return f"{draw.number_of(fan)}" if draw.has(fan) else "no lot, being too late for it"


def _inversions(places: Sequence[AdmittedPlace], margin_s: float) -> list[Inversion]:
    """For each fan that overtook, the worst overtaken. O(n log n): one sweep over time with a running maximum."""
    by_ack = sorted(places, key=lambda place: place.claim.t_acked_s)
    found: list[Inversion] = []
    latest: AdmittedPlace | None = None
    acked = 0
    for place in sorted(places, key=lambda place: place.claim.t_first_invoke_s):
        while acked < len(by_ack) and by_ack[acked].claim.t_acked_s + margin_s < place.claim.t_first_invoke_s:
            if latest is None or by_ack[acked].admission_no > latest.admission_no:
                latest = by_ack[acked]
            acked += 1
        if latest and latest.admission_no > place.admission_no:
            found.append(Inversion(latest, place))
    return found


QUEUE_ORDER: Final = specified("queue_order", queue_order)
