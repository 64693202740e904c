"""The action for GitHub and the template for GitLab: their parts fit, and their scripts do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
ACTION: Final[dict[str, Any]] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: Final[list[dict[str, Any]]] = ACTION["runs"]["steps"]
SPEC, JOBS = yaml.safe_load_all((ROOT / "deploy" / "ci" / "gitlab.yml").read_text())
BAD: Final = "name: mine\ndescription: x\nduration_s: 60\nload: {fans: 0, spectators: 0}\n"


def script(step: str) -> str:
    return str(next(one["run"] for one in STEPS if one.get("id") == step))


def gatecrash_on_path(folder: Path) -> Path:
    """A folder for PATH whose `gatecrash` is that of these sources."""
    folder.mkdir()
    command = folder / "gatecrash"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m harness "$@"\n')
    command.chmod(0o755)
    return folder


def execute(script: str, where: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{where / 'bin'}:{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "CI"))}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=where,
        env=clean | {"PATH": path, "GITHUB_ACTION_PATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_every_input_that_is_used_is_declared_and_the_other_way_round() -> None:
    text = (ROOT / "action.yml").read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(ACTION["inputs"])
    ids = {step["id"] for step in STEPS if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)\.", text)) <= ids
    used = set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", (ROOT / "deploy/ci/gitlab.yml").read_text()))
    assert used == set(SPEC["spec"]["inputs"])


def test_no_text_of_a_user_is_pasted_into_a_script() -> None:
    assert [step for step in STEPS if "${{" in step.get("run", "")] == []
    [job] = JOBS.values()
    assert [line for part in ("before_script", "script", "after_script") for line in job[part] if "$[[" in line] == []


@pytest.mark.parametrize("step", [step["id"] for step in STEPS if "run" in step])
def test_every_script_is_one_that_bash_reads(step: str, tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n", "-c", script(step)], check=False).returncode == 0


def test_the_files_that_are_installed_exist() -> None:
    named = re.findall(r"\$GITHUB_ACTION_PATH/([\w./]+)", "\n".join(step.get("run", "") for step in STEPS))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_bad_input_starts_nothing_is_annotated_at_its_line_and_fails_the_job(tmp_path: Path) -> None:
    gatecrash_on_path(tmp_path / "bin")
    (tmp_path / "mine.yaml").write_text(BAD)
    told = {name: str(tmp_path / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    done = execute(script("rehearse"), tmp_path, SCENARIO="mine.yaml", GITHUB_ACTIONS="true", **told)
    assert done.returncode == 0, done.stderr  # a later step decides, after the artifacts
    assert "::error file=mine.yaml,line=4,title=gatecrash%3A bad usage or input" in done.stderr
    assert (tmp_path / "github_output").read_text() == "exit-code=2\nrun=\n"
    assert execute(script("decide"), tmp_path, CODE="2").returncode == 2
    assert execute(script("decide"), tmp_path, CODE="").returncode == 3


def test_options_are_words_as_on_a_command_line_and_never_code(tmp_path: Path) -> None:
    gatecrash_on_path(tmp_path / "bin")
    options = "--set 'description=two words' --nonsense $(touch owned)"
    done = execute(script("rehearse"), tmp_path, SCENARIO="smoke", OPTIONS=options)
    assert done.returncode == 2
    assert "--nonsense" in done.stderr
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("options", ["--min-grade A --set 'x", '--min-grade A\n--set "x'])
def test_options_that_are_no_words_start_nothing(tmp_path: Path, options: str) -> None:
    """Else the rehearsal would be one without them, and READY by a lower grade than was asked for."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gatecrash").write_text("#!/bin/sh\ntouch started\n")
    (tmp_path / "bin" / "gatecrash").chmod(0o755)
    done = execute(script("rehearse"), tmp_path, OPTIONS=options, GITHUB_OUTPUT=str(tmp_path / "told"))
    assert "the options are no words of a command line, nothing was started" in done.stderr
    assert (tmp_path / "told").read_text() == "exit-code=2\nrun=\n"
    assert not (tmp_path / "started").exists()


def test_a_finished_run_is_told_in_the_summary(tmp_path: Path) -> None:
    """No rehearsal is made here: `gatecrash` stands for one that left a run directory and an exit code."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "runs" / "20261101-earlier").mkdir(parents=True)
    left = 'mkdir -p "$4/20261123-mine"; echo "### gatecrash: NOT READY" > "$4/20261123-mine/comment.md"; exit 4'
    (tmp_path / "bin" / "gatecrash").write_text(f"#!/bin/sh\n{left}\n")
    (tmp_path / "bin" / "gatecrash").chmod(0o755)
    told = {name: str(tmp_path / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    assert execute(script("rehearse"), tmp_path, SCENARIO="mine.yaml", OUT="runs", **told).returncode == 0
    assert (tmp_path / "github_output").read_text() == "exit-code=4\nrun=runs/20261123-mine\n"
    assert (tmp_path / "github_step_summary").read_text() == "### gatecrash: NOT READY\n"


def test_the_comment_of_a_pull_request_is_replaced_or_else_written(tmp_path: Path) -> None:
    """`gh` is GitHub's; what it is asked is looked at."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text('#!/bin/sh\necho "$*" >> asked\ncase "$*" in *--edit-last*) exit 1;; esac\n')
    (tmp_path / "bin" / "gh").chmod(0o755)
    done = execute(script("comment"), tmp_path, PULL_REQUEST="7", RUN="runs/mine")
    assert done.returncode == 0
    assert (tmp_path / "asked").read_text().splitlines() == [
        "pr comment 7 --edit-last --body-file runs/mine/comment.md",
        "pr comment 7 --body-file runs/mine/comment.md",
    ]


def test_the_gitlab_job_keeps_what_the_run_left_whatever_its_verdict(tmp_path: Path) -> None:
    [job] = JOBS.values()
    assert job["artifacts"]["when"] == "always"
    gatecrash_on_path(tmp_path / ".gatecrash")
    (tmp_path / ".gatecrash" / "bin").symlink_to(tmp_path / ".gatecrash")
    (tmp_path / "mine.yaml").write_text(BAD)
    done = execute("\n".join(job["script"]), tmp_path, SCENARIO="mine.yaml", OPTIONS="")
    assert done.returncode == 2
    assert "mine.yaml:4" in done.stderr
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "comment.md").write_text("told")
    assert execute("\n".join(job["after_script"]), tmp_path).stdout == "told"
