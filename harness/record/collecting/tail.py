"""Which journeys' traces a run keeps, chosen when it is over, from its own requests. Pure.

Many more journeys carry a traceparent than are kept: which were slow, failed or met a fault is known only at the end
(tail sampling, as of OpenTelemetry's collector). A share that depends on nothing but the seed is kept besides: only
that share says what is usual. The choice needs nothing but the spans, so whoever reads the record can make it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import FaultRun

SWARM: Final = "swarm"
"""The service of spans that the load generator wrote: one for each request."""
REPRESENTATIVE_LEAST: Final = 50
"""So many journeys at least are kept by chance, where so many are traced."""
SLOWEST_MOST: Final = 3
"""Of each step, so many journeys are kept for being slowest."""
FAILED_MOST: Final = 3
"""Of each step and error."""
UNDER_FAULT_MOST: Final = 5
"""Of each fault, the requests that it was longest in force for."""
TAIL_MOST: Final = 300
"""So many journeys in all are kept for a reason, those first that lead their lists."""
_RANDOM_DIGITS: Final = 14
_COLUMNS: Final = ("trace_id", "span_id", "name", "status", "attributes", "t_start_s", "t_end_s")


class Picked(msgspec.Struct, frozen=True):
    """A request for which its journey is kept. why: slowest | failed | fault. `of`: its error, or the fault."""

    trace_id: str
    span_id: str
    step: str
    why: str
    of: str = ""
    rank: int = 0


class _Sent(msgspec.Struct, frozen=True, gc=False):
    trace_id: str
    span_id: str
    step: str
    status: str
    attributes: str
    t_start_s: float
    t_end_s: float

    @property
    def took_s(self) -> float:
        return self.t_end_s - self.t_start_s


class _Told(msgspec.Struct, frozen=True):
    """What the attributes of a request's span may say."""

    status: int = 0
    error: str = ""

    @property
    def in_words(self) -> str:
        return str(self.status) if self.status else self.error.replace("_", " ") or "error"


_told: Final = msgspec.json.Decoder(_Told).decode


def chance_of(trace_id: str) -> float:
    """From 0 to 1, the same for ever: the trace is in a share of so much or more. Its last 56 bits are random.

    W3C Trace Context, level 2, and OpenTelemetry's consistent probability sampling have it so.
    """
    return int(trace_id[-_RANDOM_DIGITS:], 16) / 16**_RANDOM_DIGITS


def fault_windows(faults: Iterable[FaultRun]) -> dict[str, tuple[float, float]]:
    """When each fault may have been in force, by experiment: what `tail` is to be told."""
    return {fault.experiment: fault.may_be_in_force_s for fault in faults}


def representative(trace_ids: Iterable[str], ratio: float) -> frozenset[str]:
    """Those in the seeded share; the first ones of a larger share where that would be too few to say what is usual."""
    ordered = sorted(set(trace_ids), key=chance_of)
    seeded = sum(1 for one in ordered if chance_of(one) < ratio)
    return frozenset(ordered[: max(seeded, REPRESENTATIVE_LEAST)])


def tail(spans: pa.Table, windows: Mapping[str, tuple[float, float]]) -> tuple[Picked, ...]:
    """The requests that make their journeys worth keeping, those that lead their lists first.

    `windows`: when each fault may have been in force. Made again from what it kept, the choice is the same.
    """
    own = spans.filter(pc.equal(spans["service"], SWARM))
    sent = [_Sent(*row) for row in zip(*(own[name].to_pylist() for name in _COLUMNS), strict=True)]
    sent.sort(key=lambda one: (-one.took_s, one.span_id))
    picked = [*_slowest(sent), *_failed(sent), *_under_faults(sent, windows)]
    picked.sort(key=lambda one: one.rank)
    return tuple(_bounded(picked))


def _bounded(picked: Sequence[Picked]) -> Iterator[Picked]:
    journeys: set[str] = set()
    for one in picked:
        if one.trace_id in journeys or len(journeys) < TAIL_MOST:
            journeys.add(one.trace_id)
            yield one


class _Lists:
    """Lists of journeys, each with a bound; a journey is in a list once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lists: dict[tuple[str, ...], set[str]] = defaultdict(set)

    def rank(self, name: tuple[str, ...], trace_id: str) -> int | None:
        """The place of this journey at the end of that list; null: it is there, or the list is full."""
        found = self._lists[name]
        if trace_id in found or len(found) >= self._most:
            return None
        found.add(trace_id)
        return len(found)


def _slowest(sent: Sequence[_Sent]) -> Iterator[Picked]:
    lists = _Lists(SLOWEST_MOST)
    for one in sent:
        if rank := lists.rank((one.step,), one.trace_id):
            yield Picked(one.trace_id, one.span_id, one.step, "slowest", rank=rank)


def _failed(sent: Sequence[_Sent]) -> Iterator[Picked]:
    lists = _Lists(FAILED_MOST)
    for one in sent:
        if one.status != "ok":
            error = _told(one.attributes).in_words
            if rank := lists.rank((one.step, error), one.trace_id):
                yield Picked(one.trace_id, one.span_id, one.step, "failed", error, rank)


def _under_faults(sent: Sequence[_Sent], windows: Mapping[str, tuple[float, float]]) -> Iterator[Picked]:
    for fault, (from_s, to_s) in windows.items():
        lists = _Lists(UNDER_FAULT_MOST)
        shared = [(min(one.t_end_s, to_s) - max(one.t_start_s, from_s), one) for one in sent]
        for _, one in sorted((pair for pair in shared if pair[0] >= 0), key=lambda pair: (-pair[0], pair[1].span_id)):
            if rank := lists.rank((fault,), one.trace_id):
                yield Picked(one.trace_id, one.span_id, one.step, "fault", fault, rank)
