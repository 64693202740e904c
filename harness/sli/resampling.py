"""The difference of two runs with its confidence interval, by bootstrap over users and over time. Pure.

A run's observations are not independent: observations of one fan are alike, and so are observations of one moment, when
all fans met the same platform and the same machine. So whole fans are resampled with all their observations, and
separately whole blocks of time; the result is the wider of the two intervals.

- Resampling whole groups: A. C. Davison, D. V. Hinkley, Bootstrap Methods and their Application, 1997, §3.8; in two
  directions: A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007).
- Each group counts a Poisson(1) number of times: J. A. Hanley, B. MacGibbon, Creating non-parametric bootstrap samples
  using Poisson frequencies, Computer Methods and Programs in Biomedicine 83 (2006).
- Pairing: when both runs have the same fans, a fan is resampled in both together, so that each fan's own habits cancel
  in the difference (B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8).

Intervals are percentile intervals, 95 %, two-sided. They do not cover how much another run on another day would differ.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness.sli.measured import Floats
from harness.sli.samples import Names, Samples
from harness.sli.statistics import ENOUGH

BLOCK_S: Final = 0.5
"""Length of a block of the clock that is drawn as a whole."""
TAIL: Final = 3
"""Observations beyond a percentile below which resampling says nothing about it."""
ROWS_MOST: Final = 20_000
"""Of more observations so many, drawn at random, are resampled: that makes an interval wider, never narrower."""
_REPLICATES: Final = 500
_CHUNK_CELLS: Final = 2_000_000
_LEVELS: Final = (0.025, 0.975)
_LEAST_DEFINED: Final = 0.9  # of the replicates: the others are empty, having drawn no observation

Weights = npt.NDArray[np.uint8]


class Contrast(msgspec.Struct, frozen=True):
    """One statistic in two runs; `delta` is treatment − control with its interval, null when it is not known.

    `control_low` and `control_high`: the interval of the control's own value. `note`: why an interval is missing.
    """

    control: float | None
    treatment: float | None
    delta: float | None
    low: float | None
    high: float | None
    control_low: float | None
    control_high: float | None
    samples_control: int
    samples_treatment: int
    note: str = ""


def contrast(control: Samples, treatment: Samples, *, paired: bool = True) -> Contrast:
    """The difference between treatment and control. `paired`: equal names in `who` are the same person in both runs."""
    one, two = control.statistic, treatment.statistic
    note = _too_little(control) or _too_little(treatment) or _nobodys(control) or _nobodys(treatment)
    delta = None if one is None or two is None else two - one
    bands = None if delta is None or note else _bands(control, treatment, paired)
    if delta is not None and not note and bands is None:
        note = "too few fans for an interval"
    (low, high), (control_low, control_high) = bands or ((None, None), (None, None))
    return Contrast(one, two, delta, low, high, control_low, control_high, len(control), len(treatment), note)


Band = tuple[float, float]


def _bands(control: Samples, treatment: Samples, paired: bool) -> tuple[Band, Band] | None:
    """The intervals of the difference and of the control; each is the wider one of the two ways to resample."""
    control, treatment = _thinned(control), _thinned(treatment)
    by_fan = _resampled(control, treatment, control.who, treatment.who, paired)
    by_moment = _resampled(control, treatment, _blocks(control), _blocks(treatment), paired=True)
    found = [bands for bands in (by_fan, by_moment) if bands is not None]
    if not found:
        return None
    deltas, controls = zip(*found, strict=True)
    return max(deltas, key=_width), max(controls, key=_width)


def _resampled(
    control: Samples, treatment: Samples, groups: Names, other_groups: Names, paired: bool
) -> tuple[Band, Band] | None:
    names, index = np.unique(np.concatenate([groups, other_groups]), return_inverse=True)
    one, two = index[: len(groups)], index[len(groups) :]
    if min(len(np.unique(one)), len(np.unique(two))) < ENOUGH:
        return None
    drawn = replicate(control, one, _weights(len(names), 0))
    other = replicate(treatment, two, _weights(len(names), 0 if paired else 1))
    return _paired_bands(drawn, other)


def _paired_bands(drawn: Floats, other: Floats) -> tuple[Band, Band] | None:
    defined = np.isfinite(drawn) & np.isfinite(other)
    if defined.mean() < _LEAST_DEFINED:
        return None
    low, high = np.quantile((other - drawn)[defined], _LEVELS)
    control_low, control_high = np.quantile(drawn[defined], _LEVELS)
    return (float(low), float(high)), (float(control_low), float(control_high))


def replicate(samples: Samples, group: npt.NDArray[np.intp], weights: Weights) -> Floats:
    """The statistic of each resample. Row r of `weights` says how often each group counts; NaN when no group does."""
    if samples.quantile is None:
        size = weights.shape[1]
        parts = np.bincount(group, samples.value, size)
        wholes = np.bincount(group, samples.base, size)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((weights @ parts) / (weights @ wholes), dtype=np.float64)
    order = np.argsort(samples.value, kind="stable")
    values, group = samples.value[order], group[order]
    step = max(1, _CHUNK_CELLS // len(values))
    starts = range(0, len(weights), step)
    found = [_weighted_percentile(values, weights[at : at + step][:, group], samples.quantile) for at in starts]
    return np.concatenate(found)


def _weighted_percentile(values: Floats, weights: Weights, quantile: float) -> Floats:
    """Nearest rank among `values`, ascending, each counted as often as its column of `weights` says, row by row."""
    counted = np.cumsum(weights, axis=1, dtype=np.int32)
    total = counted[:, -1]
    rank = np.maximum(np.ceil(quantile * total), 1)
    found = values[np.argmax(counted >= rank[:, None], axis=1)]
    return np.where(total > 0, found, np.nan)


def _weights(groups: int, stream: int) -> Weights:
    return _drawn(1 << max(groups - 1, 1).bit_length(), stream)[:, :groups]


@lru_cache(maxsize=16)
def _drawn(groups: int, stream: int) -> Weights:
    """Poisson(1) frequencies from a fixed seed, so that the same record gives the same intervals."""
    return np.random.default_rng([groups, stream]).poisson(1.0, (_REPLICATES, groups)).astype(np.uint8)


def _thinned(samples: Samples) -> Samples:
    if len(samples) <= ROWS_MOST:
        return samples
    return samples.take(np.random.default_rng(len(samples)).choice(len(samples), ROWS_MOST, replace=False))


def _blocks(samples: Samples) -> Names:
    return np.floor(samples.t_s / BLOCK_S).astype(np.int64)


def _nobodys(samples: Samples) -> str:
    """Why no interval can be given where observations have no user: those of one fan cannot be kept together."""
    unknown = samples.who.dtype.kind == "i" and bool(np.any(samples.who.astype(np.int64) < 0))
    return "no interval, because the requests of many users are summed up" if unknown else ""


def _too_little(samples: Samples) -> str:
    if samples.quantile is None or not len(samples):
        return ""
    beyond = len(samples) * min(samples.quantile, 1 - samples.quantile)
    return "" if beyond >= TAIL - 1e-9 else f"too few samples for an interval of p{samples.quantile * 100:g}"


def _width(band: Band) -> float:
    return band[1] - band[0]
