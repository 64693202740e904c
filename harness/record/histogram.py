"""Requests as histograms by the second: how those of users are kept who are not recorded request by request.

Times are kept as an HdrHistogram keeps them (http://hdrhistogram.org): by their top 8 bits, so that each bucket is at
most 1/128 wide. A percentile is told as the largest value of its bucket: it is never too small, and too large by at
most 1/128. Pairs of service and response time are counted, so that the share of requests that waited is still known.
Histograms are merged without loss: equal pairs are added up.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import REQUESTS

PRECISION_BITS: Final = 8
MIDDLE_S: Final = 0.5
"""Of a summed request only the second is known in which it was sent: it stands in the middle of it."""
_HALF: Final = PRECISION_BITS - 1
_US: Final = 1_000_000.0
_NOBODY: Final = -1  # in the columns seq and user: the numbers are not known
_KEPT: Final = ("worker", "kind", "step", "method", "status", "outcome", "error", "attempt")


def bucket(value_us: int) -> int:
    """The number of the bucket that a time falls into; below 256 each has its own. A negative one counts as 0."""
    if value_us <= 0:
        return 0
    shift = max(0, value_us.bit_length() - PRECISION_BITS)
    return (shift << _HALF) + (value_us >> shift)


def largest_us(buckets: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The largest time of each of these buckets."""
    numbers = buckets.astype(np.int64)
    shifts = np.maximum(0, (numbers >> _HALF) - 1)
    largest: npt.NDArray[np.int64] = ((numbers - (shifts << _HALF) + 1) << shifts) - 1
    return largest


def bucket_us(value_us: int) -> int:
    """The largest time of the bucket that this one falls into; 0 for a negative one."""
    if value_us <= 0:
        return 0
    shift = max(0, value_us.bit_length() - PRECISION_BITS)
    return (((value_us >> shift) + 1) << shift) - 1


def counted(histograms: pa.RecordBatch | pa.Table) -> npt.NDArray[np.int64]:
    """How many requests each row of the table `histograms` counts."""
    sums = [np.asarray(counts, dtype=np.int64).sum() for counts in histograms["count"].to_numpy(zero_copy_only=False)]
    return np.array(sums, dtype=np.int64)


def are_summed(requests: pa.Table) -> pa.ChunkedArray:
    """Which of these rows of REQUESTS come from `expand`: of them only the second is known in which they were sent."""
    return pc.less(requests["seq"], 0)


def expand(histograms: pa.Table) -> pa.Table:
    """Rows of REQUESTS that have these histograms (table `histograms`): a row for each request that was counted.

    A row stands in the middle of its second; `seq` and `user` are -1, `actor` is "", `op` null, `response_bytes` 0. An
    answered request has its first byte at its end.
    """
    cells = {name: pc.list_flatten(histograms[name]).to_numpy() for name in ("service", "response", "count")}
    of_cell = np.repeat(np.arange(histograms.num_rows), pc.list_value_length(histograms["count"]).to_numpy())
    cell = np.repeat(np.arange(len(of_cell)), cells["count"])
    rows = histograms.select(["t_s", *_KEPT]).take(of_cell[cell])
    service_s = pa.array(largest_us(cells["service"])[cell] / _US)
    response_s = pa.array(largest_us(cells["response"])[cell] / _US)
    start_s = pc.add(rows["t_s"], MIDDLE_S)
    end_s = pc.add(start_s, service_s)
    nobody = np.full(rows.num_rows, _NOBODY)
    columns = {
        **{name: rows[name] for name in _KEPT},
        "seq": pa.array(nobody, pa.int64()),
        "user": pa.array(nobody, pa.int32()),
        "actor": pa.array(np.full(rows.num_rows, ""), pa.string()),
        "page": pa.array(np.full(rows.num_rows, ""), pa.string()),
        "op": pa.nulls(rows.num_rows, pa.int64()),
        "t_intended_s": pc.subtract(end_s, response_s),
        "t_start_s": start_s,
        "t_first_byte_s": pc.if_else(pc.greater(rows["status"], 0), end_s, pa.scalar(None, pa.float64())),
        "t_end_s": end_s,
        "response_bytes": pa.array(np.zeros(rows.num_rows, np.int64)),
        "overstated_ms": pa.nulls(rows.num_rows, pa.float64()),
    }
    return pa.table([columns[name] for name in REQUESTS.names], schema=REQUESTS)
