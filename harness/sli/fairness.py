"""How the queue treated people, and how many of the seats went to people."""

from __future__ import annotations

from typing import Final

from harness.record.schema import BOT_ACTOR
from harness.sli.measured import Measured, Observations, percentile, ratio

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


def bot_share_of_seats(seen: Observations) -> Measured:
    """Seats that bots were told are theirs, of all seats that anybody was told are theirs. Null when no bots came.

    A seat counts once for bots and once for fans, however many of them were told.
    """
    if not seen.bots:
        return Measured(None, 0, "no bots were sent")
    evidence = seen.everybody
    told = [(pay.actor, pay.value.seats) for pay in evidence.pays if pay.ok and pay.value.state == "confirmed"]
    told += [(look.actor, look.value.seats) for look in evidence.lookups if look.ok and look.value.state == "confirmed"]
    bots = {seat for actor, seats in told if actor.startswith(BOT_ACTOR) for seat in seats}
    fans = {seat for actor, seats in told if not actor.startswith(BOT_ACTOR) for seat in seats}
    return ratio(len(bots), len(bots) + len(fans))
