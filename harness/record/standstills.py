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


class Standstill(msgspec.Struct, frozen=True, gc=False):
    """A time of `length_s`, somewhere between the two instants, in which nothing ran."""

    t_from_s: float
    t_to_s: float
    length_s: float

    def common(self, other: Standstill) -> Standstill | None:
        """What two workers had of it at the same time, at most; null: nothing."""
        t_from_s, t_to_s = max(self.t_from_s, other.t_from_s), min(self.t_to_s, other.t_to_s)
        return Standstill(t_from_s, t_to_s, min(self.length_s, other.length_s)) if t_from_s < t_to_s else None


def standstills(generator: pa.Table) -> list[Standstill]:
    """When every worker stood still at the same time, in order: one that runs shows that its machine did."""
    of_workers = [
        [
            Standstill(one.t_s - one.late_s - ROW_S, one.t_s, one.late_s)
            for one in rows
            if one.late_s >= STANDSTILL_MIN_S
        ]
        for rows in lateness(generator).values()
    ]
    found = of_workers[0] if of_workers else []
    for others in of_workers[1:]:
        found = [both for one in found for other in others if (both := one.common(other)) is not None]
    return sorted(found, key=lambda one: one.t_from_s)
