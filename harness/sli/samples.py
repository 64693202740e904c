"""Samples behind an indicator: one entry per observation, with its user and its instant.

An indicator with samples can be measured over any stretch of the run, and its uncertainty follows from resampling the
users (`harness.sli.resampling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.sli.measured import Floats, Measured, percentile

Names = npt.NDArray[np.generic]
_KINDS: Final = ("fan", "lurker", "spectator", "bot", "operator")
_UNKNOWN_USER: Final = -1


@dataclass(frozen=True)
class Samples:
    """Observations of one quantity. All arrays have one entry per observation.

    `who`: the user of the observation; names are comparable between two runs of one seed. `t_s`: when it began, in s
    after T0. `quantile`: the statistic is this nearest-rank percentile of `value`. When it is null, the statistic is
    Σ`value` / Σ`base`: a share when each `value` is 0 or 1 and `base` is left out, which means 1.
    """

    who: Names
    t_s: Floats
    value: Floats
    quantile: float | None = None
    base: Floats | None = None
    note: str = ""

    def __len__(self) -> int:
        return len(self.value)

    def between(self, t_from_s: float, t_to_s: float) -> Samples:
        """The observations that began in [t_from_s, t_to_s)."""
        return self.take(np.flatnonzero((self.t_s >= t_from_s) & (self.t_s < t_to_s)))

    def take(self, chosen: npt.NDArray[np.intp]) -> Samples:
        """The observations at these indices."""
        base = None if self.base is None else self.base[chosen]
        return replace(self, who=self.who[chosen], t_s=self.t_s[chosen], value=self.value[chosen], base=base)

    def at(self, quantile: float) -> Samples:
        """The same observations with another percentile as their statistic."""
        return replace(self, quantile=quantile)

    @property
    def statistic(self) -> float | None:
        """The value of the indicator; null without observations."""
        if self.quantile is not None:
            return percentile(self.value, self.quantile)
        whole = float(len(self.value) if self.base is None else self.base.sum())
        return float(self.value.sum()) / whole if whole else None

    @property
    def measured(self) -> Measured:
        """The statistic with how many observations it rests on."""
        return Measured(self.statistic, len(self), self.note)


def share_of(rows: Sequence[tuple[str, float, bool]]) -> Samples:
    """Samples of a share: each row is (user, time in s after T0, whether the observation counts)."""
    return Samples(
        who=np.array([who for who, _, _ in rows], dtype=np.str_),
        t_s=np.array([t_s for _, t_s, _ in rows], dtype=np.float64),
        value=np.array([whether for _, _, whether in rows], dtype=np.float64),
    )


def share_among(who: pa.Array, t_s: Floats, whether: npt.NDArray[np.bool_]) -> Samples:
    """The same from arrays."""
    return Samples(who=names_of(who), t_s=t_s, value=whether.astype(np.float64))


def names_of(who: pa.Array | pa.ChunkedArray) -> Names:
    """The names as an array."""
    return np.array(who.to_pylist(), dtype=np.str_)


def users_of(requests: pa.Table) -> Names:
    """A number for the user of each request, or event. A summed request has no known user: it counts as one of its own,
    with a number below 0."""
    kinds = pc.index_in(requests["kind"], pa.array(_KINDS)).fill_null(len(_KINDS)).to_numpy()
    users = requests["user"].to_numpy().astype(np.int64)
    alone = -np.arange(1, len(users) + 1, dtype=np.int64)
    return np.where(users == _UNKNOWN_USER, alone, kinds.astype(np.int64) << 32 | (users & 0xFFFFFFFF))
