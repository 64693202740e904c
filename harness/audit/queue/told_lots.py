"""Who drew the earlier lot, by the places that fans were told: for a draw that the platform does not publish.

A place counts those ahead, and it falls alike for everybody as fans are called in. So when one fan was told a place,
and another asked after that and was told a later place, the first is ahead of the second. That the lots were drawn
fairly cannot be seen from outside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.queue.places import AdmittedPlace
from harness.audit.tally import Moment

_ASKED_MAX: Final = 4  # times that a fan's place is compared with what others were told


class ToldPlace(msgspec.Struct, frozen=True, gc=False):
    """A fan was told a place at `t_s`, having asked no earlier than `t_asked_s`; null: nobody knows when."""

    actor: str
    place: int
    t_s: float
    t_asked_s: float | None

    def moment(self) -> Moment:
        """It as a step of a history."""
        return Moment(self.actor, f"{self.actor} was told place {self.place}", (self.t_s, self.t_s))


class Overtaken(msgspec.Struct, frozen=True, gc=False):
    """`late` was admitted before `early`, and was told after `early` that they are further back."""

    early: AdmittedPlace
    late: AdmittedPlace
    early_told: ToldPlace
    late_told: ToldPlace

    @property
    def width(self) -> int:
        """How many admissions apart."""
        return self.early.admission_no - self.late.admission_no


def told_places(evidence: Evidence) -> dict[str, list[ToldPlace]]:
    """Actor → the places that they were told while they waited, in the order of time.

    A fan who sent a request for it after the place before was told has asked after that. What a stream tells without
    being asked may have been on its way for a while.
    """
    rows = evidence.events("positions", ("position",), ("actor", "t_s", "value"))
    told = rows.to_pandas().sort_values("t_s", kind="stable")
    told["before_s"] = told.groupby("actor")["t_s"].shift()
    told = told[told["value"].notna()]
    if told.empty:
        return {}
    told = pd.merge_asof(told, _asked(evidence), left_on="t_s", right_on="t_start_s", by="actor")
    told["asked_s"] = told["before_s"].where(told["t_start_s"] > told["before_s"])
    found: dict[str, list[ToldPlace]] = {}
    for actor, place, t_s, asked_s in zip(
        *(told[name].tolist() for name in ("actor", "value", "t_s", "asked_s")), strict=True
    ):
        known = found.setdefault(actor, [])
        known.append(ToldPlace(actor, int(place), t_s, asked_s if asked_s == asked_s else None))  # noqa: PLR0124 - NaN
    return found


def overtaken(
    places: Sequence[AdmittedPlace], told: Mapping[str, list[ToldPlace]], margin_s: float
) -> tuple[list[Overtaken], int]:
    """For each fan who was admitted too early the last one whom they overtook, and how many pairs could be compared.

    `places` are of one epoch. O(n log n): one sweep over time.
    """
    of = {place.actor: place for place in places}
    firsts = sorted((told[actor][0] for actor in of if actor in told), key=lambda one: one.t_s)
    compared_to = (one for actor in of for one in told.get(actor, ())[: _ASKED_MAX + 1])
    asked = sorted(((one.t_asked_s, one) for one in compared_to if one.t_asked_s is not None), key=lambda pair: pair[0])
    ahead = _Ahead(sorted({one.place for one in firsts}))
    worst: dict[str, Overtaken] = {}
    compared: dict[str, int] = {}
    at = 0
    for t_asked_s, one in asked:
        while at < len(firsts) and firsts[at].t_s + margin_s < t_asked_s:
            ahead.add(firsts[at].place, of[firsts[at].actor].admission_no, firsts[at])
            at += 1
        count, latest = ahead.of(one.place)
        compared[one.actor] = max(count, compared.get(one.actor, 0))
        place = of[one.actor]
        if latest is not None and of[latest.actor].admission_no > place.admission_no:
            found = Overtaken(of[latest.actor], place, latest, one)
            if one.actor not in worst or worst[one.actor].width < found.width:
                worst[one.actor] = found
    return list(worst.values()), sum(compared.values())


class _Ahead:
    """A Fenwick tree over places: for a place, how many fans were told a smaller one, and the last of them admitted."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self._count = [0] * (len(places) + 1)
        self._last: list[tuple[int, ToldPlace] | None] = [None] * (len(places) + 1)

    def add(self, place: int, admission_no: int, told: ToldPlace) -> None:
        """One more."""
        node = bisect_left(self._places, place) + 1
        while node < len(self._count):
            self._count[node] += 1
            known = self._last[node]
            if known is None or admission_no > known[0]:
                self._last[node] = (admission_no, told)
            node += node & -node

    def of(self, place: int) -> tuple[int, ToldPlace | None]:
        """Of those who were told an earlier place than this."""
        count, best = 0, None
        for node in self._nodes(bisect_left(self._places, place)):
            count += self._count[node]
            known = self._last[node]
            if known is not None and (best is None or known[0] > best[0]):
                best = known
        return count, best[1] if best else None

    @staticmethod
    def _nodes(node: int) -> Iterator[int]:
        while node:
            yield node
            node -= node & -node


def _asked(evidence: Evidence) -> pd.DataFrame:
    """When fans sent requests for their place, by time."""
    batches = evidence.record.batches("requests", ("actor", "step", "t_start_s"))
    parts = [batch.filter(pc.equal(batch["step"], "positions")).select(["actor", "t_start_s"]) for batch in batches]
    schema = pa.schema([("actor", pa.string()), ("t_start_s", pa.float64())])
    sent: pd.DataFrame = pa.Table.from_batches([part.cast(schema) for part in parts], schema).to_pandas()
    return sent.sort_values("t_start_s")
