"""When the load generator stood still, by its own rows of health."""

from __future__ import annotations

from typing import Final

import msgspec
import pyarrow as pa

STANDSTILL_MIN_S: Final = 0.5
"""A loop that stands still for a shorter time is only late."""
ROW_S: Final = 1.0
"""A worker writes a row at the end of each second."""


class Lateness(msgspec.Struct, frozen=True, gc=False):
    """A row of a worker at `t_s`, the one before it, and how long the loop stood still between them.

    A loop that stood still shows as the row's longest lag or, where rows are missing, as a late row.
    """

    before_s: float
    t_s: float
    late_s: float


def lateness(generator: pa.Table) -> dict[int, list[Lateness]]:
    """Worker → its rows in the order of time. The first is compared with one that was due at T0."""
    found: dict[int, list[Lateness]] = {}
    columns = generator.select(["worker", "t_s", "loop_lag_ms_max"]).sort_by("t_s").to_pydict()
    for worker, t_s, lag_ms in zip(*columns.values(), strict=True):
        rows = found.setdefault(worker, [])
        before_s = rows[-1].t_s if rows else -ROW_S
        rows.append(Lateness(before_s, t_s, max(lag_ms / 1000.0, t_s - before_s - ROW_S)))
    return found
