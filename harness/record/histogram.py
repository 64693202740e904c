"""Requests as per-second histograms: a worker writes them when there are too many requests for rows.

Values are kept as an HdrHistogram keeps them (http://hdrhistogram.org): by their top 8 bits, each bucket named by the
largest value that it holds. So a percentile is never too small, and too large by at most 1/128. Pairs of service and
response time are counted, so that the share of requests that waited is still known.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import REQUESTS

PRECISION_BITS: Final = 8
_US: Final = 1_000_000.0
_MIDDLE_S: Final = 0.5
_NOBODY: Final = -1  # in the columns seq and user: the numbers are no longer known
_KEPT: Final = ("worker", "kind", "step", "method", "status", "outcome", "error", "attempt")


def bucket_us(value_us: int) -> int:
    """The largest value of the bucket that this one falls into; below 256 each value is its own. Negative is 0."""
    if value_us <= 0:
        return 0
    shift = max(0, value_us.bit_length() - PRECISION_BITS)
    return (((value_us >> shift) + 1) << shift) - 1


def expand(cells: pa.Table) -> pa.Table:
    """Rows of REQUESTS that have these histograms (table `histograms`): a row for each request that was counted.

    A row stands in the middle of its second; `seq` and `user` are -1, `actor` is "", `op` null, `response_bytes` 0. An
    answered request has its first byte at its end.
    """
    rows = cells.take(np.repeat(np.arange(cells.num_rows), cells["count"].to_numpy()))
    service_s = pc.divide(pc.cast(rows["service_us"], pa.float64()), _US)
    response_s = pc.divide(pc.cast(rows["response_us"], pa.float64()), _US)
    start_s = pc.add(rows["t_s"], _MIDDLE_S)
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
