"""Differences and shares with their uncertainty, and what size of effect a sample could have shown. Pure.

Intervals are 95 %, two-sided. Detectable effects are for a test at 5 % with 80 % power, from the same standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

Z_95: Final = 1.959964
_POWER_80: Final = 0.841621
ENOUGH: Final = 8  # in each cohort; below that the normal approximation says nothing


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval, and the smallest true effect that such a sample would show four times in five."""

    value: float
    low: float
    high: float
    detectable: float


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Estimate | None:
    """mean(first) − mean(second), by Welch's standard error √(s₁²/n₁ + s₂²/n₂); null with fewer than `ENOUGH` in one.

    With two equal constants the error is zero, and so is the interval.
    """
    if min(len(first), len(second)) < ENOUGH:
        return None
    one, two = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    error = math.sqrt(one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two))
    return _estimate(float(one.mean() - two.mean()), error)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Estimate | None:
    """Spearman's ρ with Fisher's interval tanh(atanh ρ ± 1.96·1.03/√(n−3)); null with fewer than `ENOUGH` pairs.

    1.03 is the correction for ranks of Fieller, Hartley and Pearson (1957).
    """
    if len(first) < ENOUGH:
        return None
    one, two = _ranks(first), _ranks(second)
    spread = float(one.std() * two.std())
    if spread == 0.0:
        return None
    rho = float(((one - one.mean()) * (two - two.mean())).mean() / spread)
    error = 1.03 / math.sqrt(len(first) - 3)
    centre = math.atanh(max(-0.999999, min(0.999999, rho)))
    low, high = math.tanh(centre - Z_95 * error), math.tanh(centre + Z_95 * error)
    return Estimate(rho, low, high, math.tanh((Z_95 + _POWER_80) * error))


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(value, value - Z_95 * error, value + Z_95 * error, (Z_95 + _POWER_80) * error)


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Average ranks: equal values share the mean of their places."""
    array = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=float)
