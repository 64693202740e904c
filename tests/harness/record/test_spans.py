"""The platform's span files become rows of the record, beside those of the swarm."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.record.paths import RunPaths
from harness.record.spans import collect_spans, spans_file
from harness.record.writer import TableWriter

T0_WALL_S = 1_700_000_000.25


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    (tmp_path / "logs").mkdir()
    return RunPaths(root=tmp_path)


def line(span: str, start_s: float) -> str:
    start_ns = round((T0_WALL_S + start_s) * 1e9)
    document = {"trace_id": "a" * 32, "span_id": span, "parent_id": "", "service": "booking", "node": "booking"}
    document |= {"name": "GET /queue", "kind": "server", "start_ns": start_ns, "end_ns": start_ns + 5_000_000}
    return json.dumps(document | {"status": "ok", "attributes": {"http.route": "/queue", "n": 2}}) + "\n"


def test_spans_of_all_processes_join_those_of_the_swarm_in_seconds_from_t0(paths: RunPaths) -> None:
    own = dict.fromkeys(("trace_id", "span_id", "parent_id", "service", "node", "name", "kind", "status"), "x")
    with TableWriter(paths, "spans") as writer:
        writer.append([own | {"attributes": "{}", "t_start_s": 0.0, "t_end_s": 1.0}])
        writer.finish()
    spans_file(paths.logs, "booking").write_text(line("1", 1.5) + line("2", -0.5))
    spans_file(paths.logs, "feed-1").write_text(line("3", 2.0))
    assert collect_spans(paths, T0_WALL_S) == ()
    rows = pq.read_table(paths.table("spans")).to_pylist()
    assert [row["span_id"] for row in rows] == ["x", "1", "2", "3"]
    assert [row["t_start_s"] for row in rows[1:]] == pytest.approx([1.5, -0.5, 2.0])
    assert rows[1]["t_end_s"] - rows[1]["t_start_s"] == pytest.approx(0.005)
    assert json.loads(rows[1]["attributes"]) == {"http.route": "/queue", "n": 2}
    assert list(paths.logs.iterdir()) == []


def test_a_line_that_was_cut_is_told_and_the_rest_is_kept(paths: RunPaths) -> None:
    whole = line("1", 1.0)
    spans_file(paths.logs, "worker").write_text(whole + whole[:40])
    (anomaly,) = collect_spans(paths, T0_WALL_S)
    assert anomaly.text == "spans-worker.jsonl: 1 lines cannot be read"
    assert pq.read_table(paths.table("spans")).num_rows == 1


def test_a_stack_that_keeps_no_spans_leaves_no_table(paths: RunPaths) -> None:
    assert collect_spans(paths, T0_WALL_S) == ()
    assert not paths.table("spans").exists()
