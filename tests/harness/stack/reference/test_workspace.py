import errno
import os
from pathlib import Path

import msgspec
import pytest

from harness.errors import EnvironmentProblem, ExitCode
from harness.processes.identity import Identity
from harness.stack.owner import StackOwner
from harness.stack.reference import workspace


def test_a_workspace_is_made_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = workspace.create()
    assert root.parent == tmp_path
    workspace.remove(root)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_owner_left_is_removed_and_a_living_owners_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living = workspace.create()
    orphan = tmp_path / "gatecrash-stack-orphan"
    orphan.mkdir()
    own = StackOwner.own()
    dead = msgspec.structs.replace(own, process=Identity(own.process.pid, f"{own.process.boot}:1"))
    (orphan / "owner.json").write_bytes(msgspec.json.encode(dead))
    foreign = tmp_path / "gatecrash-stack-foreign"
    foreign.mkdir()
    again = workspace.create()
    assert not orphan.exists()
    assert foreign.exists()
    assert living.exists()
    workspace.remove(living)
    workspace.remove(again)


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(workspace, "_NEEDED_BYTES", 10**18)
    with pytest.raises(EnvironmentProblem, match="MB free and the embedded stack needs") as caught:
        workspace.create()
    assert caught.value.exit_code == ExitCode.BAD_INPUT


@pytest.mark.parametrize(("number", "hint"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_disk_problems_come_with_a_hint(number: int, hint: str) -> None:
    problem = workspace.disk_problem(Path("/somewhere"), OSError(number, "no"))
    assert "/somewhere" in str(problem)
    assert hint in str(problem)


def test_the_owner_of_a_stack_is_told_to_nobody_else() -> None:
    before = os.umask(0)
    try:
        root = workspace.create()
    finally:
        os.umask(before)
    try:
        assert (root / "owner.json").stat().st_mode & 0o777 == 0o600
    finally:
        workspace.remove(root)


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_an_owner_that_is_no_regular_file_is_not_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign = tmp_path / "gatecrash-stack-foreign"
    foreign.mkdir()
    owner = foreign / "owner.json"
    if kind == "pipe":
        os.mkfifo(owner)
    else:
        owner.symlink_to("/dev/zero")
    workspace.remove(workspace.create())
    assert owner.exists()
