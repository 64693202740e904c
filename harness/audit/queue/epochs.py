"""Finds queues that change epochs so often, or for each fan apart, that their order could never be checked.

A queue names a new epoch when it lost its data, or put fans in before others. Then the new one is everybody's. A
platform that names one whenever it likes, or to each fan another, would never be seen to break an order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.audit.history import Evidence

BEGUN_WITHIN_S: Final = 10.0
"""So long after a fault or a parked join fans may still be put back into the line, which begins an epoch each time."""
EPOCHS_MAX: Final = 3
"""So many may follow one another without a fault: a queue may also lose its data by itself."""
_SOON_S: Final = 1.0
_LATE_RATIO: Final = 0.1  # of what is told, so much may still be of the epoch before
_LATE_MIN: Final = 3
_ALONE_MIN: Final = 3
Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


def line_of(epoch: str) -> str:
    """The line that an epoch is of: the reference system tells places of "E.N", where N counts the fans who were put in
    before others.
    """
    return epoch.partition(".")[0]


def not_common(evidence: Evidence, actors: Ints, epochs: Ints, t_s: Floats) -> str:
    """Why what fans were told at these instants cannot be compared; "" where it can.

    On any platform: at least half of the fans shared no epoch with anybody. On the reference system, which has one
    line: in one time without a fault there were more than `EPOCHS_MAX` epochs, or they did not follow one another.
    """
    if evidence.on_sale is not None:
        for told in _undisturbed(evidence, epochs, t_s):
            names = len(np.unique(told))
            if names > EPOCHS_MAX:
                return f"{names} epochs were told within a time in which nothing was lost"
            returns = np.count_nonzero(np.diff(told)) - (names - 1)
            if returns > max(_LATE_MIN, _LATE_RATIO * len(told)):
                return f"{names} epochs were told side by side, though nothing was lost"
    return _alone(actors, epochs)


def _alone(actors: Ints, epochs: Ints) -> str:
    width = int(epochs.max(initial=0)) + 1
    pairs = np.unique(actors.astype(np.int64) * width + epochs)
    of_fan, of_epoch = pairs // width, pairs % width
    everybody = len(np.unique(of_fan))
    alone = everybody - len(np.unique(of_fan[np.bincount(of_epoch)[of_epoch] > 1]))
    many = alone >= max(_ALONE_MIN, everybody / 2)
    return f"{alone} of {everybody} fans were told of epochs that nobody else was told of" if many else ""


def _undisturbed(evidence: Evidence, epochs: Ints, t_s: Floats) -> Iterator[Ints]:
    """The epochs in the order in which they were told, of each stretch of time in which nothing may have been lost."""
    order = np.argsort(t_s, kind="stable")
    epochs, t_s = epochs[order], t_s[order]
    stretch = np.zeros(len(t_s), dtype=np.int64)
    inside = np.zeros(len(t_s), dtype=bool)
    for from_s, to_s in _disturbances(evidence):
        stretch += t_s > to_s
        inside |= (t_s >= from_s) & (t_s <= to_s)
    epochs, stretch = epochs[~inside], stretch[~inside]
    yield from (epochs[stretch == one] for one in np.unique(stretch))


def _disturbances(evidence: Evidence) -> Iterator[tuple[float, float]]:
    for fault in evidence.record.faults.faults:
        start_s, end_s = fault.may_be_in_force_s
        yield start_s - _SOON_S, end_s + BEGUN_WITHIN_S
    parked = evidence.joins.where(evidence.joins.column("parked"))
    yield from zip(parked.t_invoke_s.tolist(), (parked.t_end_s + BEGUN_WITHIN_S).tolist(), strict=True)
