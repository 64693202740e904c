"""Data of the charts that lay control and treatment over one clock, binned here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from harness.paired.sales import told_s
from harness.record.reader import Record
from harness.record.verdict import PairedPhase, PairedRow
from harness.sli import INDICATORS
from harness.sli.measured import Observations
from harness.sli.samples import Samples
from reports.view.charts.timeline import Window, windows
from reports.view.frames import Floats

BIN_S: Final = 1.0
_AROUND_S: Final = 12.0
"""So much of the run before and after a fault is drawn, at most."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """One quantity in both runs. NaN where a run has no sample. `unit`: of the values."""

    title: str
    unit: str
    start_s: float
    end_s: float
    t_s: Floats
    control: Floats
    treatment: Floats
    faults: tuple[Window, ...]


@dataclass(frozen=True)
class Drawing:
    """Two records, and what can be drawn of them."""

    control: Record
    treatment: Record

    @cached_property
    def _seen(self) -> tuple[Observations, Observations]:
        return Observations(self.control), Observations(self.treatment)

    def sales(self) -> Overlay | None:
        """Fans who had bought by each instant; None when nobody did in either run."""
        end_s = self._seen[1].duration_s
        grid = np.arange(0.0, end_s + 0.25, 0.25)
        sold = [np.sort(np.fromiter(told_s(seen).values(), dtype=np.float64)) for seen in self._seen]
        if not any(len(times) for times in sold):
            return None
        control, treatment = (np.searchsorted(times, grid, side="right").astype(np.float64) for times in sold)
        return Overlay("Fans who have bought", "fans", 0.0, end_s, grid, control, treatment, windows(self.treatment))

    def around(self, row: PairedRow, phases: Sequence[PairedPhase]) -> Overlay | None:
        """An indicator by the second, from before a fault to after it."""
        spec = INDICATORS.get(row.name)
        if spec is None or spec.samples is None or not phases:
            return None
        force = next(phase for phase in phases if phase.phase == "during")
        start_s = max(phases[0].t_from_s, force.t_from_s - _AROUND_S, 0.0)
        end_s = min(phases[-1].t_to_s, force.t_to_s + _AROUND_S)
        bins = np.arange(np.floor(start_s), np.ceil(end_s), BIN_S)
        control, treatment = (_by_bin(spec.samples(seen), bins) for seen in self._seen)
        if not (np.isfinite(control).any() or np.isfinite(treatment).any()):
            return None
        near = tuple(w for w in windows(self.treatment) if w.end_s > start_s and w.start_s < end_s)
        return Overlay(
            row.title, row.unit, float(bins[0]), float(bins[-1] + BIN_S), bins + BIN_S / 2, control, treatment, near
        )


def _by_bin(samples: Samples, bins: Floats) -> Floats:
    return np.array([samples.between(t_s, t_s + BIN_S).statistic for t_s in bins], dtype=np.float64)
