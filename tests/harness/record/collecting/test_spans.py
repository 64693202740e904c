"""The platform's span files become rows of the record, beside those of the swarm; most journeys are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.record.collecting.spans import collect_spans, spans_file
from harness.record.collecting.tail import REPRESENTATIVE_LEAST
from harness.record.paths import RunPaths
from harness.record.schema import Anomaly, TraceSummary
from harness.record.writer import TableWriter

T0_WALL_S = 1_700_000_000.25
TRACE = "a" * 32


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    (tmp_path / "logs").mkdir()
    return RunPaths(root=tmp_path)


def line(span: str, start_s: float, trace: str = TRACE) -> str:
    start_ns = round((T0_WALL_S + start_s) * 1e9)
    document = {"trace_id": trace, "span_id": span, "parent_id": "", "service": "booking", "node": "booking"}
    document |= {"name": "GET /queue", "kind": "server", "start_ns": start_ns, "end_ns": start_ns + 5_000_000}
    return json.dumps(document | {"status": "ok", "attributes": {"http.route": "/queue", "n": 2}}) + "\n"


def sent(paths: RunPaths, *requests: tuple[str, float]) -> None:
    """What the swarm has written: of each trace one request that took so long."""
    same = {"parent_id": "", "service": "swarm", "node": "worker-1", "name": "hold", "kind": "client", "status": "ok"}
    with TableWriter(paths, "spans") as writer:
        writer.append(
            [
                {**same, "trace_id": trace, "span_id": f"{at:016x}", "t_start_s": 0.0, "t_end_s": s, "attributes": "{}"}
                for at, (trace, s) in enumerate(requests)
            ]
        )
        writer.finish()


def collected(paths: RunPaths) -> tuple[TraceSummary | None, tuple[Anomaly, ...]]:
    return collect_spans(paths, T0_WALL_S, 0.0, {})


def traces(count: int) -> Iterable[str]:
    """Ids with growing chances."""
    return (f"{at:018x}{at:014x}" for at in range(1, count + 1))


def test_spans_of_all_processes_join_those_of_the_swarm_in_seconds_from_t0(paths: RunPaths) -> None:
    sent(paths, (TRACE, 1.0))
    spans_file(paths.logs, "booking").write_text(line("1", 1.5) + line("2", -0.5))
    spans_file(paths.logs, "feed-1").write_text(line("3", 2.0))
    summary, anomalies = collected(paths)
    assert (summary, anomalies) == (TraceSummary(traced=1, kept=1, spans_kept=4), ())
    rows = pq.read_table(paths.table("spans")).to_pylist()
    assert [row["span_id"] for row in rows] == ["0" * 16, "1", "2", "3"]
    assert [row["t_start_s"] for row in rows[1:]] == pytest.approx([1.5, -0.5, 2.0])
    assert rows[1]["t_end_s"] - rows[1]["t_start_s"] == pytest.approx(0.005)
    assert json.loads(rows[1]["attributes"]) == {"http.route": "/queue", "n": 2}
    assert list(paths.logs.iterdir()) == []


def test_of_many_journeys_the_slow_ones_and_a_share_by_chance_are_kept_with_all_their_spans(paths: RunPaths) -> None:
    ids = list(traces(200))
    sent(paths, *((trace, 9.0 if at >= 198 else 0.1) for at, trace in enumerate(ids)))
    spans_file(paths.logs, "booking").write_text("".join(line("f", 0.0, trace) for trace in ids))
    summary, anomalies = collected(paths)
    rows = pq.read_table(paths.table("spans")).to_pylist()
    kept = {row["trace_id"] for row in rows}
    assert kept == {*ids[:REPRESENTATIVE_LEAST], ids[198], ids[199]}
    assert {row["service"] for row in rows if row["trace_id"] == ids[199]} == {"swarm", "booking"}
    left_out = 2 * (200 - len(kept))
    assert summary == TraceSummary(traced=200, kept=52, spans_kept=104, spans_left_out=left_out)
    assert anomalies == ()


def test_a_line_that_was_cut_is_told_and_the_rest_is_kept(paths: RunPaths) -> None:
    whole = line("1", 1.0)
    sent(paths, (TRACE, 1.0))
    spans_file(paths.logs, "worker").write_text(whole + whole[:40])
    _, (anomaly,) = collected(paths)
    assert anomaly.text == "spans-worker.jsonl: 1 lines cannot be read"
    assert pq.read_table(paths.table("spans")).num_rows == 2


def test_what_the_platform_had_no_room_for_is_told(paths: RunPaths) -> None:
    sent(paths, (TRACE, 1.0))
    spans_file(paths.logs, "worker").write_text('{"dropped":1200}\n' + line("1", 1.0) + '{"dropped":300}\n')
    summary, (anomaly,) = collected(paths)
    assert summary is not None
    assert (summary.spans_lost, summary.spans_kept) == (1500, 2)
    assert anomaly.text.startswith("1,500 spans of the platform were dropped")


def test_a_stack_that_keeps_no_spans_leaves_no_table(paths: RunPaths) -> None:
    assert collected(paths) == (None, ())
    assert not paths.table("spans").exists()
