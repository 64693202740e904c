"""Collects the platform's own spans of the journeys that are kept, from the files that its processes wrote.

Each process of the embedded stack writes a file of JSON lines beside its log. When the stack is down the files are
whole. Which journeys are kept is chosen then, see `harness.record.collecting.tail`; the spans of the others are left
out, the swarm's too. Times in the files are unix ns; in the table they are s after T0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.input_file import NOT_JSON
from harness.record.collecting.tail import representative, tail
from harness.record.paths import RunPaths
from harness.record.schema import SPANS, Anomaly, TraceSummary
from harness.record.writer import Row, TableWriter

A = TypeVar("A")
_NS: Final = 1_000_000_000
_BATCH: Final = 10_000
_encode: Final = msgspec.json.Encoder().encode


class SpanLine(msgspec.Struct, Generic[A], frozen=True):
    """One span as the platform's processes leave it in a file. Times are unix ns. `A`: what an attribute is."""

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
    attributes: dict[str, A] = {}


class _Dropped(msgspec.Struct, frozen=True):
    dropped: int


class _Seen(msgspec.Struct):
    """What was seen in the files of spans."""

    kept: int = 0
    left_out: int = 0
    lost: int = 0
    torn: int = 0


_decode: Final = msgspec.json.Decoder(SpanLine[msgspec.Raw]).decode
_decode_dropped: Final = msgspec.json.Decoder(_Dropped).decode


def spans_file(logs: Path, process: str) -> Path:
    """The file in which that process of a stack leaves its spans."""
    return logs / f"spans-{process}.jsonl"


def collect_spans(
    paths: RunPaths, t0_wall_s: float, ratio: float, windows: Mapping[str, tuple[float, float]]
) -> tuple[TraceSummary | None, tuple[Anomaly, ...]]:
    """Keep in the table `spans` what is worth keeping, with the spans that the stack's processes left. Returns what was
    kept, and what could not be read.

    `ratio`: of the journeys, the seeded share. `windows`: when each fault may have been in force. Raises
    EnvironmentProblem when the table cannot be written; the files are then still there.
    """
    files = sorted(paths.logs.glob(spans_file(paths.logs, "*").name))
    has_own = paths.table("spans").exists()
    if not files and not has_own:
        return None, ()
    own = pq.read_table(paths.table("spans")) if has_own else SPANS.empty_table()
    traces = pc.unique(own["trace_id"]).to_pylist()
    kept = representative(traces, ratio) | {one.trace_id for one in tail(own, windows)}
    seen, anomalies = _Seen(), list[Anomaly]()
    with TableWriter(paths, "spans") as writer:
        chosen = own.filter(pc.is_in(own["trace_id"], pa.array(sorted(kept), pa.string())))
        for batch in chosen.to_batches():
            writer.append(batch)
        for file in files:
            before = seen.torn
            _append(file, round(t0_wall_s * _NS), kept, seen, writer.append)
            if torn := seen.torn - before:
                anomalies.append(Anomaly(t_s=None, source="spans", text=f"{file.name}: {torn} lines cannot be read"))
        writer.finish()
    for file in files:
        file.unlink()
    if seen.lost:
        text = f"{seen.lost:,} spans of the platform were dropped: its processes had no room for more"
        anomalies.append(Anomaly(t_s=None, source="spans", text=text))
    summary = TraceSummary(
        traced=len(traces),
        kept=len(kept),
        spans_kept=chosen.num_rows + seen.kept,
        spans_left_out=own.num_rows - chosen.num_rows + seen.left_out,
        spans_lost=seen.lost,
    )
    return summary, tuple(anomalies)


def _append(file: Path, t0_ns: int, kept: frozenset[str], seen: _Seen, append: Callable[[Sequence[Row]], None]) -> None:
    rows: list[Row] = []
    with file.open("rb") as lines:
        for span in _decoded(lines, seen):
            if span.trace_id not in kept:
                seen.left_out += 1
                continue
            seen.kept += 1
            rows.append(_row(span, t0_ns))
            if len(rows) >= _BATCH:
                append(rows)
                rows = []
    append(rows)


def _decoded(lines: Iterator[bytes], seen: _Seen) -> Iterator[SpanLine[msgspec.Raw]]:
    for line in lines:
        try:
            if line.startswith(b'{"dropped"'):
                seen.lost += _decode_dropped(line).dropped
                continue
            span = _decode(line)
        except NOT_JSON:
            seen.torn += 1
            continue
        yield span


def _row(span: SpanLine[msgspec.Raw], t0_ns: int) -> Row:
    return {
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
