"""The stretches of a run by which causes are told: faults in force, their aftermath, waves of arrivals. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness.record.schema import FaultRun
from harness.sli.measured import Floats

FAULT: Final = "fault"
AFTER: Final = "after"
WAVE: Final = "wave"
REST: Final = "rest"
AFTER_S: Final = 5.0
"""For so long after a heal, or until the next fault, a bad sample is told as the aftermath of that fault."""
WAVE_S: Final = 2.0
"""For so long after a wave of arrivals is released, a bad sample is told as that wave's."""

Indices = npt.NDArray[np.intp]


class Stretch(msgspec.Struct, frozen=True):
    """One stretch. kind: fault | after | wave | rest. `name`: of the experiment, or of the wave."""

    kind: str
    name: str
    t_from_s: float
    t_to_s: float

    @property
    def is_of_fault(self) -> bool:
        """Whether a fault was in force, or had just been healed."""
        return self.kind in (FAULT, AFTER)

    @property
    def span(self) -> str:
        """From when to when, in words."""
        return span(self.t_from_s, self.t_to_s)

    @property
    def when(self) -> str:
        """The stretch in words, to follow a verb."""
        match self.kind:
            case "fault":
                return f"while {self.name} was in force ({self.span})"
            case "after":
                return f"just after {self.name} was healed ({self.span})"
            case "wave":
                return f"in {self.name} ({self.span})"
            case _:
                return "outside of faults and waves"


def span(t_from_s: float, t_to_s: float) -> str:
    """Two instants on the release clock in words; one where they are alike."""
    first, last = f"T{t_from_s:+.1f} s", f"T{t_to_s:+.1f} s"
    return first if first == last else f"{first} to {last}"


def stretches(faults: Iterable[FaultRun], waves_s: Iterable[float], duration_s: float) -> tuple[Stretch, ...]:
    """Faults first, then what follows them, then waves, then the rest: a sample belongs to the first that it met."""
    in_force = sorted(_in_force(faults, duration_s), key=lambda one: one.t_from_s)
    waves = [*sorted(waves_s), duration_s]
    return (
        *in_force,
        *_afters(in_force, duration_s),
        *(
            Stretch(WAVE, "the release" if not number else f"wave {number + 1}", begin_s, min(begin_s + WAVE_S, next_s))
            for number, (begin_s, next_s) in enumerate(pairwise(waves))
            if next_s > begin_s
        ),
        Stretch(REST, "the rest of the run", 0.0, duration_s),
    )


def met(found: Sequence[Stretch], from_s: Floats, to_s: Floats) -> Indices:
    """For each sample, which lasted from `from_s` to `to_s`, the stretch that it belongs to, as an index.

    A fault is met by every sample that lasted into it: of several faults, by the one that lay longest in the sample.
    Aftermath and waves are met by samples that began in them.
    """
    place = np.full(len(from_s), len(found) - 1, dtype=np.intp)
    longest_s = np.full(len(from_s), -np.inf)
    free = np.ones(len(from_s), dtype=bool)
    for at, stretch in enumerate(found[:-1]):
        if stretch.kind == FAULT:
            shared_s = np.minimum(to_s, stretch.t_to_s) - np.maximum(from_s, stretch.t_from_s)
            taken = (shared_s >= 0) & (shared_s > longest_s)
            longest_s[taken] = shared_s[taken]
        else:
            taken = free & (from_s >= stretch.t_from_s) & (from_s < stretch.t_to_s)
        place[taken] = at
        free &= ~taken
    return place


def under_faults_s(found: Sequence[Stretch], from_s: float, to_s: float) -> float:
    """How long between the two instants faults were in force or had just been healed; what overlaps counts once."""
    covered_s, until_s = 0.0, from_s
    for one in sorted((one for one in found if one.is_of_fault), key=lambda one: one.t_from_s):
        begin_s, end_s = max(one.t_from_s, until_s), min(one.t_to_s, to_s)
        if end_s > begin_s:
            covered_s += end_s - begin_s
            until_s = end_s
    return covered_s


def _in_force(faults: Iterable[FaultRun], duration_s: float) -> Iterator[Stretch]:
    """From when each fault was asked for, so that no effect of it counts as before, until it was seen healed."""
    for fault in faults:
        from_s = fault.t_effective_s if fault.t_requested_s is None else fault.t_requested_s
        to_s = fault.t_heal_requested_s if fault.t_healed_s is None else fault.t_healed_s
        if fault.t_effective_s is not None and from_s is not None:
            yield Stretch(FAULT, fault.experiment, from_s, max(from_s, duration_s if to_s is None else to_s))


def _afters(in_force: Sequence[Stretch], duration_s: float) -> Iterator[Stretch]:
    for fault in in_force:
        following = [other.t_from_s for other in in_force if other.t_from_s >= fault.t_to_s]
        to_s = min([fault.t_to_s + AFTER_S, duration_s, *following])
        if to_s > fault.t_to_s:
            yield Stretch(AFTER, fault.name, fault.t_to_s, to_s)
