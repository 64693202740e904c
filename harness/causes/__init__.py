"""Says why: attributes what was missed to a fault, a second, a step, a hop and an error. Arithmetic on the record.

A cause is where and when the bad samples lay and what ended them. It is told with the share that it explains; where no
stretch of the run stands out, the cause says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from harness.causes.experiments import expectation_causes, gap_causes, violation_causes
from harness.causes.hops import SpanTree, step_hops
from harness.causes.objectives import objective_causes
from harness.causes.story import story, unlucky
from harness.causes.stretches import Stretch, stretches
from harness.causes.waterfalls import waterfalls
from harness.errors import GatecrashError
from harness.record.collecting.tail import fault_windows
from harness.record.reader import Record
from harness.record.verdict import Cause, Story, Verdict
from harness.sli.measured import Observations

T = TypeVar("T")


class _Arrivals(msgspec.Struct, frozen=True):
    shape: str = "step"
    waves_s: tuple[float, ...] = (0.0,)
    surge_ratio: float = 0.0
    surge_at_s: float = 0.0


class _Load(msgspec.Struct, frozen=True):
    trace_ratio: float = 0.0
    arrivals: _Arrivals = _Arrivals()


class _Scenario(msgspec.Struct, frozen=True):
    load: _Load = _Load()


def with_causes(record: Record, verdict: Verdict, seen: Observations | None = None) -> Verdict:
    """The verdict with the causes of what was missed, and with the hops of traced steps. It decides nothing.

    `seen`: the record's tables, where the caller has already read them.
    """
    seen = seen or Observations(record)
    untold: list[Cause] = []
    causes = _told("causes", lambda: _causes(record, verdict, seen), untold)
    spans, windows = record.table("spans"), fault_windows(record.faults.faults)
    tree = SpanTree(spans)
    hops = _told("hops", lambda: step_hops(tree, _trace_ratio(record)), untold)
    falls = _told("waterfalls", lambda: waterfalls(spans, tree, windows), untold)
    stories = _told("stories", lambda: unlucky_stories(record, seen), untold)
    return msgspec.structs.replace(verdict, causes=(*causes, *untold), hops=hops, waterfalls=falls, stories=stories)


def _told(what: str, tell: Callable[[], Iterable[T]], untold: list[Cause]) -> tuple[T, ...]:
    """What `tell` tells; nothing, and a word in `untold`, when it breaks: that must not break the verdict."""
    try:
        return tuple(tell())
    except GatecrashError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever broke it
        untold.append(Cause(of="", sentence=f"{what} could not be told: {type(error).__name__}: {error}"))
        return ()


def unlucky_stories(record: Record, seen: Observations) -> Iterator[Story]:
    """The stories of the fans who were least lucky."""
    found = phases(record, seen)
    for why, actor in unlucky(seen):
        yield msgspec.structs.replace(story(seen, actor, found), why=why)


def _causes(record: Record, verdict: Verdict, seen: Observations) -> Iterator[Cause]:
    yield from violation_causes(verdict.invariants)
    yield from expectation_causes(seen, verdict.faults)
    yield from gap_causes(seen, verdict.faults)
    yield from objective_causes(seen, verdict.slis, phases(record, seen))


def _trace_ratio(record: Record) -> float:
    return msgspec.convert(record.run.scenario, _Scenario).load.trace_ratio


def phases(record: Record, seen: Observations) -> Sequence[Stretch]:
    """The stretches of this run."""
    arrivals = msgspec.convert(record.run.scenario, _Scenario).load.arrivals
    waves_s = {"step": (0.0,), "waves": arrivals.waves_s}.get(arrivals.shape, ())
    late_s = (arrivals.surge_at_s,) if arrivals.surge_ratio else ()
    return stretches(record.faults.faults, (*waves_s, *late_s), seen.duration_s)
