"""The stretches of a run around each of its faults: before, during and after. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from harness.record.schema import FaultRun
from harness.record.verdict import PairedPhase

BEFORE: Final = "before"
DURING: Final = "during"
AFTER: Final = "after"


def phases(faults: Sequence[FaultRun], duration_s: float) -> tuple[PairedPhase, ...]:
    """Around each fault that was in force, in the order of their start.

    During: from when the fault was asked for, so that no effect of it counts as before, until its canary saw it healed.
    Before and after reach to the neighbouring faults, or to T0 and the end of the run; when another fault was in force
    at that edge, there is no such stretch. An experiment that is carried out again is called by its name and its
    number.
    """
    spans = sorted(
        ((fault.experiment, *edges) for fault in faults if (edges := _edges(fault, duration_s)) is not None),
        key=lambda item: item[1:],
    )
    times: Counter[str] = Counter()
    found: list[PairedPhase] = []
    for at, (experiment, start_s, end_s) in enumerate(spans):
        times[experiment] += 1
        fault = experiment if times[experiment] == 1 else f"{experiment} ({times[experiment]})"
        others = [(begin, end) for number, (_, begin, end) in enumerate(spans) if number != at]
        before_s = max([0.0, *(end for _, end in others if end <= start_s)])
        after_s = min([duration_s, *(begin for begin, _ in others if begin >= end_s)])
        if not any(begin < start_s < end for begin, end in others):
            found += _phase(fault, BEFORE, before_s, start_s)
        found += _phase(fault, DURING, start_s, end_s)
        if not any(begin < end_s < end for begin, end in others):
            found += _phase(fault, AFTER, end_s, after_s)
    return tuple(found)


def _phase(fault: str, name: str, from_s: float, to_s: float) -> list[PairedPhase]:
    if to_s <= from_s:
        return []
    return [PairedPhase(fault=fault, phase=name, t_from_s=from_s, t_to_s=to_s)]


def _edges(fault: FaultRun, duration_s: float) -> tuple[float, float] | None:
    start_s = fault.t_effective_s if fault.t_requested_s is None else fault.t_requested_s
    end_s = fault.t_heal_requested_s if fault.t_healed_s is None else fault.t_healed_s
    if start_s is None:
        return None
    return start_s, max(start_s, duration_s if end_s is None else end_s)
