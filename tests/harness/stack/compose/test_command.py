"""Which Compose is taken, of those that a machine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import EnvironmentProblem
from harness.stack.compose.command import TIMED_OUT, Compose, find_compose

Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a shell script on a PATH that has nothing else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return write


def test_the_plugin_comes_before_the_program(program: Program) -> None:
    program("docker", 'test "$*" = "compose version --short" && echo 2.40.3')
    program("docker-compose", "echo 1.29.2")
    assert find_compose() == Compose(("docker", "compose"), "2.40.3")


@pytest.mark.parametrize("answer", ["echo unknown command: compose >&2; exit 1", "echo 1.0.0", "exit 0"])
def test_the_program_where_the_plugin_is_of_no_use(program: Program, answer: str) -> None:
    program("docker", answer)
    program("docker-compose", "echo 1.29.2")
    assert find_compose() == Compose(("docker-compose",), "1.29.2")


@pytest.mark.parametrize("version", ["v2.24.0-desktop.1", "2.26.1-4", "2.40.3+ds1"])
def test_a_version_as_packagers_write_it(program: Program, version: str) -> None:
    program("docker-compose", f"echo {version}")
    assert find_compose().version == version


def test_none_and_one_that_is_too_old_are_one_clear_error_each(program: Program) -> None:
    with pytest.raises(EnvironmentProblem, match="there is no Compose on this machine"):
        find_compose()
    program("docker-compose", "echo 1.25.0")
    with pytest.raises(EnvironmentProblem, match=r"too old: 1\.25\.0") as caught:
        find_compose()
    assert "1.29" in caught.value.hint


def test_what_it_says_is_kept_and_one_that_hangs_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "compose.log"
    told = Compose(("/bin/sh", "-c", 'echo "$@"; exit 3', "sh"), "2")
    assert told.run(("up",), project="p", environment={}, log=log, within_s=30) == 3
    assert log.read_text().split()[-3:] == ["-p", "p", "up"]
    hanging = Compose(("/bin/sh", "-c", "exec /bin/sleep 60"), "2")
    assert hanging.run(("up",), project="p", environment={}, log=log, within_s=0.2) == TIMED_OUT
