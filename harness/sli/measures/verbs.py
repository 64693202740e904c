"""Measures how long fans waited for a verb: from when the fan meant to begin until the fan knew how it ended.

One verb may take many requests, and people wait for all of them. So the time is that of the operation, from its
intention to its completion. An operation without an answer lasted until its last request was given up. Operations whose
request was refused (a server error, a refused connection) are left out: refusals come at once and would make the figure
look better. "Taken", "declined" and the like are answers and count.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import WITHHELD, Function, Outcome
from harness.sli.measured import Observations
from harness.sli.samples import Samples, names_of

FUNCTIONS: Final = {
    "join": Function.JOIN,
    "seat_map": Function.LOOK,
    "stock": Function.STOCK,
    "hold": Function.HOLD,
    "choose": Function.CHOOSE,
    "pay": Function.PAY,
    "order": Function.ORDER,
}
"""The verbs whose time is measured, see `harness.registry.indicators.STEPS`."""
_ANSWERS: Final = pa.array(["conflict", "declined", "expired", "limit", "missing", WITHHELD])
_NO_WAIT: Final = pa.array(["adapter", "status", "stopped"])
"""Errors of operations that end unknown and of which nobody waited for an answer: the server gave one, an adapter
crashed, the run ended."""


def verb_samples(seen: Observations, step: str, quantile: float) -> Samples:
    """How long each fan's operations of a verb took, in ms. They are looked for once, whatever the percentile."""
    return seen.once(f"waits for {step}", lambda: _verb_samples(seen, step)).at(quantile)


def _verb_samples(seen: Observations, step: str) -> Samples:
    of_verb = pc.equal(seen.operations["function"], FUNCTIONS[step].value)
    waits = waited(seen.operations.filter(of_verb), seen.record.table("requests"))
    took_ms = pc.multiply(pc.subtract(waits["t_end_s"], waits["t_intended_s"]), 1000.0).to_numpy()
    who = names_of(waits["actor"])
    return Samples(who, waits["t_invoke_s"].to_numpy(), took_ms)


def waited(operations: pa.Table, requests: pa.Table) -> pa.Table:
    """The operations that a fan waited for, with `t_end_s`: when the wait was over."""
    outcome, error = operations["outcome"], operations["error"]
    answered = pc.or_(pc.equal(outcome, Outcome.OK.value), pc.is_in(error, value_set=_ANSWERS))
    unknown = pc.and_(pc.equal(outcome, Outcome.UNKNOWN.value), pc.invert(pc.is_in(error, value_set=_NO_WAIT)))
    chosen = operations.filter(pc.or_(answered, unknown))
    lacking = chosen["t_complete_s"].null_count
    ends = chosen["t_complete_s"]
    if lacking:
        served = requests.filter(pc.is_valid(requests["op"]))
        last = served.group_by(["worker", "op"]).aggregate([("t_end_s", "max")])
        by_op = dict(zip(_pairs(last), last["t_end_s_max"].to_pylist(), strict=True))
        given_up = pa.array([by_op.get(pair) for pair in _pairs(chosen)], pa.float64())
        ends = pc.coalesce(ends, given_up)
    ended = chosen.append_column("t_end_s", ends)
    return ended.filter(pc.is_valid(ended["t_end_s"]))


def _pairs(rows: pa.Table) -> list[tuple[int, int]]:
    return list(zip(rows["worker"].to_pylist(), rows["op"].to_pylist(), strict=True))
