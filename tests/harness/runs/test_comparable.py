"""Which runs can be compared, and what changed between them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from harness.cli.commands.finished_runs import change_lines
from harness.record.reader import Record
from harness.record.schema import RunDocument
from harness.record.verdict import Decision, Status, Verdict
from harness.runs.change import SmallestEffect, change, matters
from harness.runs.comparable import planted_bug, why_not
from harness.runs.past import before, past_runs
from tests.builders import RunBuilder
from tests.reports import verdicts

RUN = RunBuilder(fans=2).run


def scenario(**changes: object) -> dict[str, object]:
    return RUN.scenario | changes


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(RUN, seed=99, run_id="another"), ""),
        (replace(RUN, scenario=scenario(seed=4, description="told otherwise")), ""),
        (replace(RUN, versions=RUN.versions | {"commit": "abc"}), ""),
        (replace(RUN, scenario_name="smoke"), "it is a run of smoke"),
        (replace(RUN, stack="compose"), "its stack is compose"),
        (replace(RUN, scenario=scenario(duration_s=9.0)), "the scenario has changed since: duration_s"),
        (replace(RUN, versions=RUN.versions | {"processors": "64"}), "it ran on another class of machine (processors)"),
        (replace(RUN, versions=RUN.versions | {"locust": "1"}), "other versions: locust"),
        (replace(RUN, command=("gatecrash", "--plant-bug", "lost_ack")), "the bug that was planted differs"),
    ],
)
def test_only_like_runs_are_compared_and_else_the_reason_is_said(other: RunDocument, why: str) -> None:
    assert why_not(other, RUN) == why


def test_a_planted_bug_is_read_from_the_command() -> None:
    assert planted_bug(replace(RUN, command=("rehearse", "--plant-bug=double_sell"))) == "double_sell"
    assert planted_bug(RUN) == ""


def written(folder: Path, name: str, t0: str, **changes: object) -> Verdict:
    builder = RunBuilder(fans=2).changed(run_id=name, t0=t0, **changes)
    paths = builder.write(folder / name)
    verdict = verdicts.ready(Record.open(paths.root))
    paths.verdict.write_bytes(msgspec.json.encode(verdict))
    return verdict


def test_the_last_comparable_run_is_the_one_released_before(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    written(tmp_path, "b", "2026-11-21T10:00:00Z")
    written(tmp_path, "c-other", "2026-11-22T10:00:00Z", scenario_name="smoke")
    written(tmp_path, "d", "2026-11-24T10:00:00Z")
    broken = tmp_path / "e"
    broken.mkdir()
    (broken / "verdict.json").write_text("{")
    assert [one.root.name for one in past_runs(tmp_path)] == ["a", "b", "c-other", "d"]
    past = before(tmp_path, replace(RUN, t0="2026-11-23T10:00:00Z"))
    assert [one.root.name for one in past.comparable] == ["a", "b"]
    assert past.last is not None
    assert past.last.root.name == "b"


def test_without_one_it_is_said_why(tmp_path: Path) -> None:
    run = replace(RUN, t0="2026-11-23T10:00:00Z")
    assert before(tmp_path, run).why_none == "there is no earlier run beside it"
    written(tmp_path, "a", "2026-11-20T10:00:00Z", scenario_name="smoke")
    assert before(tmp_path, run).why_none == "there is no earlier run of playoff-presale beside it"
    written(tmp_path, "b", "2026-11-21T10:00:00Z", stack="compose")
    assert before(tmp_path, run).why_none == "b is not comparable: its stack is compose"


@pytest.fixture
def verdict(tmp_path: Path) -> Verdict:
    return verdicts.ready(Record.open(RunBuilder(fans=2).write(tmp_path / "run").root))


def slower(verdict: Verdict, value: float, score: float) -> Verdict:
    return replace(
        verdict,
        slis=tuple(
            replace(sli, value=value, score=score, met=value <= 500) if sli.name == "hold_response_p99_ms" else sli
            for sli in verdict.slis
        ),
    )


def test_a_change_that_matters_is_told_and_noise_is_not(verdict: Verdict) -> None:
    quiet = change(verdict, slower(verdict, 1950.0, 67.8))
    assert (quiet.indicators, quiet.is_regression) == ((), False)
    worse = change(verdict, slower(verdict, 3000.0, 44.0))
    [found] = worse.indicators
    assert (found.name, found.base, found.run, found.worse) == ("hold_response_p99_ms", 1912.0, 3000.0, True)
    assert worse.is_regression
    assert not change(slower(verdict, 3000.0, 44.0), verdict).is_regression


def test_the_smallest_effect_that_matters_is_the_callers(verdict: Verdict) -> None:
    slow = slower(verdict, 3000.0, 44.0)
    assert change(verdict, slow, SmallestEffect(points=50.0)).indicators == ()
    [found] = change(verdict, slower(verdict, 1950.0, 67.8), SmallestEffect(points=0.5)).indicators
    assert found.name == "hold_response_p99_ms"


def test_crossing_the_objective_matters_however_small_the_step(verdict: Verdict) -> None:
    was, now = (slower(verdict, value, 100.0).slis[3] for value in (499.0, 501.0))
    assert matters(was, now)


def test_findings_and_invariants_that_changed_are_told(verdict: Verdict) -> None:
    known = tuple(replace(one, id=f"f-{at}") for at, one in enumerate(verdict.findings))
    base = replace(verdict, findings=known)
    now = replace(
        base,
        findings=(known[1], replace(known[0], id="f-new", title="Something new")),
        invariants=(replace(base.invariants[0], status=Status.VIOLATED), *base.invariants[1:]),
        verdict=Decision.NOT_READY,
    )
    found = change(base, now)
    assert [one.id for one in found.new] == ["f-new"]
    assert [one.id for one in found.gone] == ["f-0"]
    assert [(one.name, one.base, one.run, one.worse) for one in found.invariants] == [
        ("no_double_sell", Status.HELD, Status.VIOLATED, True)
    ]
    assert found.is_regression


@pytest.mark.parametrize(
    ("base", "run", "effect"),
    [
        (Status.HELD, Status.UNKNOWN, "worse"),
        (Status.UNKNOWN, Status.VIOLATED, "worse"),
        (Status.NOT_EXERCISED, Status.VIOLATED, "worse"),
        (Status.NOT_OBSERVABLE, Status.VIOLATED, "worse"),
        (Status.VIOLATED, Status.HELD, "better"),
        (Status.UNKNOWN, Status.HELD, "better"),
        (Status.VIOLATED, Status.UNKNOWN, "changed"),
        (Status.UNKNOWN, Status.NOT_EXERCISED, "changed"),
    ],
)
def test_what_is_violated_now_is_worse_and_only_what_is_held_now_is_better(
    verdict: Verdict, base: Status, run: Status, effect: str
) -> None:
    first, *rest = verdict.invariants
    was, now = (replace(verdict, invariants=(replace(first, status=status), *rest)) for status in (base, run))
    found = change(was, now)
    [changed] = found.invariants
    assert (changed.effect, found.is_regression) == (effect, effect == "worse")
    assert list(change_lines(found)) == [f"{effect}: {first.name} was {base}, is {run}"]


def test_compare_tells_what_changed_a_line_each(verdict: Verdict) -> None:
    now = replace(
        slower(verdict, 3000.0, 44.0),
        invariants=(replace(verdict.invariants[0], status=Status.VIOLATED), *verdict.invariants[1:]),
    )
    assert list(change_lines(change(verdict, now))) == [
        "worse: no_double_sell was held, is violated",
        "worse: Hold response time, p99 was 1,912 ms, is 3,000 ms",
    ]
