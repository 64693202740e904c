"""Measures fairness: the admission rate of the queue, and the share of seats that bots got."""

from __future__ import annotations

import math
from collections.abc import Set
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import BOT_ACTOR
from harness.sli.measured import Measured, Observations, ratio
from harness.sli.sold_out import seen_empty, told_in_line

_ENOUGH: Final = 0.95


def queue_admission_rate_per_s(seen: Observations) -> Measured:
    """Fans admitted per second, from the first admission until 95 % of the fans who had asked to join were in.

    Fans whose lot was not drawn are left out, and so are those whose access code or identity had let another fan in.

    The last 5 % are left out so that a few stragglers do not decide the rate. When more fans than these were never
    admitted, the time runs on for as long as they waited: a queue that admits nobody while fans wait has a rate of 0
    per second. It ends when fans are told in the line that nothing is left, if a map showed so too.
    """
    came, admitted = seen.history.joins.first_invoked_s, seen.history.enters.ok.first_ended_s
    waited = came.keys() - admitted.keys() - seen.history.not_drawn - seen.history.turned_away
    times = sorted(admitted.values())
    if not times:
        note = f"{len(waited):,} fans waited and nobody was admitted" if waited else ""
        return Measured(0.0 if waited else None, len(waited), note)
    enough = math.ceil(_ENOUGH * (len(times) + len(waited)))
    end = times[enough - 1] if enough <= len(times) else max(times[-1], _waited_until_s(seen, waited))
    end = min(end, _sold_out_s(seen))
    if end <= times[0]:
        return Measured(None, len(times), "too few admissions to see a rate")
    inside = sum(1 for t_s in times if t_s <= end)
    note = f"{len(waited):,} fans were never admitted" if enough > len(times) else ""
    return Measured((inside - 1) / (end - times[0]), len(times), note)


def _sold_out_s(seen: Observations) -> float:
    """When those who wait were first told that nothing is left, and a map or the stock showed it; infinite: never."""
    told = told_in_line(seen)
    return max(_earliest(told), _earliest(seen_empty(seen))) if told else math.inf


def _earliest(times: dict[str, list[float]]) -> float:
    return min((t_s for of_one in times.values() for t_s in of_one), default=math.inf)


def _waited_until_s(seen: Observations, waited: Set[str]) -> float:
    """When the last of these fans was last seen at the queue; the end of the run when the record does not show it.

    A request that is summed up may be of any of them.
    """
    theirs = pa.array(["", *sorted(waited)], pa.string())
    requests = seen.requests.filter(pc.is_in(seen.requests["actor"], value_set=theirs))
    last_s = pc.max(requests["t_end_s"]).as_py()
    return min(seen.duration_s, last_s) if last_s is not None else seen.duration_s


def bot_share_of_seats(seen: Observations) -> Measured:
    """Share of the confirmed seats that the platform confirmed to bots. Null when no bots came.

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
