"""Counts sales lost and sales late: how many fans had bought by when, with the faults and without. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.paired.rows import Halves
from harness.record.verdict import PairedSales
from harness.sli.measured import Floats, Observations
from harness.sli.measures import buyers
from harness.sli.resampling import Contrast, contrast
from harness.sli.samples import Samples

GRID_S: Final = 0.5


def told_s(seen: Observations) -> dict[str, float]:
    """Fan → when the fan was first told that an order is confirmed; infinite: it is confirmed, and never was told."""
    history = seen.history
    told = dict(buyers.told_s(history))
    fans = set(history.joins.actors.to_pylist())
    for order in history.orders.values():
        if order.state == "confirmed" and order.fan in fans:
            told.setdefault(order.fan, np.inf)
    return told


def sales(halves: Halves, duration_s: float) -> PairedSales | None:
    """How many fans bought in each run, and how far the treatment was behind; null when no fan joined.

    Lost: how many fewer fans bought in the end. Late: how many more the treatment was behind at its worst instant than
    in the end.
    """
    joins = [half.history.joins for half in (halves.control, halves.treatment)]
    fans = sorted({actor for each in joins for actor in each.actors.to_pylist()})
    if not fans:
        return None
    control, treatment = told_s(halves.control), told_s(halves.treatment)
    grid = np.arange(0.0, duration_s + GRID_S, GRID_S)
    behind = _sold_by(control, grid) - _sold_by(treatment, grid)
    worst = int(np.argmax(behind))
    lost = _behind(fans, control, treatment, np.inf, halves.matched)
    most = _behind(fans, control, treatment, float(grid[worst]), halves.matched)
    return PairedSales(
        fans=len(fans),
        control=len(control),
        treatment=len(treatment),
        lost=len(control) - len(treatment),
        lost_low=_scaled(lost.low, len(fans)),
        lost_high=_scaled(lost.high, len(fans)),
        most_behind=int(behind[worst]),
        most_behind_low=_scaled(most.low, len(fans)),
        most_behind_high=_scaled(most.high, len(fans)),
        most_behind_t_s=float(grid[worst]),
        late=max(0, int(behind[worst]) - max(0, len(control) - len(treatment))),
        only_control=len(control.keys() - treatment.keys()),
        only_treatment=len(treatment.keys() - control.keys()),
    )


def _sold_by(told: dict[str, float], grid: Floats) -> Floats:
    return np.searchsorted(np.sort(np.array(list(told.values()), dtype=np.float64)), grid, side="right").astype(float)


def _behind(
    fans: list[str], control: dict[str, float], treatment: dict[str, float], by_s: float, matched: bool
) -> Contrast:
    """The share of fans who had not bought by then, treatment against control."""
    return contrast(_not_bought(fans, control, by_s), _not_bought(fans, treatment, by_s), paired=matched)


def _not_bought(fans: list[str], told: dict[str, float], by_s: float) -> Samples:
    bought = np.array([fan in told and told[fan] <= by_s for fan in fans])
    return Samples(np.array(fans, dtype=np.str_), np.zeros(len(fans)), 1.0 - bought)


def _scaled(value: float | None, fans: int) -> float | None:
    return None if value is None else value * fans
