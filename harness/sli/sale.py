"""Decides whether the sale took place: fans waited, were admitted, could hold what they wanted, could buy.

The fans' operations decide. When fans' requests were answered and their operations are not in the record, it cannot be
decided; when no request was answered, no fan got in.
"""

from __future__ import annotations

from typing import Final

import pyarrow.compute as pc

from harness.record.schema import Outcome
from harness.sli.measured import Observations, of_locustfile
from harness.sli.measures.buyers import told_s

_QUEUE: Final = "queue"
_FAN: Final = "fan"
_SEATS: Final = "seats"


def did_not_take_place(seen: Observations) -> str:
    """One sentence on the first step that many fans tried and no fan got past; "" when the sale took place.

    Only fans count. A step that nobody tried says nothing, unless the step before it let somebody through.
    """
    history = seen.history
    if seen.has_no_adapter:
        return _nobody_answered(seen)
    came = seen.fans
    if not came or not_shown(seen):
        return ""
    if _QUEUE in seen.record.run.capabilities:
        placed = len(set(history.joins.ok.actors.to_pylist()))
        if not placed:
            return f"{came:,} fans came and nobody got a place in line"
        admitted = len(set(history.enters.ok.actors.to_pylist()))
        if not admitted:
            why = "none of them was drawn" if len(history.not_drawn) >= placed else "nobody was admitted"
            return f"{placed:,} fans waited and {why}"
        came = admitted
    if not len(history.askings.ok):
        entered = "were let in" if _QUEUE in seen.record.run.capabilities else "came"
        return (
            f"{came:,} fans {entered} and nobody could {'choose' if history.keeps_nothing else 'hold'} a {_goods(seen)}"
        )
    wanted = len(pc.unique(history.pays.actors.filter(pc.invert(history.pays.column("declined_on_purpose")))))
    if wanted and not told_s(history):
        return f"{wanted:,} fans wanted to pay and nobody was told that they have a ticket"
    return ""


def _nobody_answered(seen: Observations) -> str:
    """The same for users of a locustfile, who leave only requests: whether any was answered as expected."""
    requests = of_locustfile(seen.record.table("requests"))
    answered = pc.sum(pc.equal(requests["outcome"], Outcome.OK.value)).as_py()
    if answered or not requests.num_rows:
        return ""
    return f"none of {requests.num_rows:,} requests of the locustfile's users was answered as they expected"


def not_shown(seen: Observations) -> str:
    """One sentence on answered requests of fans without their operations in the record; "" when there are none."""
    requests = seen.record.table("requests")
    of_fans = pc.and_(pc.equal(requests["kind"], _FAN), pc.equal(requests["outcome"], Outcome.OK.value))
    answered = requests.filter(of_fans)["step"]
    history = seen.history
    asked = {"choose": history.choices} if history.keeps_nothing else {"hold": history.holds}
    recorded = {"join": history.joins, "enter": history.enters, **asked, "pay": history.pays}
    if answered and not any(map(len, (*recorded.values(), history.looks, history.stocks))):
        return f"{len(answered):,} requests of fans were answered, and the record has no operation of a fan"
    for step, operations in recorded.items():
        count = pc.sum(pc.equal(answered, step)).as_py() or 0
        if count and not len(operations):
            return f"{count:,} requests of fans to {step} were answered, and the record has no such operation"
    return ""


def _goods(seen: Observations) -> str:
    """What this platform sells, in a word."""
    return "seat" if _SEATS in seen.record.run.capabilities else "ticket"
