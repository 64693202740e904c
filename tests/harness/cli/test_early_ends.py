"""Runs without a verdict that can be given or written: their four files, one sentence, and how to judge again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.judge import judge_record
from harness.errors import EnvironmentProblem, ExitCode
from harness.judging.gate import decide
from harness.record.paths import RunPaths
from harness.record.reserve import RESERVE_BYTES, give_back, reserve
from tests.builders import RunBuilder
from tests.harness.swarm.control.test_full_disk import tiny_disk

ROOT = Path(__file__).resolve().parents[3]
CONCLUDE = """
from pathlib import Path
from harness.cli import entry
from harness.cli.app import app
from harness.cli.verdicts import conclude
from harness.errors import NoVerdict
from harness.record.paths import RunPaths
from tests.harness.cli.stopping import stop_at_the_judging

@app.command("conclude")
def concluding(run: str, ended: str = "", json: bool = False, stop: int = 0) -> None:
    stop_at_the_judging(stop)
    raise entry.typer.Exit(conclude(RunPaths(root=Path(run)), NoVerdict(ended) if ended else None, json=json))

entry.main()
"""
"""The end of `rehearse`, as a command: the run is over, the verdict is not given yet.

`stop`: a signal that the process gets as it begins to judge."""


def concluding(run: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CONCLUDE, "conclude", str(run), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=240)
    assert "Traceback" not in stderr
    return process.returncode, stdout, stderr


def files_of(paths: RunPaths) -> list[bool]:
    return [path.exists() for path in (paths.verdict, paths.report_html, paths.report_markdown, paths.junit)]


def fill(disk: Path) -> None:
    """Leave no block free, so that nothing can be written there any more."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_judging_leaves_no_verdict_and_says_how_to_judge_again(
    tmp_path: Path, stop: signal.Signals
) -> None:
    paths = RunBuilder(fans=600, faulty=False).write(tmp_path)
    code, out, err = ended(concluding(tmp_path, "--stop", str(stop.value)))
    assert code == ExitCode.INTERRUPTED
    assert len(err.splitlines()) == 2  # the signal was heard; what came of it
    assert f"interrupted before the verdict (nothing is lost: `gatecrash report {tmp_path}`" in err.splitlines()[-1]
    assert "NO VERDICT" in out
    assert all(files_of(paths))
    verdict = json.loads(paths.verdict.read_text())
    assert verdict["verdict"] == "NO VERDICT"
    assert "interrupted before the verdict" in verdict["reason"]
    decided = decide(tmp_path, lambda run: judge_record(run).verdict)
    assert decided.exit_code == ExitCode.NO_VERDICT
    assert "gatecrash report" in decided.note


def test_a_record_that_cannot_be_judged_leaves_no_verdict_with_the_reason(tmp_path: Path) -> None:
    paths = RunBuilder(fans=2, faulty=False).write(tmp_path)
    paths.table("requests").write_bytes(b"PAR1")
    code, out, err = ended(concluding(tmp_path, "--json"))
    assert code == ExitCode.NO_VERDICT
    assert "requests.parquet" in err
    assert all(files_of(paths))
    assert json.loads(out) == json.loads(paths.verdict.read_text())
    paths.run.write_text("{")
    code, out, _ = ended(concluding(tmp_path, "--json"))
    assert (code, json.loads(out)["verdict"]) == (ExitCode.NO_VERDICT, "NO VERDICT")


def test_what_breaks_judging_and_reports_alike_is_no_verdict_on_stdout(tmp_path: Path) -> None:
    RunBuilder(fans=2, faulty=False).write(tmp_path)
    broken = f"from reports import view; del view.headline\n{CONCLUDE}"
    command = [sys.executable, "-c", broken, "conclude", str(tmp_path), "--json"]
    code, out, err = ended(
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    )
    assert (code, json.loads(out)["verdict"]) == (ExitCode.NO_VERDICT, "NO VERDICT")
    assert "gatecrash broke while it judged: NameError" in err.splitlines()[-1]


