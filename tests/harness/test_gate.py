"""The gate: the exit code of a judged run, and its refusal of whatever is not the record that was judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

import reports
from harness.audit import audit
from harness.errors import ExitCode, InputError
from harness.gate import decide
from harness.grade import grade
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.verdict import Decision
from harness.sli import measure
from tests.builders import OBJECTIVES, RunBuilder
from tests.reports import verdicts


def judged(root: Path, builder: RunBuilder | None = None) -> RunPaths:
    builder = builder or RunBuilder()
    paths = builder.write(root)
    record = Record.open(root)
    reports.write(record, grade(record, measure(record), audit(record), builder.fault_results()))
    return paths


def slow() -> RunBuilder:
    """Every objective out of reach of the sale on paper."""
    builder = RunBuilder()
    hopeless = {name: {"target": 1e-9, "worst": 2e-9} for name in OBJECTIVES if name.endswith("_ms")}
    return builder.changed(scenario=builder.run.scenario | {"objectives": hopeless})


@pytest.mark.parametrize(
    ("build", "code", "decision"),
    [
        (RunBuilder, ExitCode.READY, Decision.READY),
        (slow, ExitCode.NOT_READY, Decision.NOT_READY),
        (lambda: RunBuilder().changed(complete=False), ExitCode.NO_VERDICT, Decision.NO_VERDICT),
        (lambda: RunBuilder().double_sell(), ExitCode.INVARIANT_VIOLATED, Decision.NOT_READY),
    ],
    ids=["ready", "slow", "incomplete", "double sell"],
)
def test_each_kind_of_run_has_its_exit_code(
    tmp_path: Path, build: Callable[[], RunBuilder], code: ExitCode, decision: Decision
) -> None:
    decided = decide(judged(tmp_path, build()).root)
    assert (decided.exit_code, decided.verdict) == (code, decision)
    assert decided.reason


@pytest.mark.parametrize(
    ("asked", "code"), [("A", ExitCode.NOT_READY), ("B", ExitCode.READY), ("C", ExitCode.READY), (None, ExitCode.READY)]
)
def test_a_minimum_grade_asks_for_more(tmp_path: Path, asked: str | None, code: ExitCode) -> None:
    record = Record.open(RunBuilder().write(tmp_path).root)
    reports.write(record, replace(verdicts.ready(record), record=record.digest()))  # READY with a B
    decided = decide(tmp_path, asked)
    assert decided.exit_code == code
    assert (decided.verdict is Decision.READY) == (code == ExitCode.READY)


def test_a_low_minimum_grade_does_not_let_a_violation_pass(tmp_path: Path) -> None:
    assert decide(judged(tmp_path, RunBuilder().double_sell()).root, "F").exit_code == ExitCode.INVARIANT_VIOLATED


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run directory"):
        decide(tmp_path / "nowhere")


def test_a_run_that_was_never_judged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="never judged"):
        decide(RunBuilder().write(tmp_path).root)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": "gatecrash.verdict/1"}'])
def test_a_corrupt_verdict_is_refused(tmp_path: Path, content: bytes) -> None:
    paths = judged(tmp_path)
    paths.verdict.write_bytes(content)
    with pytest.raises(InputError, match=r"verdict\.json") as refused:
        decide(paths.root)
    assert refused.value.exit_code == ExitCode.BAD_INPUT
    assert "\n" not in str(refused.value)


def test_a_truncated_verdict_is_refused(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    whole = paths.verdict.read_bytes()
    paths.verdict.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is no verdict"):
        decide(paths.root)


def test_a_verdict_of_another_schema_is_refused(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    paths.verdict.write_bytes(paths.verdict.read_bytes().replace(b"gatecrash.verdict/1", b"gatecrash.verdict/9"))
    with pytest.raises(InputError, match="schema"):
        decide(paths.root)


def test_every_file_of_the_record_is_guarded(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    guarded = [paths.run, paths.faults, *sorted(paths.root.glob("*.parquet"))]
    assert len(guarded) > 5
    for file in guarded:
        whole = file.read_bytes()
        for changed in (whole + b" ", whole[: len(whole) // 2]):
            file.write_bytes(changed)
            with pytest.raises(InputError, match="has changed since"):
                decide(paths.root)
        file.unlink()
        with pytest.raises(InputError, match="cannot be read"):
            decide(paths.root)
        file.write_bytes(whole)
    assert decide(paths.root).exit_code == ExitCode.READY
