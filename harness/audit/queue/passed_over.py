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
from harness.audit.queue.epochs import Ints, line_of
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
_NO_LINE: Final = -1


class PassedOver(msgspec.Struct, frozen=True):
    """A fan with a place who listened until `t_until_s` and was not called in, though `by` had been."""

    fan: str
    claim: PlaceClaim
    t_until_s: float
    by: AdmittedPlace


class Listening(msgspec.Struct, frozen=True):
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
    for fan, heard in listening(evidence, list(waiting), until_left=ours):
        claim = waiting[fan]
        by = later.first(max(claim.t_acked_s + evidence.clock_margin_s, heard.t_from_s))
        is_same_line = by is not None and len(heard.epochs | ({line_of(by.epoch)} - {""})) <= 1
        if by is not None and is_same_line and by.t_entered_s + late_s <= heard.t_until_s:
            found.append(PassedOver(fan, claim, heard.t_until_s, by))
    return found


def _told_late_s(evidence: Evidence, places: Sequence[AdmittedPlace]) -> float:
    """By how much fans who listened were told of their call after one with a later number had come in, at p99.

    An overloaded platform admits in order and tells of it late. One fan who is told very late excuses no other.
    """
    listened = dict(listening(evidence, [one.actor for one in places], until_left=True))
    soonest_s: dict[str, float] = {}
    lags_s = []
    called_s = evidence.called_in_s
    for one in sorted(places, key=lambda one: one.admission_no, reverse=True):
        t_called_s = called_s.get(one.actor)
        t_other_s = soonest_s.get(one.epoch, _OPEN_S)
        if t_called_s is not None and one.actor in listened:
            is_told_late = listened[one.actor].t_from_s <= t_other_s < t_called_s
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


def listening(evidence: Evidence, fans: list[str], *, until_left: bool) -> Iterator[tuple[str, Listening]]:
    """By fan. `until_left`: a fan who leaves an open stream listened until then, else until the last place that was
    told."""
    rows = evidence.events("positions", _NEWS, ("actor", "event", "t_s", "epoch"))
    rows = rows.filter(pc.is_in(rows["actor"], value_set=pa.array(fans, pa.string())))
    if not rows.num_rows:
        return
    actors = rows["actor"].combine_chunks().dictionary_encode()
    fan, t_s = pc.rank(actors.dictionary).to_numpy()[actors.indices.to_numpy()], rows["t_s"].to_numpy()
    order = np.lexsort((t_s, fan))
    fan, t_s = fan[order], t_s[order]
    lines, line = _lines(rows["epoch"].combine_chunks().dictionary_encode())
    line = line[order]
    is_gone = pc.is_in(rows["event"], value_set=pa.array(_GONE)).to_numpy()[order]
    last_words = ("position", "disconnect") if until_left else ("position",)
    is_word = pc.is_in(rows["event"], value_set=pa.array(last_words)).to_numpy()[order]

    at = np.arange(len(order))
    begins = np.flatnonzero(np.diff(fan, prepend=0))  # ranks begin with 1
    ends = np.append(begins[1:], len(order))
    is_back = np.zeros(len(order), dtype=np.bool_)
    is_back[1:] = is_gone[:-1] & (t_s[1:] - t_s[:-1] > AWAY_MAX_S)
    is_back[begins] = True
    since = np.maximum.accumulate(np.where(is_back, at, 0))[ends - 1]
    word = np.maximum.accumulate(np.where(is_word, at, -1))[ends - 1]
    until_s = np.where(word >= begins, t_s[word], -_OPEN_S)
    is_told = (at >= np.repeat(since, ends - begins)) & (line != _NO_LINE)
    lowest = np.minimum.reduceat(np.where(is_told, line, len(lines)), begins)
    highest = np.maximum.reduceat(np.where(is_told, line, _NO_LINE), begins)
    names = actors.take(pa.array(order[begins])).cast(pa.string()).to_pylist()
    one_each = [frozenset((name,)) for name in lines]
    for name, begin, end, from_s, to_s, low, high in zip(
        names, since.tolist(), ends.tolist(), t_s[since].tolist(), until_s.tolist(), lowest.tolist(), highest.tolist(),
        strict=True,
    ):  # fmt: skip
        if low < high:
            epochs = frozenset(lines[one] for one in set(line[begin:end].tolist()) if one != _NO_LINE)
        else:
            epochs = one_each[low] if low == high else frozenset()
        yield name, Listening(from_s, min(to_s, evidence.duration_s), epochs)


def _lines(epochs: pa.DictionaryArray) -> tuple[list[str], Ints]:
    """The lines that these epochs are of, and each one's as a number; `_NO_LINE` where none is named."""
    of_epochs = [line_of(epoch) for epoch in epochs.dictionary.to_pylist()]
    lines = sorted(set(of_epochs) - {""})
    number = {line: at for at, line in enumerate(lines)} | {"": _NO_LINE}
    return lines, np.array([number[line] for line in of_epochs], dtype=np.int64)[epochs.indices.to_numpy()]
