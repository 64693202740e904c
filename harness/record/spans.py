"""Collects the platform's own spans of the traced journeys, from the files that its processes wrote.

Each process of the embedded stack writes a file of JSON lines beside its log. When the stack is down the files are
whole, and their spans are added to the swarm's. Times in the files are unix ns; in the table they are s after T0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.parquet as pq

from harness.input_file import NOT_JSON
from harness.record.paths import RunPaths
from harness.record.schema import Anomaly
from harness.record.writer import Row, TableWriter

_NS: Final = 1_000_000_000
_encode: Final = msgspec.json.Encoder().encode


class _Span(msgspec.Struct, frozen=True):
    trace_id: str
    span_id: str
    parent_id: str
    service: str
    node: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    status: str
    attributes: dict[str, msgspec.Raw] = {}


_decode: Final = msgspec.json.Decoder(_Span).decode


def spans_file(logs: Path, process: str) -> Path:
    """The file in which that process of a stack leaves its spans."""
    return logs / f"spans-{process}.jsonl"


def collect_spans(paths: RunPaths, t0_wall_s: float) -> tuple[Anomaly, ...]:
    """Move the spans that the stack's processes left into the table `spans`. Returns what could not be read.

    Raises EnvironmentProblem when the table cannot be written; the files are then still there.
    """
    files = sorted(paths.logs.glob(spans_file(paths.logs, "*").name))
    if not files:
        return ()
    anomalies: list[Anomaly] = []
    rows: list[Row] = []
    for file in files:
        found, torn = _rows(file, round(t0_wall_s * _NS))
        rows.extend(found)
        if torn:
            anomalies.append(Anomaly(t_s=None, source="spans", text=f"{file.name}: {torn} lines cannot be read"))
    own = pq.read_table(paths.table("spans")) if paths.table("spans").exists() else None
    with TableWriter(paths, "spans") as writer:
        for batch in own.to_batches() if own is not None else ():
            writer.append(batch)
        writer.append(rows)
        writer.finish()
    for file in files:
        file.unlink()
    return tuple(anomalies)


def _rows(file: Path, t0_ns: int) -> tuple[Sequence[Row], int]:
    lines = file.read_bytes().splitlines()
    rows = list(_decoded(lines, t0_ns))
    return rows, len(lines) - len(rows)


def _decoded(lines: Sequence[bytes], t0_ns: int) -> Iterator[Row]:
    for line in lines:
        try:
            span = _decode(line)
        except NOT_JSON:
            continue
        yield {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_id": span.parent_id,
            "service": span.service,
            "node": span.node,
            "name": span.name,
            "kind": span.kind,
            "t_start_s": (span.start_ns - t0_ns) / _NS,
            "t_end_s": (span.end_ns - t0_ns) / _NS,
            "status": span.status,
            "attributes": _encode(span.attributes).decode(),
        }
