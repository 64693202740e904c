"""Rows of the record as a worker notes them: one type for each table, its fields in the order of the table's columns.

Without `worker`, which is the same for all rows of a process. Instants are on this worker's monotonic clock, only
`t_sent_s` is unix time. The garbage collector never walks rows (`gc=False`): a release makes them by the thousand, and
no cycle can go through one. `harness.record.schema` tells what each field means.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from harness.platform import FinalEntry, FinalOrder, FinalPool, FinalSeat


class RequestRow(msgspec.Struct, frozen=True, gc=False):
    """One row of REQUESTS."""

    seq: int
    user: int
    kind: str
    actor: str
    step: str
    page: str
    method: str
    t_intended_s: float
    t_start_s: float
    t_first_byte_s: float | None
    t_end_s: float
    status: int
    outcome: str
    error: str
    response_bytes: int
    attempt: int
    op: int | None
    overstated_ms: float | None = None


class OperationRow(msgspec.Struct, frozen=True, gc=False):
    """One row of OPERATIONS."""

    op: int
    actor: str
    identity: str
    function: str
    key: str
    value: str
    t_intended_s: float
    t_invoke_s: float
    t_complete_s: float | None
    outcome: str
    error: str
    retry_of: int | None


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """One row of EVENTS."""

    user: int
    kind: str
    actor: str
    stream: str
    event: str
    t_s: float
    t_sent_s: float | None
    epoch: str
    seq: int | None
    value: int | None
    key: str


class GeneratorRow(msgspec.Struct, frozen=True, gc=False):
    """One row of GENERATOR."""

    t_s: float
    loop_lag_ms_max: float
    loop_lag_ms_p99: float
    cpu_percent: float
    rss_bytes: int
    fds: int
    fds_limit: int
    users: int
    samples: int
    ports: int | None
    ports_limit: int | None


class HistogramRow(msgspec.Struct, frozen=True, gc=False):
    """One row of HISTOGRAMS: how the requests ended, and the three lists of its histogram."""

    t_s: float
    kind: str
    step: str
    method: str
    status: int
    outcome: str
    error: str
    attempt: int
    service: npt.NDArray[np.integer]
    response: npt.NDArray[np.integer]
    count: npt.NDArray[np.integer]


class StretchRow(msgspec.Struct, frozen=True, gc=False):
    """One row of FEED_STRETCHES."""

    user: int
    kind: str
    actor: str
    epoch: str
    seq_from: int
    seq_to: int
    t_from_s: float
    t_to_s: float
    delay_ms_max: float | None


class DelayRow(msgspec.Struct, frozen=True, gc=False):
    """One row of FEED_DELAYS."""

    t_sent_s: float
    base_s: float
    more_us: int
    count: int


class SpanRow(msgspec.Struct, frozen=True, gc=False):
    """One row of SPANS."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    node: str
    name: str
    kind: str
    t_start_s: float
    t_end_s: float
    status: str
    attributes: str


Row = (
    RequestRow
    | OperationRow
    | EventRow
    | GeneratorRow
    | HistogramRow
    | StretchRow
    | DelayRow
    | SpanRow
    | FinalSeat
    | FinalOrder
    | FinalEntry
    | FinalPool
)
ROW_TYPES: Final[dict[str, type[Row]]] = {
    "requests": RequestRow,
    "operations": OperationRow,
    "events": EventRow,
    "generator": GeneratorRow,
    "histograms": HistogramRow,
    "feed_stretches": StretchRow,
    "feed_delays": DelayRow,
    "spans": SpanRow,
    "final_seats": FinalSeat,
    "final_orders": FinalOrder,
    "final_ledger": FinalEntry,
    "final_stock": FinalPool,
    "baseline_orders": FinalOrder,
    "baseline_stock": FinalPool,
    "baseline_ledger": FinalEntry,
}
"""The tables that a worker writes, and the type of their rows."""
