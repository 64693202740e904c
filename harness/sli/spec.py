"""An indicator of the registry together with how it is measured."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from harness.registry.indicators import INDICATORS, Indicator
from harness.sli.measured import Measured, Observations
from harness.sli.samples import Samples


class IndicatorSpec(Indicator, frozen=True):
    """An indicator that can be measured.

    `samples`: the samples that it is a percentile or a share of; null: it is one figure of the whole run.
    """

    measure: Callable[[Observations], Measured]
    samples: Callable[[Observations], Samples] | None = None


def specified(name: str, measure: Callable[[Observations], Measured]) -> IndicatorSpec:
    """The registry's indicator of that name: one figure of the whole run."""
    return IndicatorSpec(**msgspec.structs.asdict(INDICATORS[name]), measure=measure)


def sampled(name: str, samples: Callable[[Observations], Samples]) -> IndicatorSpec:
    """The registry's indicator of that name: a percentile or a share of what was observed."""
    return IndicatorSpec(
        **msgspec.structs.asdict(INDICATORS[name]), measure=lambda seen: samples(seen).measured, samples=samples
    )
