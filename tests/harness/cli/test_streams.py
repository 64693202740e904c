"""Where nobody takes what a command says, it still ends with what it found."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.judging.test_gate import judged, slow, sound

ROOT = Path(__file__).resolve().parents[3]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def gatecrash(*arguments: str | Path, out: int = subprocess.PIPE, err: int = subprocess.PIPE) -> tuple[int, str]:
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=err, text=True, timeout=240, check=False)
    return done.returncode, done.stderr or ""


@pytest.fixture
def unread() -> int:
    """The writing end of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("command", [["gate"], ["gate", "--json"], ["report"], ["compare", "."]])
def test_a_reader_who_left_does_not_change_the_result(tmp_path: Path, unread: int, command: list[str]) -> None:
    paths = judged(tmp_path)
    words = [paths.root if word == "." else word for word in command]
    assert gatecrash(*words, paths.root, out=unread) == (0, "")
    os.close(unread)


def test_a_violation_is_one_though_nobody_reads_it(tmp_path: Path, unread: int) -> None:
    paths = judged(tmp_path, sound().double_sell())
    assert gatecrash("gate", paths.root, out=unread) == (4, "")
    os.close(unread)


@needs_full
def test_an_answer_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    with FULL.open("w") as full:
        code, said = gatecrash("gate", paths.root, out=full.fileno())
    assert (code, len(said.splitlines())) == (0, 1)
    assert "No space left" in said


@needs_full
def test_a_message_that_cannot_be_written_does_not_change_the_result(tmp_path: Path, unread: int) -> None:
    paths = judged(tmp_path, slow())
    paths.verdict.write_text(paths.verdict.read_text().replace('"judged_by": "', '"judged_by": "another '))
    with FULL.open("w") as full:
        for err in (full.fileno(), unread):
            assert gatecrash("gate", paths.root, err=err)[0] == 1
            assert gatecrash("gate", tmp_path / "nowhere", err=err)[0] == 2
    os.close(unread)


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_change_the_result(tmp_path: Path, closed: str) -> None:
    paths = judged(tmp_path, slow())
    command = shlex.join([sys.executable, "-m", "harness", "gate", str(paths.root)])
    done = subprocess.run(["/bin/sh", "-c", f"{command} {closed}"], cwd=ROOT, timeout=240, check=False)
    assert done.returncode == 1


def test_what_nobody_foresaw_is_no_verdict_in_one_line(tmp_path: Path) -> None:
    paths = judged(tmp_path)
    breaks = "from harness.cli import judge, main; judge.judge_record.__globals__.pop('msgspec'); main()"
    command = [sys.executable, "-c", f"import sys; sys.argv[1:] = ['gate', {str(paths.root)!r}]; {breaks}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert "gatecrash itself broke: NameError" in done.stderr
