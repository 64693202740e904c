"""Measures buyers: fans who wanted to buy, fans who were told of a ticket, and fans for whom seats were left.

A fan counts as wanting to buy when the fan joins the line, looks at the map, asks for seats or pays. Three groups of
fans do not count: fans who gave back or abandoned every hold that they got without trying to pay, fans who paid only
with a card that is declined on purpose, and fans whose access code or identity had let another fan in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import LookValue, Operation, Operations, StockValue, Value
from harness.sli.measured import Observations, percentile
from harness.sli.samples import Samples, share_of
from harness.sli.seat_changes import sold_out_falsely

_MOST: Final = 0.95


class Buyer(msgspec.Struct, frozen=True, gc=False):
    """One fan who wanted to buy. Times are in s; null means that it did not happen.

    `t_in_s`: when the fan could first ask for seats. `told`: the platform told the fan that an order is confirmed.
    `seat_left`: the fan had seats, or some were left to ask for.
    """

    actor: str
    t_came_s: float
    t_in_s: float | None
    t_pay_s: float | None
    told: bool
    seat_left: bool


def checkout_completion_ratio(seen: Observations) -> Samples:
    """Share of buyers who were told that they have a ticket, among buyers who were let in while a seat was left.

    Fans without a ticket who began to pay, or were let in, very late do not count: so late that most buyers would not
    have had a ticket by the end of the run. A longer run would count them; the note says how many they are.
    """
    found = buyers(seen)
    first_s = told_s(seen.history)
    took_s = [first_s[one.actor] - one.t_in_s for one in found if one.told and one.t_in_s is not None]
    latest_s = seen.duration_s - (percentile(took_s, _MOST) or 0.0)
    wanted = [one for one in found if one.told or (one.seat_left and one.t_in_s is not None)]
    counted = [one for one in wanted if one.told or _began_s(one) <= latest_s]
    samples = share_of([(one.actor, _began_s(one), one.told) for one in counted])
    return replace(samples, note=_left_out(len(wanted) - len(counted), latest_s))


def _left_out(late: int, latest_s: float) -> str:
    if not late:
        return ""
    fans = "1 fan" if late == 1 else f"{late:,} fans"
    since = f"after T+{latest_s:.1f} s, too late" if latest_s > 0.0 else "too late"
    return f"left out: {fans} who began {since} to have a ticket by the end of the run; a longer run counts them"


def empty_handed_ratio(seen: Observations) -> Samples:
    """Share of buyers who were never told that they have a ticket.

    Fans whose lot was not drawn are left out, because the sale's own rule turned them away.
    """
    out = seen.history.not_drawn
    return share_of([(one.actor, one.t_came_s, not one.told) for one in buyers(seen) if one.actor not in out])


def buyers(seen: Observations) -> tuple[Buyer, ...]:
    """Every fan who wanted to buy, in the order in which they came."""
    return seen.once("buyers", lambda: tuple(_buyers(seen)))


def _buyers(seen: Observations) -> Iterator[Buyer]:
    history = seen.history
    came = _firsts(history.joins, history.looks, history.stocks, history.askings, history.pays)
    inside = _firsts(history.enters.ok, history.looks, history.stocks, history.askings, history.pays)
    pays = _firsts(history.pays)
    told = told_s(history).keys()
    held = set(history.holds.ok.actors.to_pylist())
    chose = set(history.askings.ok.actors.to_pylist())
    good = set(history.pays.actors.filter(pc.invert(history.pays.column("declined_on_purpose"))).to_pylist())
    left_empty = _left_empty(seen)
    sold_out = _sold_out(history)
    away = history.turned_away
    for actor, t_came_s in sorted(came.items(), key=lambda item: item[1]):
        changed_their_mind = (actor in chose or actor in pays) and actor not in good
        if (changed_their_mind and actor not in told) or actor in away:
            continue
        yield Buyer(
            actor=actor,
            t_came_s=t_came_s,
            t_in_s=inside.get(actor),
            t_pay_s=pays.get(actor),
            told=actor in told,
            seat_left=actor in held or not (sold_out or actor in left_empty),
        )


def _sold_out(history: Evidence) -> bool:
    """Whether the platform shows at rest that nothing is free any more."""
    if not history.seats and not history.stock_at_rest:
        return False
    pools_free = any(pool.free is None or pool.free > 0 for pool in history.stock_at_rest.values())
    return not pools_free and not any(state == "free" for _, state in history.seats)


def _began_s(buyer: Buyer) -> float:
    """When each fan's checkout began: at the first payment, else when the fan was let in."""
    return next(t_s for t_s in (buyer.t_pay_s, buyer.t_in_s, buyer.t_came_s) if t_s is not None)


def _left_empty(seen: Observations) -> set[str]:
    """Fans whose last look at the map showed nothing that they wanted, unless a seat was free all that time."""
    last: dict[str, Operation[LookValue] | Operation[StockValue]] = {}
    for look in seen.history.looks.ok:
        last[look.actor] = look
    for stock in seen.history.stocks.ok:
        last[stock.actor] = stock
    askings = seen.history.askings
    for actor, t_s in zip(askings.actors.to_pylist(), askings.t_invoke_s.tolist(), strict=True) if last else ():
        look_before = last.get(actor)
        if look_before is not None and t_s >= look_before.t_invoke_s:
            del last[actor]
    empty = [(look.t_invoke_s, look.t_end_s) for look in last.values() if look.value.free == 0]
    false = sold_out_falsely(empty, seen.seat_changes, seen.seats_on_sale)
    return {actor for actor, look in last.items() if (look.t_invoke_s, look.t_end_s) not in false}


def told_s(history: Evidence) -> dict[str, float]:
    """Actor → when they were first told that an order of theirs is confirmed."""
    return history.once("told_s", lambda: _told_s(history))


def _told_s(history: Evidence) -> dict[str, float]:
    found: dict[str, float] = {}
    for answers in (history.pays.ok, history.lookups.ok):
        confirmed = answers.where(pc.equal(answers.column("state"), "confirmed"))
        for actor, t_s in confirmed.first_ended_s.items():
            found[actor] = min(t_s, found.get(actor, np.inf))
    return found


def _firsts(*histories: Operations[Value]) -> dict[str, float]:
    """Actor → when the actor's first operation of these kinds began."""
    first: dict[str, float] = {}
    for operations in histories:
        for actor, t_s in operations.first_invoked_s.items():
            first[actor] = min(t_s, first.get(actor, np.inf))
    return first
