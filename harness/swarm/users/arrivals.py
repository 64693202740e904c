"""When each user comes: the shape of the load as a pure function of the scenario and the user's index.

Users of one worker are neighbours by index, so what is spread in time is spread over the workers as well: the places in
time follow the golden ratio, the sequence of lowest discrepancy (Knuth, TAOCP 3, §6.4, multiplicative hashing).
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from harness.scenario import Arrivals, Scenario

_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0


class Arrival(msgspec.Struct, frozen=True):
    """`after_s`: after T0. `together`: with others at the very same instant."""

    after_s: float
    together: bool = True


AT_T0: Final = Arrival(0.0)


def arrival_of(scenario: Scenario, index: int) -> Arrival:
    """When user number `index` of any kind comes, spectators aside."""
    return arrival(scenario.load.arrivals, index, scenario.duration_s)


def arrival(arrivals: Arrivals, index: int, duration_s: float) -> Arrival:
    """When number `index` comes in a run of that length."""
    hums_before = math.floor(index * arrivals.hum_ratio)
    if math.floor((index + 1) * arrivals.hum_ratio) > hums_before:
        return _spread(hums_before, duration_s)
    rank = index - hums_before
    late_before = math.floor(rank * arrivals.surge_ratio)
    if math.floor((rank + 1) * arrivals.surge_ratio) > late_before:
        return _surging(arrivals, late_before)
    rank -= late_before
    match arrivals.shape:
        case "step":
            return AT_T0
        case "waves":
            return Arrival(arrivals.waves_s[rank % len(arrivals.waves_s)])
        case "ramp":
            return _spread(rank, arrivals.ramp_s)


def _surging(arrivals: Arrivals, rank: int) -> Arrival:
    """Squared: rather at the beginning."""
    share = (rank + 1) * _GOLDEN % 1.0
    return Arrival(arrivals.surge_at_s + share**2 * arrivals.surge_s, together=False)


def _spread(rank: int, length_s: float) -> Arrival:
    return Arrival((rank + 1) * _GOLDEN % 1.0 * length_s, together=False)
