"""Computes how many connections a canary must probe to see a fault that hits only a share of them. Pure.

The chance that none of n independent connections is hit by p percent is (1 − p/100)ⁿ; n is chosen so that it is below
one in a thousand.
"""

from __future__ import annotations

import math
from typing import Final

MISSED_RATIO: Final = 0.001
"""How likely it may be that a canary sees nothing of a fault that is in force."""
SOCKETS_MIN: Final = 12
SOCKETS_MAX: Final = 200
"""More connections would be a load of their own."""


def looks_for(percent: float) -> int:
    """How many connections must be probed, 1 or more."""
    if percent >= 100:
        return 1
    return max(1, math.ceil(math.log(MISSED_RATIO) / math.log1p(-percent / 100)))


def sockets_for(percent: float, times: int) -> int:
    """How many connections must be held when that percentage of them is cut `times` times."""
    return max(SOCKETS_MIN, math.ceil(looks_for(percent) / times))
