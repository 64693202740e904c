"""How the queue treated people."""

from __future__ import annotations

from typing import Final

from harness.sli.measured import Measured, Observations, percentile

_ENOUGH: Final = 0.95


def queue_admission_rate_per_s(seen: Observations) -> Measured:
    """Fans admitted per second, from the first to when 95 % of them were in: a few stragglers do not decide it."""
    admitted: dict[str, float] = {}
    for enter in seen.history.enters:
        if enter.ok:
            admitted.setdefault(enter.actor, enter.t_end_s)
    times = sorted(admitted.values())
    end = percentile(times, _ENOUGH)
    if end is None or end <= times[0]:
        return Measured(None, len(times), "too few admissions to see a rate" if times else "")
    inside = sum(1 for t_s in times if t_s <= end)
    return Measured((inside - 1) / (end - times[0]), len(times))
