"""The key of the seals: long enough or refused, this process's alone, and written nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.errors import InputError
from harness.processes.managed import ManagedProcess, child_environment
from harness.record import seal_key
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.schema import RunDocument
from harness.record.seal_key import FILE_VARIABLE, VARIABLE
from tests.builders import RunBuilder

ROOT = Path(__file__).parents[3]
KEY = "a key that is long enough"


@pytest.fixture(autouse=True)
def _no_key_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_key, "_key", None)
    monkeypatch.setattr(seal_key, "_file", "")


def gatecrash(*arguments: str, key: str | None = None, file: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | {"PYTHONPATH": str(ROOT)}
    if key is not None:
        environment[VARIABLE] = key
    if file is not None:
        environment[FILE_VARIABLE] = str(file)
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("given", "why"), [("", "is set but empty"), ("  \n", "empty"), ("fifteen letters", "only 15")]
)
def test_a_key_that_is_too_short_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, given: str, why: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(InputError, match=why) as refused:
        seal_key.current()
    assert "at least 16 characters" in str(refused.value)
    assert "fifteen" not in str(refused.value)


def test_a_key_that_is_too_short_ends_any_command_with_2(tmp_path: Path) -> None:
    done = gatecrash("gate", str(tmp_path), key="short")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert VARIABLE in done.stderr


def test_the_key_leaves_the_environment_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{KEY}\n")
    assert seal_key.current() == KEY.encode()
    assert VARIABLE not in os.environ
    assert KEY not in subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert seal_key.current() == KEY.encode()
    assert seal_key.for_our_own() == {VARIABLE: KEY}


def key_file(folder: Path, content: str = KEY, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_key_in_a_file_seals_as_the_same_key_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = key_file(tmp_path, f"{KEY}\n")
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert seal_key.current() == KEY.encode()
    assert FILE_VARIABLE not in os.environ
    assert seal_key.for_our_own() == {FILE_VARIABLE: str(file)}
    paths = RunBuilder(faulty=False).write(tmp_path / "run")
    assert sealed(paths).startswith("hmac-sha256:")
    assert gatecrash("report", str(paths.root), file=file).returncode == 0
    assert gatecrash("gate", str(paths.root), key=KEY).returncode == 0
    assert gatecrash("gate", str(paths.root), file=key_file(tmp_path, "the key of somebody else")).returncode == 2


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (KEY, 0o640, "may be used by others than its owner (its mode is 0640)"),
        (KEY, 0o606, "may be used by others than its owner (its mode is 0606)"),
        ("short", 0o600, "has only 5 characters"),
        ("", 0o600, "is set but empty"),
        ("x" * 5000, 0o600, "is larger than 4,096 bytes"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, content: str, mode: int, why: str
) -> None:
    done = gatecrash("gate", str(tmp_path), file=key_file(tmp_path, content, mode))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert why in done.stderr


def test_a_key_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for file in (pipe, tmp_path, tmp_path / "absent", Path("/dev/zero")):
        done = gatecrash("gate", str(tmp_path), file=file)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    both = gatecrash("gate", str(tmp_path), key=KEY, file=key_file(tmp_path))
    assert (both.returncode, len(both.stderr.splitlines())) == (2, 1)
    assert "set one of them" in both.stderr


@pytest.mark.parametrize("own", [True, False])
def test_a_part_of_the_stack_never_has_it_even_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    log = tmp_path / "env.log"
    env = child_environment({"OWN": "yes"}) if own else None
    ManagedProcess("env", ["env"], log=log, env=env).wait_success(within_s=60)
    assert "PATH=" in log.read_text()
    assert KEY not in log.read_text()


def test_every_environment_that_is_made_for_a_child_starts_from_the_stripped_one() -> None:
    rooms = ("harness", "chaos", "reports", "scenarios")
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    assert not [path for path in files if "**os.environ" in path.read_text() or "os.environ.copy" in path.read_text()]


def test_a_record_is_sealed_with_the_key_and_says_so_and_the_key_is_nowhere_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    paths = RunBuilder(faulty=False).write(tmp_path / "keyed")
    assert sealed(paths).startswith("hmac-sha256:")
    monkeypatch.setattr(seal_key, "_key", None)
    assert sealed(RunBuilder(faulty=False).write(tmp_path / "plain")).startswith("sha256:")
    first = gatecrash("report", str(paths.root), key=KEY)
    assert (first.returncode, gatecrash("gate", str(paths.root), key=KEY).returncode) == (0, 0)
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert KEY.encode() not in file.read_bytes()
    assert KEY not in first.stdout + first.stderr


def test_with_the_key_an_honest_copy_of_another_record_cannot_be_sealed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes a table and computes every digest again is found out by the key alone."""
    monkeypatch.setenv(VARIABLE, KEY)
    paths = RunBuilder(faulty=False).write(tmp_path)
    assert Record.open(tmp_path).run.complete
    monkeypatch.setattr(seal_key, "_key", b"the key of somebody else")
    RunBuilder(faulty=False, seed=2).write(tmp_path)
    monkeypatch.setattr(seal_key, "_key", KEY.encode())
    with pytest.raises(InputError, match="does not fit GATECRASH_SEAL_KEY") as refused:
        Record.open(tmp_path)
    assert paths.run.name in str(refused.value)


def test_a_run_that_never_ended_is_not_sealed_and_can_be_read_with_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    RunBuilder(faulty=False).changed(complete=False).write(tmp_path)
    assert not Record.open(tmp_path).run.complete


def sealed(paths: RunPaths) -> str:
    return msgspec.json.decode(paths.run.read_bytes(), type=RunDocument).sealed
