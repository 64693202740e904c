"""The buyers' journey as a funnel: how many reached each step, how many did not, and what stopped them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from harness.record.schema import Function, Struct
from reports import text
from reports.view import words
from reports.view.frames import BUYERS, Floats, Frames

_MOST_REASONS: Final = 4
_CONFIRMED: Final = r'"state":\s*"confirmed"'
_PENDING: Final = r'"state":\s*"pending"'


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
    """Who reached a step, and the last reason of each who tried in vain. Sets are of users or of actors."""

    title: str
    reached: int
    reasons: dict[str, int]


def funnel(frames: Frames) -> tuple[FunnelRow, ...]:
    """The journey of all buyers; empty when none set out."""
    stages = (
        _of_requests(frames.requests, "Queue page", "queue_page"),
        _of_operations(frames.operations, "Joined the queue", Function.JOIN),
        _of_operations(frames.operations, "Admitted", Function.ENTER),
        _of_requests(frames.requests, "Saw the seat map", "seat_map"),
        _of_operations(frames.operations, "Held seats", Function.HOLD),
        _paid(frames.operations),
        _ticketed(frames.operations),
    )
    if not any(stage.reached for stage in stages):
        return ()
    widest = max(stage.reached for stage in stages)
    before = [None, *stages[:-1]]
    return tuple(_row(stage, previous, widest) for stage, previous in zip(stages, before, strict=True))


def first_times(operations: pd.DataFrame) -> dict[str, Floats]:
    """Sorted completion times of each actor's first success: join, enter, hold and ticket."""
    succeeded = operations[operations["outcome"] == "ok"]
    steps = (Function.JOIN, Function.ENTER, Function.HOLD)
    found = {str(step): _firsts(succeeded[succeeded["function"] == step]) for step in steps}
    return {**found, "ticket": _firsts(_confirmations(succeeded))}


def _firsts(rows: pd.DataFrame) -> Floats:
    return np.sort(rows.groupby("actor")["t_complete_s"].min().dropna().to_numpy(dtype=np.float64))


def _confirmations(succeeded: pd.DataFrame) -> pd.DataFrame:
    rows = succeeded[succeeded["function"].isin([Function.PAY, Function.ORDER])]
    return rows[rows["value"].str.contains(_CONFIRMED, regex=True)]


def _of_requests(requests: pd.DataFrame, title: str, step: str) -> _Stage:
    rows = requests[requests["kind"].isin(BUYERS) & (requests["step"] == step)].sort_values("t_start_s")
    return _tried(rows, title, ["kind", "worker", "user"])


def _of_operations(operations: pd.DataFrame, title: str, function: Function) -> _Stage:
    rows = operations[operations["function"] == function].sort_values("t_invoke_s")
    return _tried(rows, title, ["actor"])


def _tried(rows: pd.DataFrame, title: str, who: list[str]) -> _Stage:
    """Rows in the order of time: who succeeded at least once, and the last error of everybody else."""
    last = rows.assign(ok=rows["outcome"] == "ok").groupby(who).agg(ok=("ok", "any"), error=("error", "last"))
    return _Stage(title, int(last["ok"].sum()), _tally(last.loc[~last["ok"], "error"]))


def _paid(operations: pd.DataFrame) -> _Stage:
    """Reached: who asked to pay, whatever came of it. The rest: released their seats, or never asked."""
    held = _actors(operations, Function.HOLD, ok=True)
    paid = _actors(operations, Function.PAY)
    released = (_actors(operations, Function.RELEASE) & held) - paid
    return _Stage("Asked to pay", len(paid), {"released the seats": len(released)} if released else {})


def _ticketed(operations: pd.DataFrame) -> _Stage:
    tickets = set(_confirmations(operations[operations["outcome"] == "ok"])["actor"])
    rows = operations[(operations["function"] == Function.PAY) & ~operations["actor"].isin(tickets)]
    pending = (rows["outcome"] == "ok") & rows["value"].str.contains(_PENDING, regex=True)
    last = rows["error"].where(~pending, "pending").groupby(rows["actor"]).last()
    return _Stage("Has a ticket", len(tickets), _tally(last))


def _actors(operations: pd.DataFrame, function: Function, *, ok: bool = False) -> set[str]:
    rows = operations[operations["function"] == function]
    return set(rows.loc[rows["outcome"] == "ok", "actor"] if ok else rows["actor"])


def _tally(errors: pd.Series) -> dict[str, int]:
    return {words.reason(str(error)): int(n) for error, n in errors.value_counts().sort_index(kind="stable").items()}


def _row(stage: _Stage, previous: _Stage | None, widest: int) -> FunnelRow:
    lost = 0 if previous is None else max(0, previous.reached - stage.reached)
    tried = sum(stage.reasons.values())
    reasons = sorted(stage.reasons.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{text.count(n)} {why}" for why, n in reasons[:_MOST_REASONS]]
    others = tried - sum(n for _, n in reasons[:_MOST_REASONS])
    parts += [f"{text.count(others)} for other reasons"] if others > 0 else []
    parts += [f"{text.count(lost - tried)} made no attempt before the end"] if lost > tried else []
    return FunnelRow(
        title=stage.title,
        reached=text.count(stage.reached),
        share=text.share(stage.reached, widest),
        width_percent=round(100 * stage.reached / widest, 2),
        lost=f"−{text.count(lost)}" if lost else "",
        reasons=", ".join(parts),
    )