def test_the_room_that_was_kept_is_enough_for_the_verdict_on_a_full_disk(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 8192) as disk:
        paths = RunBuilder(fans=20, faulty=False).changed(complete=False).write(disk / "run")
        reserve(paths)
        assert paths.reserve.stat().st_blocks * 512 >= RESERVE_BYTES
        fill(disk)
        code, out, err = ended(concluding(paths.root, "--ended", "the disk is full"))
        assert code == ExitCode.NO_VERDICT
        assert "NO VERDICT" in out
        assert "cannot be written" not in err
        assert all(files_of(paths))
        assert not paths.reserve.exists()
        assert not list(paths.root.rglob("*.partial"))


@pytest.mark.parametrize("complete", [True, False])
def test_what_no_disk_takes_is_on_stdout(tmp_path: Path, complete: bool) -> None:
    with tiny_disk(tmp_path / "disk", 8192) as disk:
        paths = RunBuilder(fans=20, faulty=False).changed(complete=complete).write(disk / "run")
        fill(disk)
        code, out, err = ended(concluding(paths.root, "--json"))
        assert code == ExitCode.NO_VERDICT
        verdict = json.loads(out)
        assert verdict["verdict"] == "NO VERDICT"
        assert "The report cannot be written: No space left on device." in [one["text"] for one in verdict["reasons"]]
        assert len(verdict["reasons"]) == 2
        assert "No space left" in err
        assert "READY" not in "".join(path.read_text() for path in (paths.junit, paths.verdict) if path.exists())
        assert not list(paths.root.rglob("*.partial"))
        code, out, _ = ended(concluding(paths.root))
        assert (code, out.splitlines()[0]) == (ExitCode.NO_VERDICT, "NO VERDICT")


def test_a_file_that_may_not_grow_is_as_a_full_disk(tmp_path: Path) -> None:
    """Needs no rights: the limit of the process on the size of files."""
    paths = RunBuilder(fans=20, faulty=False).write(tmp_path)
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); {CONCLUDE}"
    command = [sys.executable, "-c", limited, "conclude", str(tmp_path), "--json"]
    code, out, err = ended(
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    )
    assert code == ExitCode.NO_VERDICT
    verdict = json.loads(out)
    assert "The report cannot be written: File too large." in verdict["reason"]
    assert verdict["reasons"][1]["text"].startswith("The record gives READY: ")
    assert "File too large" in err
    assert not list(paths.root.rglob("*.partial"))


def test_a_disk_without_room_for_a_verdict_is_refused_at_the_start(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 512) as disk:
        paths = RunPaths(root=disk)
        with pytest.raises(EnvironmentProblem, match="no room for a verdict"):
            reserve(paths)
        assert list(disk.iterdir()) == []


def test_room_is_given_back_once_and_nothing_happens_where_none_was_kept(tmp_path: Path) -> None:
    paths = RunPaths(root=tmp_path)
    reserve(paths)
    for _ in range(2):
        give_back(paths)
        assert not paths.reserve.exists()


def test_the_report_of_a_run_that_cannot_be_written_to_goes_elsewhere(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 8192) as disk:
        paths = RunBuilder(fans=4, faulty=False).write(disk / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        report = [sys.executable, "-m", "harness", "report", str(paths.root)]
        code, out, err = ended(subprocess.Popen(report, cwd=ROOT, stdout=-1, stderr=-1, text=True))
        assert (code, out.splitlines()[0]) == (ExitCode.NO_VERDICT, "NO VERDICT")
        [said] = err.splitlines()
        assert "Read-only file system" in said
        assert "--out DIR" in said
        elsewhere = tmp_path / "not" / "yet"
        code, out, err = ended(
            subprocess.Popen([*report, "--out", str(elsewhere)], cwd=ROOT, stdout=-1, stderr=-1, text=True)
        )
        assert (code, out.splitlines()[0].split()[0], err) == (ExitCode.READY, "READY", "")
        assert all(files_of(RunPaths(root=elsewhere)))
        assert not any(files_of(paths))
        assert f"report: {elsewhere / 'report.html'}" in out
