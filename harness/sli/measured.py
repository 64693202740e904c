"""What an indicator is and what measuring one gives. A value without samples is null, never zero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.audit.history import Evidence
from harness.record.reader import Record

Floats = npt.NDArray[np.float64]


class Measured(msgspec.Struct, frozen=True):
    """A value over so many samples. `value` null: there was nothing to measure. `note`: why, or how."""

    value: float | None
    samples: int
    note: str = ""


class IndicatorValue(msgspec.Struct, frozen=True):
    """One indicator of one run."""

    name: str
    value: float | None
    unit: str
    samples: int
    note: str = ""


@dataclass(frozen=True)
class Observations:
    """A record as the indicators read it; what several of them need is computed once."""

    record: Record

    @cached_property
    def history(self) -> Evidence:
        """The operations, parsed."""
        return Evidence(self.record)

    @property
    def requests(self) -> pa.Table:
        """One row per request."""
        return self.record.table("requests")

    @property
    def events(self) -> pa.Table:
        """One row per stream event."""
        return self.record.table("events")

    @property
    def metrics(self) -> pa.Table:
        """What the platform says of itself."""
        return self.record.table("metrics")

    @cached_property
    def duration_s(self) -> float:
        """Length of the run on the release clock, from the scenario, else up to the last operation."""
        planned = self.record.run.scenario.get("duration_s")
        if isinstance(planned, int | float):
            return float(planned)
        starts = self.requests.column("t_start_s").to_numpy()
        return float(starts.max()) if len(starts) else 0.0


class IndicatorSpec(msgspec.Struct, frozen=True):
    """One indicator. `source`: the tables that it is measured from."""

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher"]
    description: str
    source: str
    measure: Callable[[Observations], Measured]


def percentile(values: Floats | Sequence[float], quantile: float) -> float | None:
    """The nearest-rank percentile: the smallest observed value that at least this share of samples does not exceed.

    It is always a value that was really seen, unlike an interpolated one. None without samples.
    """
    if len(values) == 0:
        return None
    return float(np.quantile(np.asarray(values), quantile, method="inverted_cdf"))


def ratio(part: int, whole: int) -> Measured:
    """A share of a whole; null when there is no whole."""
    return Measured(part / whole if whole else None, whole)
