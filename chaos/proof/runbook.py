"""When the sale was well again after a person followed the runbook, from the operations of fans. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import BOT_ACTOR, PROBE_ACTOR, FaultRun, Outcome
from harness.record.verdict import RunbookResult

WINDOW_S: Final = 2.0
LEAST: Final = 5
"""So many operations must begin in a window before it says something."""
_TOLERATED: Final = 0.05
_RATE_RATIO: Final = 0.5
_STEP_S: Final = 0.1
Floats = npt.NDArray[np.float64]


def runbook_result(run: FaultRun, operations: pa.Table) -> RunbookResult | None:
    """The times of the person who followed the runbook; None where nobody did."""
    times = run.runbook_times
    if times is None:
        return None
    ended_s = run.t_heal_requested_s if run.t_healed_s is None else run.t_healed_s
    recovered_s = None
    if run.t_requested_s is not None and ended_s is not None:
        recovered_s = well_again_s(operations, run.t_requested_s, ended_s)
    return RunbookResult(
        alert_s=run.t_effective_s,
        acknowledged_s=times.acknowledged_s,
        mitigated_s=times.mitigated_s,
        recovered_s=recovered_s,
        said=times.said,
        within_s=times.within_s,
    )


def well_again_s(operations: pa.Table, broken_s: float, from_s: float) -> float | None:
    """The first time from `from_s` on from which fans' operations end well as often as before `broken_s`.

    Of the operations that begin in the two seconds after it, the share that ended ok is at most five hundredths below
    that before the fault, and at least half as many in a second did: while nobody is called in, few begin. None when
    that was never seen, or nothing was before the fault.
    """
    begun_s, well = _fans(operations)
    before = well[begun_s < broken_s]
    if len(before) < LEAST:
        return None
    wanted = float(before.mean()) - _TOLERATED
    least = max(LEAST, _RATE_RATIO * WINDOW_S * float(before.sum()) / (broken_s - float(begun_s.min())))
    last_s = float(begun_s.max()) - WINDOW_S
    for t_s in np.arange(from_s, last_s + _STEP_S, _STEP_S):
        seen = well[(begun_s >= t_s) & (begun_s < t_s + WINDOW_S)]
        if float(seen.sum()) >= least and float(seen.mean()) >= wanted:
            return round(float(t_s), 4)
    return None


def _fans(operations: pa.Table) -> tuple[Floats, Floats]:
    """Of each operation of a fan: when it began, and whether it ended ok."""
    others = pc.or_(*(pc.starts_with(operations["actor"], name) for name in (BOT_ACTOR, PROBE_ACTOR)))
    ours = operations.filter(pc.invert(others))
    well = pc.equal(ours["outcome"], Outcome.OK.value)
    return ours["t_invoke_s"].to_numpy(), well.to_numpy(zero_copy_only=False).astype(np.float64)
