"""The buyers' journey as a funnel: how many reached each step, how many did not, and what stopped them.

Every buyer who is lost at a step is lost for one reason. What became of a payment is read from the order export at rest
where there is one, as the table of money does, so that the two agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np
import pandas as pd

from harness.audit.history import Evidence
from harness.record.reader import Record
from harness.record.schema import Function, Struct
from reports import text
from reports.view import words
from reports.view.frames import BUYERS, Floats, Frames

_MOST_REASONS: Final = 4
_CONFIRMED: Final = r'"state":\s*"confirmed"'


class FunnelRow(Struct, frozen=True):
    """One step of the funnel. `width_percent` is of the first step; `lost` of the step before."""

    title: str
    reached: str
    share: str
    width_percent: float
    lost: str
    reasons: str


@dataclass(frozen=True, slots=True)
class _Stage:
    """Who reached a step, by name, and the last reason of each who tried in vain."""

    title: str
    reached: Set[str]
    reasons: dict[str, str]


class _Look(msgspec.Struct, frozen=True):
    free: int | None = None
    theirs: int | None = None
    pools: dict[str, int | None] = {}


def funnel(record: Record, frames: Frames) -> tuple[FunnelRow, ...]:
    """The journey of all buyers; empty when none set out."""
    stages = tuple(_stages(record, frames))
    if not any(stage.reached for stage in stages):
        return ()
    widest = max(len(stage.reached) for stage in stages)
    before = [None, *stages[:-1]]
    return tuple(_row(stage, previous, widest) for stage, previous in zip(stages, before, strict=True))


def _stages(record: Record, frames: Frames) -> Iterator[_Stage]:
    """The steps that this platform has, by its capabilities."""
    operations, shown, evidence = frames.operations, record.run.capabilities, Evidence(record)
    queues, sells_seats, sells_stock = (name in shown for name in ("queue", "seats", "stock"))
    theirs = operations[operations["actor"].str.startswith(tuple(f"{kind}-" for kind in BUYERS))]
    began = _names(theirs["actor"])
    held = _names(theirs.loc[theirs["function"].isin([Function.HOLD, Function.CHOOSE]), "actor"])
    yield _of_requests(frames.requests, "Queue page" if queues else "First page", began, "queue_page")
    if queues:
        yield _of_operations(operations, "Joined the queue", Function.JOIN)
        yield _admitted(operations, evidence)
    if sells_stock:
        title = "Saw what is left" if not sells_seats else "Saw the seat map, or what is left"
        yield _of_requests(frames.requests, title, held, *(["seat_map"] if sells_seats else []), "stock")
    else:
        yield _of_requests(frames.requests, "Saw the seat map", held, "seat_map")
    goods = "tickets" if sells_stock else "seats"
    if evidence.keeps_nothing:
        yield _asked(operations, f"Chose {goods}", Function.CHOOSE)
    else:
        yield _asked(operations, f"Held {goods}", Function.HOLD)
    yield _paid(operations)
    yield _ticketed(evidence, exported=record.has("final_orders"))


def first_times(operations: pd.DataFrame) -> dict[str, Floats]:
    """Sorted completion times of each actor's first success: join, enter, hold (or choice) and ticket."""
    succeeded = operations[operations["outcome"] == "ok"]
    steps = {"join": Function.JOIN, "enter": Function.ENTER, "hold": Function.HOLD}
    if Function.CHOOSE in set(succeeded["function"]):
        steps["hold"] = Function.CHOOSE
    found = {name: _firsts(succeeded[succeeded["function"] == step]) for name, step in steps.items()}
    return {**found, "ticket": _firsts(_confirmations(succeeded))}


def _firsts(rows: pd.DataFrame) -> Floats:
    return np.sort(rows.groupby("actor")["t_complete_s"].min().dropna().to_numpy(dtype=np.float64))


def _confirmations(succeeded: pd.DataFrame) -> pd.DataFrame:
    rows = succeeded[succeeded["function"].isin([Function.PAY, Function.ORDER])]
    return rows[rows["value"].str.contains(_CONFIRMED, regex=True)]


def _of_requests(requests: pd.DataFrame, title: str, further: Set[str], *steps: str) -> _Stage:
    """A stage that only requests show. Of fans whose requests are summed up those reached it who came further."""
    rows = requests[requests["kind"].isin(BUYERS) & requests["step"].isin(steps)].sort_values("t_start_s")
    named = rows["actor"] != ""
    stage = _tried(rows[named], title)
    return stage if named.all() else replace(stage, reached=stage.reached | further)


