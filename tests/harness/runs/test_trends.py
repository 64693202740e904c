"""How figures went over runs: only over those that can be compared."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.record.verdict import Status
from harness.runs.past import past_runs
from harness.runs.trends import series
from tests.harness.runs.test_comparable import slower, written


def test_like_runs_are_one_series_whatever_ran_between_them_and_others_say_why(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    written(tmp_path, "b", "2026-11-21T10:00:00Z", stack="compose")
    verdict = written(tmp_path, "c", "2026-11-22T10:00:00Z")
    slow = replace(slower(verdict, 4000.0, 22.0), run_id="c")
    broken = replace(slow, invariants=(replace(slow.invariants[0], status=Status.VIOLATED), *slow.invariants[1:]))
    (tmp_path / "c" / "verdict.json").write_bytes(msgspec.json.encode(broken))
    written(tmp_path, "d", "2026-11-23T10:00:00Z", scenario_name="smoke")
    compose, paper, smoke = series(tuple(past_runs(tmp_path)))
    assert [run.root.name for run in compose.runs] == ["b"]
    assert compose.apart == "not comparable with a: its stack is embedded"
    assert ([run.root.name for run in paper.runs], paper.apart) == (["a", "c"], "")
    assert ([run.root.name for run in smoke.runs], smoke.apart) == (["d"], "")
    trends = {one.newest.name: one for one in paper.indicators()}
    assert trends["hold_response_p99_ms"].values == (1912.0, 4000.0)
    before = trends["hold_response_p99_ms"].before
    assert before is not None
    assert before.value == 1912.0
    assert paper.invariants()[0].statuses == (Status.HELD, Status.VIOLATED)


def test_a_figure_that_the_newest_run_lacks_keeps_its_place(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    verdict = written(tmp_path, "b", "2026-11-21T10:00:00Z")
    (tmp_path / "b" / "verdict.json").write_bytes(
        msgspec.json.encode(replace(verdict, slis=verdict.slis[1:], invariants=verdict.invariants[1:]))
    )
    [group] = series(tuple(past_runs(tmp_path)))
    gone = verdict.slis[0]
    trends = {one.newest.name: one for one in group.indicators()}
    assert trends[gone.name].values == (gone.value, None)
    statuses = {one.name: one.statuses for one in group.invariants()}
    assert statuses[verdict.invariants[0].name] == (verdict.invariants[0].status, None)


def test_no_run_gives_no_series() -> None:
    assert series(()) == ()
