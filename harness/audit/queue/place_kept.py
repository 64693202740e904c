"""Checks `place_kept`: a fan keeps the place in the queue when Redis loses its data or the stream breaks."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.audit.history import Evidence
from harness.audit.queue.draw import NO_DRAW, PublishedDraw, published_draw
from harness.audit.queue.passed_over import passed_over
from harness.audit.queue.places import (
    NO_NUMBERS,
    AdmittedPlace,
    PlaceClaim,
    admitted_places,
    by_epoch,
    claims_of,
    doubt_numbers,
    shows_no_numbers,
)
from harness.audit.spec import specified
from harness.audit.tally import VIOLATIONS_KEPT, Moment, Tally, during

KEPT_WITHIN_S: Final = 8.0
"""Who still waits so long after a later fan was admitted, with no fault in force since, has lost the place. The
reference system asks for every waiting fan whose turn is within a minute at least every 5 s."""
_BEFORE_ALL_S: Final = -1e9  # where the lots of a draw stand on the time axis of joins
_STREAM_KINDS: Final = ("connect", "position", "paused", "disconnect")
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class SeenLoss(NamedTuple):
    """What a place had to outlive, and when it was seen."""

    t_s: float
    text: str


class _Standing(NamedTuple):
    """Where a fan stands in the line: ahead of all who asked later than `held_s`. Lots come before all joins."""

    held_s: float
    asked_s: float


@dataclass(frozen=True, slots=True)
class _Overtaken:
    """`early` had a place before `late` asked for one; `late` was admitted after the loss, `early` later or never."""

    early: str
    claim: PlaceClaim
    late: AdmittedPlace
    loss: SeenLoss
    width_s: float
    place: AdmittedPlace | None = None  # null: never admitted
    t_waited_s: float = math.inf


def place_kept(evidence: Evidence) -> Tally:
    """A fan with a place before a loss must not be admitted after a fan who joined later. Counts fans overtaken so.

    A loss is what a place must outlive: it was parked while the queue was away, the stream told of a pause or was
    opened again, or admission numbers began again in another epoch. `queue_order` compares all pairs whom the platform
    numbered in one epoch, disturbed or not, and says nothing of who was never numbered. Here only fans count who waited
    over a loss, against those who were admitted after it; and a fan who was never admitted is overtaken too, with or
    without a loss, if they were seen to wait `KEPT_WITHIN_S` after a later fan was admitted, or for less where they had
    listened since that one joined, see `harness.audit.queue.passed_over`.
    """
    tally = Tally(evidence, unknowns=evidence.enters.unknowns, chances=0)
    claims = claims_of(evidence)
    tally.checked = len(claims)
    if shows_no_numbers(evidence):
        tally.hidden = NO_NUMBERS
        return tally
    draw = None
    if evidence.rules is not None and evidence.rules.is_shuffled:
        if not evidence.rules.publishes_draw:
            tally.hidden = NO_DRAW
            return tally
        draw = published_draw(evidence, Tally(evidence))
        tally.undecided = draw is None
    places = admitted_places(evidence, claims)
    standings = _standings(claims, draw)
    losses = _losses(evidence, claims, places)
    overtaken = []
    for group in by_epoch(places, tally):
        found, chances = _numbered_later(group, standings, losses, evidence.clock_margin_s)
        overtaken += found
        tally.chance(chances)
    never = list(_never_numbered(evidence, claims, places, standings, losses))
    overtaken += never
    if draw is None:
        overtaken += _never_called(evidence, places, losses, {one.early for one in never})
    overtaken.sort(key=lambda one: -one.width_s)
    for one in overtaken[:VIOLATIONS_KEPT]:
        tally.violated(_summary(one), *_story(evidence, one))
    tally.violations_total += len(overtaken[VIOLATIONS_KEPT:])
    doubt_numbers(evidence, tally)
    tally.note = tally.note or f"{len(losses)} of {len(claims)} fans waited over a loss of the queue or of their stream"
    return tally


def _standings(claims: Mapping[str, PlaceClaim], draw: PublishedDraw | None) -> dict[str, _Standing]:
    standings = {actor: _Standing(claim.t_acked_s, claim.t_first_invoke_s) for actor, claim in claims.items()}
    if draw is not None:
        drawn = sorted(filter(draw.has, claims), key=draw.number_of)
        standings |= {actor: _Standing(_BEFORE_ALL_S + n, _BEFORE_ALL_S + n) for n, actor in enumerate(drawn)}
    return standings


def _losses(
    evidence: Evidence, claims: Mapping[str, PlaceClaim], places: Sequence[AdmittedPlace]
) -> dict[str, SeenLoss]:
    """Actor → the first loss between their join and their entry, of those who had one."""
    until_s = {place.actor: place.t_entered_s for place in places}
    losses: dict[str, SeenLoss] = {}

    def note(actor: str, t_s: float, text: str) -> None:
        if actor not in losses or t_s < losses[actor].t_s:
            losses[actor] = SeenLoss(t_s, text)

    for actor, claim in claims.items():
        if claim.parked:
            note(actor, claim.t_acked_s, "was given a ticket while the queue was away")
    open_streams: set[str] = set()
    for actor, event, t_s in _stream_events(evidence):
        known = claims.get(actor)
        if known is None or not known.t_acked_s < t_s < until_s.get(actor, math.inf):
            continue
        if event == "paused":
            note(actor, t_s, "was told that the line is paused")
        elif actor in open_streams:
            note(actor, t_s, "opened the stream of positions again")
        else:
            open_streams.add(actor)
    for place, t_s in _renumbered(evidence, places):
        note(place.actor, t_s, "waits while somebody enters with a number of another epoch")
    return losses


def _stream_events(evidence: Evidence) -> Iterator[tuple[str, str, float]]:
    """Connects and pauses in the order of time."""
    rows = evidence.events("positions", ("connect", "paused"), ("actor", "event", "t_s")).sort_by("t_s")
    return zip(*(rows.column(name).to_pylist() for name in ("actor", "event", "t_s")), strict=True)


def _renumbered(evidence: Evidence, places: Sequence[AdmittedPlace]) -> Iterator[tuple[AdmittedPlace, float]]:
    """Places whose fans had them already when somebody entered with a number of an earlier epoch; and when that was."""
    if len({place.epoch for place in places}) < 2:
        return
    entered = sorted((e.t_end_s, e.t_invoke_s, e.value.epoch) for e in evidence.enters.ok)
    for epoch in {place.epoch for place in places}:
        others = [(end_s, invoke_s) for end_s, invoke_s, of in entered if of != epoch]
        for place in places:
            at = bisect.bisect(others, (place.t_entered_s, math.inf)) if place.epoch == epoch else 0
            if at and others[at - 1][1] > place.claim.t_acked_s:
                yield place, others[at - 1][0]


def _numbered_later(
    group: Sequence[AdmittedPlace], standings: Mapping[str, _Standing], losses: Mapping[str, SeenLoss], margin_s: float
) -> tuple[list[_Overtaken], int]:
    """Of one epoch, in the order of its numbers: who was overtaken, and how many could have been. O(n log n)."""
    told_s = np.minimum.accumulate([place.t_entered_s for place in reversed(group)])[::-1]
    latest = _Latest([standings[place.actor].asked_s for place in group])
    overtaken, chances = [], 0
    for at, place in enumerate(group):
        loss = losses.get(place.actor)
        if loss is None:
            continue
        first = int(np.searchsorted(told_s, loss.t_s))
        held_s = standings[place.actor].held_s + margin_s
        chances += latest.asked_s(first, len(group)) > held_s
        if latest.asked_s(first, at) > held_s:
            late = group[latest.among(first, at)]
            width_s = latest.asked_s(first, at) - held_s
            overtaken.append(_Overtaken(place.actor, place.claim, late, loss, width_s, place))
    return overtaken, chances


def _never_numbered(
    evidence: Evidence,
    claims: Mapping[str, PlaceClaim],
    places: Sequence[AdmittedPlace],
    standings: Mapping[str, _Standing],
    losses: Mapping[str, SeenLoss],
) -> Iterator[_Overtaken]:
    """Fans who were seen to wait for long enough after a later one was admitted, and never were themselves.

    Where nobody saw what took the place, it was lost at some time since they had it.
    """
    entered = {place.actor for place in places}
    waited_s = _waited_s(evidence)
    line = sorted(places, key=lambda place: place.t_entered_s)
    told_s = np.array([place.t_entered_s for place in line])
    latest = _Latest([standings[place.actor].asked_s for place in line])
    windows = [fault.may_be_in_force_s for fault in evidence.record.faults.faults]
    waiting = [
        (actor, claim, losses.get(actor) or SeenLoss(claim.t_acked_s, "had a place"))
        for actor, claim in claims.items()
        if actor not in entered and not claim.forged and actor in waited_s
    ]
    firsts = np.searchsorted(told_s, [loss.t_s for _, _, loss in waiting]).tolist()
    until_s = [_long_before(waited_s[actor], windows) for actor, _, _ in waiting]
    lasts = np.searchsorted(told_s, until_s, side="right").tolist()
    for (actor, claim, loss), first, last in zip(waiting, firsts, lasts, strict=True):
        held_s = standings[actor].held_s + evidence.clock_margin_s
        if latest.asked_s(first, last) > held_s:
            late = line[latest.among(first, last)]
            width_s = latest.asked_s(first, last) - held_s
            yield _Overtaken(actor, claim, late, loss, width_s, None, waited_s[actor])


def _never_called(
    evidence: Evidence, places: Sequence[AdmittedPlace], losses: Mapping[str, SeenLoss], known: set[str]
) -> Iterator[_Overtaken]:
    """Fans who listened all the time, beside those who are `known` to have waited for long."""
    for one in passed_over(evidence, places):
        if one.fan not in known:
            loss = losses.get(one.fan) or SeenLoss(one.claim.t_acked_s, "had a place")
            width_s = one.by.claim.t_first_invoke_s - one.claim.t_acked_s
            yield _Overtaken(one.fan, one.claim, one.by, loss, width_s, None, one.t_until_s)


def _waited_s(evidence: Evidence) -> dict[str, float]:
    """Actor → until when they were seen to wait, on their stream or at the door. Not who was called in and left."""
    refused = evidence.enters.failed_with("waiting")
    at_door = dict(zip(refused.actors.to_pylist(), refused.t_end_s.tolist(), strict=True))  # the last of each
    seen = evidence.events("positions", _STREAM_KINDS, ("actor", "t_s")).group_by("actor").aggregate([("t_s", "max")])
    on_stream = dict(zip(seen["actor"].to_pylist(), seen["t_s_max"].to_pylist(), strict=True))
    called_s = evidence.called_in_s
    waited_s = {actor: t_s for actor, t_s in on_stream.items() if actor not in called_s}
    for actor, t_s in at_door.items():
        if t_s > called_s.get(actor, -math.inf):
            waited_s[actor] = max(t_s, waited_s.get(actor, t_s))
    return waited_s


def _long_before(t_s: float, windows: Sequence[tuple[float, float]]) -> float:
    """The latest instant from which `KEPT_WITHIN_S` without a fault were waited for, up to `t_s` or a fault before."""
    for start_s, end_s in sorted(windows, key=lambda window: -window[1]):
        if start_s < t_s and end_s > t_s - KEPT_WITHIN_S:
            t_s = start_s
    return t_s - KEPT_WITHIN_S


class _Latest:
    """Who of a stretch of admissions asked last for a place: a sparse table, a query in constant time."""

    def __init__(self, asked_s: Sequence[float]) -> None:
        self._asked_s: Floats = np.array(asked_s, dtype=np.float64)
        self._rows: list[Ints] = [np.arange(len(asked_s))]
        while len(self._rows[-1]) > (half := 1 << (len(self._rows) - 1)):
            left, right = self._rows[-1][:-half], self._rows[-1][half:]
            self._rows.append(np.where(self._asked_s[left] >= self._asked_s[right], left, right))

    def among(self, first: int, end: int) -> int:
        """Which one of `first` to `end`, the latter not included; there must be one."""
        level = (end - first).bit_length() - 1
        row = self._rows[level]
        left, right = int(row[first]), int(row[end - (1 << level)])
        return left if self._asked_s[left] >= self._asked_s[right] else right

    def asked_s(self, first: int, end: int) -> float:
        """When that one asked; −∞ where there is none."""
        return float(self._asked_s[self.among(first, end)]) if first < end else -math.inf


def _summary(one: _Overtaken) -> str:
    if one.place is None:
        return (
            f"{one.early} lost the place: {one.late.actor}, who joined later, was admitted, and {one.early} never was"
        )
    return f"{one.early} lost the place: {one.late.actor}, who joined later, was admitted ahead"


def _story(evidence: Evidence, one: _Overtaken) -> Iterator[Moment]:
    """The two joins, the loss, and the two ends of the wait."""
    early, late = one.early, one.late
    yield during(evidence.joins[one.claim.join_at], f"{early} was told the queue has them")
    yield during(evidence.joins[late.claim.join_at], f"{late.actor} joined after that")
    yield Moment(early, f"{early} {one.loss.text}", (one.loss.t_s, one.loss.t_s))
    yield during(evidence.enters[late.enter_at], f"{late.actor} was admitted as no. {late.admission_no}")
    if one.place is not None:
        yield during(evidence.enters[one.place.enter_at], f"{early} was admitted as no. {one.place.admission_no}")
    else:
        yield Moment(early, f"{early} still waited", (one.t_waited_s, one.t_waited_s))


PLACE_KEPT: Final = specified("place_kept", place_kept)