def _of_operations(operations: pd.DataFrame, title: str, function: Function) -> _Stage:
    return _tried(operations[operations["function"] == function].sort_values("t_invoke_s"), title)


def _tried(rows: pd.DataFrame, title: str) -> _Stage:
    """Rows in the order of time: who succeeded at least once, and the last error of everybody else."""
    reached = _names(rows.loc[rows["outcome"] == "ok", "actor"])
    last = rows.groupby("actor")["error"].last()
    errors = zip(last.index.to_numpy(object), last.to_numpy(object), strict=True)
    return _Stage(title, reached, {str(a): words.reason(str(e)) for a, e in errors if a not in reached})


def _admitted(operations: pd.DataFrame, evidence: Evidence) -> _Stage:
    """The stage *Admitted*. Fans who were turned away in the queue are lost here; they never asked to go in."""
    stage = _of_operations(operations, "Admitted", Function.ENTER)
    told = evidence.events("positions", ("refused",), ("actor", "key"))
    turned_away = {actor: words.reason(why) for actor, why in zip(*told.to_pydict().values(), strict=True)}
    return _Stage(stage.title, stage.reached, turned_away | stage.reasons)


def _asked(operations: pd.DataFrame, title: str, function: Function) -> _Stage:
    """A stage of choosing. Fans who looked and asked for nothing had nothing that suited them, or left."""
    stage = _of_operations(operations, title, function)
    looking = operations["function"].isin([Function.LOOK, Function.STOCK])
    looks = operations[looking & (operations["outcome"] == "ok")]
    last = looks.sort_values("t_invoke_s").groupby("actor")["value"].last()
    seen = {
        str(actor): words.reason("sold_out" if _free(str(value)) == 0 else "nothing_suitable")
        for actor, value in zip(last.index.to_numpy(object), last.to_numpy(object), strict=True)
        if actor not in stage.reached
    }
    return _Stage(stage.title, stage.reached, seen | stage.reasons)


def _free(value: str) -> int | None:
    look = msgspec.json.decode(value, type=_Look)
    known = [free for free in look.pools.values() if free is not None]
    of_map = look.free if look.theirs is None else look.theirs
    return sum(known) if look.pools and len(known) == len(look.pools) else of_map


def _paid(operations: pd.DataFrame) -> _Stage:
    """Reached: who asked to pay, whatever came of it. The rest: released their seats, or never asked."""
    paid = _actors(operations, Function.PAY)
    released = _actors(operations, Function.RELEASE) - paid
    return _Stage("Asked to pay", paid, dict.fromkeys(released, "gave them back"))


def _ticketed(evidence: Evidence, *, exported: bool) -> _Stage:
    """By the order export at rest, where there is one; else by the last that fans were told."""
    told = {look.key: look.value.state for look in evidence.lookups.ok}
    ends: dict[str, str] = {}
    for pay in evidence.pays:
        order = evidence.order_of(pay.value.order_id, pay.key)
        if order is not None:
            end = order.state
        elif pay.ok:
            end = "lost" if exported else told.get(pay.value.order_id, pay.value.state)
        else:
            end = pay.error or pay.outcome.value
        if ends.get(pay.actor) != "confirmed":
            ends[pay.actor] = end
    tickets = {actor for actor, end in ends.items() if end == "confirmed"}
    return _Stage("Has a ticket", tickets, {actor: words.reason(end) for actor, end in ends.items()})


def _actors(operations: pd.DataFrame, function: Function) -> set[str]:
    return _names(operations.loc[operations["function"] == function, "actor"])


def _names(actors: pd.Series) -> set[str]:
    """The different ones; pandas makes text of a column at once much faster than one after another."""
    return set(actors.to_numpy(object))


def _row(stage: _Stage, previous: _Stage | None, widest: int) -> FunnelRow:
    lost = set() if previous is None else previous.reached - stage.reached
    why = Counter(stage.reasons.get(actor, "made no attempt before the end") for actor in lost)
    ranked = sorted(why.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{text.count(count)} {reason}" for reason, count in ranked[:_MOST_REASONS]]
    others = len(lost) - sum(count for _, count in ranked[:_MOST_REASONS])
    parts += [f"{text.count(others)} for other reasons"] if others else []
    return FunnelRow(
        title=stage.title,
        reached=text.count(len(stage.reached)),
        share=text.share(len(stage.reached), widest),
        width_percent=round(100 * len(stage.reached) / widest, 2),
        lost=f"−{text.count(len(lost))}" if lost else "",
        reasons=", ".join(parts),
    )
