"""Finds fans who waited in line and were never called in, while others were who had joined later.

They have no admission number that could be compared with others'. `place_kept` reports them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.queue.epochs import line_of
from harness.audit.queue.places import AdmittedPlace, PlaceClaim, claims_of
from harness.record.standstills import standstills

CALLED_WITHIN_S: Final = (3.0, 10.0)
"""A fan who listens hears of a call sooner: on the reference system, and on any other platform.

Where the platform told those whom it did call later than half of that, it may be twice as late with the others.
"""
AWAY_MAX_S: Final = 3.0
"""Who is without a stream for no longer is not away: a lost stream is opened again."""
_NEWS: Final = ("connect", "position", "paused", "sold_out", "disconnect", "refused")
_GONE: Final = ("disconnect", "refused")
_OPEN_S: Final = float("inf")


class PassedOver(msgspec.Struct, frozen=True):
    """A fan with a place who listened until `t_until_s` and was not called in, though `by` had been."""

    fan: str
    claim: PlaceClaim
    t_until_s: float
    by: AdmittedPlace


class _Listening(msgspec.Struct, frozen=True):
    """The last stretch of time in which a fan was never away, and the epochs that they were told in it."""

    t_from_s: float
    t_until_s: float
    epochs: frozenset[str]


def passed_over(evidence: Evidence, places: Sequence[AdmittedPlace]) -> list[PassedOver]:
    """Each with the first who surely joined later and was let in, long enough before the fan's last word of it.

    Long enough is `CALLED_WITHIN_S`, or twice as late as the platform told those whom it called in. The fan must have
    listened all the time since that other joined: who is away may be passed over. An admission with a fault or a
    standstill of the generator near it says nothing, for the call may have been lost or read late. Nor does one of
    another epoch.
    """
    waiting = _never_called(evidence)
    if not waiting or not places:
        return []
    ours = evidence.on_sale is not None
    late_s = max(CALLED_WITHIN_S[not ours], 2.0 * _told_late_s(evidence, places)) + evidence.clock_margin_s
    later = _Later(evidence, places, late_s)
    found = []
    for fan, listening in _listening(evidence, list(waiting), until_left=ours):
        claim = waiting[fan]
        by = later.first(max(claim.t_acked_s + evidence.clock_margin_s, listening.t_from_s))
        is_same_line = by is not None and len(listening.epochs | ({line_of(by.epoch)} - {""})) <= 1
        if by is not None and is_same_line and by.t_entered_s + late_s <= listening.t_until_s:
            found.append(PassedOver(fan, claim, listening.t_until_s, by))
    return found


def _told_late_s(evidence: Evidence, places: Sequence[AdmittedPlace]) -> float:
    """By how much fans who listened were told of their call after one with a later number had come in, at p99.

    An overloaded platform admits in order and tells of it late. One fan who is told very late excuses no other.
    """
    listening = dict(_listening(evidence, [one.actor for one in places], until_left=True))
    soonest_s: dict[str, float] = {}
    lags_s = []
    for one in sorted(places, key=lambda one: one.admission_no, reverse=True):
        t_called_s = evidence.called_in_s.get(one.actor)
        t_other_s = soonest_s.get(one.epoch, _OPEN_S)
        if t_called_s is not None and one.actor in listening:
            is_told_late = listening[one.actor].t_from_s <= t_other_s < t_called_s
            if not evidence.faults_between(min(t_other_s, t_called_s), t_called_s):
                lags_s.append(t_called_s - t_other_s if is_told_late else 0.0)
        soonest_s[one.epoch] = min(one.t_entered_s, t_other_s)
    return float(np.percentile(lags_s, 99.0, method="lower")) if lags_s else 0.0


class _Later:
    """The fans who were let in, by when they joined: of all who joined after an instant the first that came in."""

    def __init__(self, evidence: Evidence, places: Sequence[AdmittedPlace], late_s: float) -> None:
        still = standstills(evidence.record.table("generator")) if evidence.record.has("generator") else []
        sure = [
            one
            for one in places
            if not one.claim.forged
            and not evidence.faults_between(one.t_entered_s, one.t_entered_s + late_s)
            and not any(s.t_from_s < one.t_entered_s + late_s and one.t_entered_s < s.t_to_s for s in still)
        ]
        in_order = sorted(sure, key=lambda one: one.claim.t_first_invoke_s)
        self._joined_s = [one.claim.t_first_invoke_s for one in in_order]
        self._first = list(accumulate(reversed(in_order), _sooner))[::-1]

    def first(self, joined_after_s: float) -> AdmittedPlace | None:
        """Who came in first of those who joined later than that; null: nobody did."""
        at = bisect_right(self._joined_s, joined_after_s)
        return self._first[at] if at < len(self._first) else None


def _sooner(one: AdmittedPlace, other: AdmittedPlace) -> AdmittedPlace:
    return other if other.t_entered_s < one.t_entered_s else one


def _never_called(evidence: Evidence) -> dict[str, PlaceClaim]:
    """Fans with an honest place who were never told to come in, and never tried to."""
    called = evidence.called_in_s.keys() | set(pc.unique(evidence.enters.actors).to_pylist())
    return {fan: claim for fan, claim in claims_of(evidence).items() if fan not in called and not claim.forged}


def _listening(evidence: Evidence, fans: list[str], *, until_left: bool) -> Iterator[tuple[str, _Listening]]:
    """`until_left`: a fan who leaves an open stream listened until then, else until the last place that was told."""
    rows = evidence.events("positions", _NEWS, ("actor", "event", "t_s", "epoch"))
    rows = rows.filter(pc.is_in(rows["actor"], value_set=pa.array(fans, pa.string())))
    rows = rows.sort_by([("actor", "ascending"), ("t_s", "ascending")])
    of_fan: dict[str, list[tuple[str, float, str]]] = {}
    for fan, *one in zip(*(rows[name].to_pylist() for name in ("actor", "event", "t_s", "epoch")), strict=True):
        of_fan.setdefault(fan, []).append((one[0], one[1], one[2]))
    for fan, news in of_fan.items():
        yield fan, _last_stretch(news, evidence.duration_s, until_left=until_left)


def _last_stretch(news: Sequence[tuple[str, float, str]], ends_s: float, *, until_left: bool) -> _Listening:
    from_s, until_s, gone_s, epochs = news[0][1], -_OPEN_S, _OPEN_S, set[str]()
    for event, t_s, epoch in news:
        if t_s - gone_s > AWAY_MAX_S:
            from_s, epochs = t_s, set()
        gone_s = t_s if event in _GONE else _OPEN_S
        if event == "position" or (until_left and event == "disconnect"):
            until_s = t_s
        epochs |= {line_of(epoch)} - {""}
    return _Listening(from_s, min(until_s, ends_s), frozenset(epochs))
