"""The runs of a folder, side by side."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.runs.overview import RunRow, rows
from harness.runs.past import past_runs
from tests.harness.runs.test_comparable import slower, written


def overview(folder: Path) -> tuple[RunRow, ...]:
    return rows(tuple(past_runs(folder)))


def test_each_run_is_told_with_what_changed_since_the_last_like_it(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    verdict = written(tmp_path, "b", "2026-11-21T10:00:00Z")
    (tmp_path / "b" / "verdict.json").write_bytes(msgspec.json.encode(slower(verdict, 4000.0, 22.0)))
    written(tmp_path, "c", "2026-11-22T10:00:00Z", stack="compose")
    first, second, third = overview(tmp_path)
    assert (first.run_id, first.since, first.regression) == ("a", "the first of its scenario", None)
    assert (second.compared_with, second.since, second.regression) == ("a", "worse: Hold response time, p99", True)
    assert third.since == "not comparable with b: its stack is embedded"
    assert len({len(row.cells) for row in (first, second, third)}) == 1


def test_a_folder_without_runs_has_no_rows(tmp_path: Path) -> None:
    assert overview(tmp_path) == ()
    assert overview(tmp_path / "never") == ()
