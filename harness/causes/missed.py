"""Attributes the samples beyond an objective's target to the stretches in which they lay. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness.causes.stretches import Stretch, met, span
from harness.record.verdict import CausePart, SliResult
from harness.sli.measured import Floats
from harness.sli.samples import Samples

STANDS_OUT_SHARE: Final = 0.5
"""A stretch explains a miss only if at least this share of the bad samples lay in it …"""
STANDS_OUT_TIMES: Final = 1.5
"""… and so many times as many as its share of all samples. What lies everywhere explains nothing."""
_SECONDS: Final = {"ms": 1e-3, "s": 1.0}


class Attribution(msgspec.Struct, frozen=True):
    """Where the bad samples lay. `leading`: the stretch that most of them met. `explains`: whether it stands out.

    `within`, `outside`: the indicator's value over the samples that met a fault or its aftermath, and over the others.
    `t_from_s`, `t_to_s`: when the bad samples of the leading stretch began. `worst_s`: the second with the most.
    """

    bad: npt.NDArray[np.intp]
    total: int
    leading: Stretch
    count: int
    explains: bool
    within: float | None
    outside: float | None
    t_from_s: float
    t_to_s: float
    worst_s: int
    worst_count: int
    parts: tuple[CausePart, ...]

    @property
    def share(self) -> float:
        """The share of the bad samples that met the leading stretch."""
        return self.count / len(self.bad)

    @property
    def span(self) -> str:
        """When the bad samples of the leading stretch began, in words."""
        return span(self.t_from_s, self.t_to_s)


def attribute(
    samples: Samples, sli: SliResult, found: Sequence[Stretch], began_s: Floats | None = None
) -> Attribution | None:
    """Where the samples beyond the objective of `sli` lay; null when there is none.

    A sample of a time lasted for its value. `began_s`: from when each lasted; by default from its own instant.
    """
    bad = beyond(samples, sli)
    if not bad.any():
        return None
    from_s = samples.t_s if began_s is None else began_s
    lasts_s = samples.value * _SECONDS[sli.unit] if sli.unit in _SECONDS else np.zeros(len(samples))
    place = met(found, from_s, from_s + lasts_s)
    of_bad = np.bincount(place[bad], minlength=len(found))
    of_all = np.bincount(place, minlength=len(found)) / len(samples)
    lead = int(np.argmax(of_bad))
    begun_s = from_s[bad & (place == lead)]
    seconds, counts = np.unique(np.floor(begun_s).astype(np.int64), return_counts=True)
    under_fault = np.array([stretch.is_of_fault for stretch in found])[place]
    share = float(of_bad[lead] / bad.sum())
    return Attribution(
        bad=np.flatnonzero(bad),
        total=len(samples),
        leading=found[lead],
        count=int(of_bad[lead]),
        explains=share >= STANDS_OUT_SHARE and share >= STANDS_OUT_TIMES * of_all[lead],
        within=samples.take(np.flatnonzero(under_fault)).statistic,
        outside=samples.take(np.flatnonzero(~under_fault)).statistic,
        t_from_s=float(begun_s.min()),
        t_to_s=float(begun_s.max()),
        worst_s=int(seconds[np.argmax(counts)]),
        worst_count=int(counts.max()),
        parts=tuple(
            CausePart(
                by="phase",
                name=_named(found[at]),
                count=int(of_bad[at]),
                share=float(of_bad[at] / bad.sum()),
                of_all=float(of_all[at]),
            )
            for at in np.argsort(-of_bad, kind="stable").tolist()
            if of_bad[at]
        ),
    )


def beyond(samples: Samples, sli: SliResult) -> npt.NDArray[np.bool_]:
    """The samples that count against the objective: beyond the target of a percentile, or on the wrong side of a share.

    Without a target every sample of a percentile counts.
    """
    value: Floats = samples.value
    if samples.quantile is None:
        return value > 0 if sli.better == "lower" else value <= 0
    if sli.objective is None:
        return np.ones(len(value), dtype=bool)
    return value > sli.objective if sli.better == "lower" else value < sli.objective


def _named(stretch: Stretch) -> str:
    return f"after {stretch.name}" if stretch.kind == "after" else stretch.name
