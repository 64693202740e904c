"""`gatecrash init` from flags: what it writes for every combination, and that it never writes half a folder."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.adapter.checking.describe import describe
from harness.cli.loading import load_planned
from harness.errors import InputError
from harness.scaffold.folder import write_folder
from harness.scaffold.plain import plain_files
from tests.e2e import rehearsals

LINES_MAX = 120
KINDS = list(itertools.product((False, True), (False, True)))


@pytest.mark.parametrize(("seats", "queue"), KINDS)
def test_every_combination_is_an_adapter_and_a_scenario_that_fit(tmp_path: Path, seats: bool, queue: bool) -> None:
    folder = tmp_path / f"made-{seats}-{queue}"
    write_folder(folder, plain_files(seats=seats, queue=queue))
    described = describe(f"{folder / 'shop.py'}:Shop")
    assert described.problems == ()
    assert described.hints == ()
    assert ("queue" in described.capabilities) == queue
    assert ("seats" if seats else "stock") in described.capabilities
    assert ("stock" if seats else "seats") not in described.capabilities
    done = subprocess.run(
        rehearsals.command("scenario", "check", "onsale.yaml"), cwd=folder, capture_output=True, text=True, check=False,
        env=rehearsals.environment(tmp_path / "tmp"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("seats", "queue"), KINDS)
def test_what_is_written_reads_well(seats: bool, queue: bool) -> None:
    files = plain_files(seats=seats, queue=queue)
    assert sorted(files) == [
        ".github/workflows/rehearse.yml", ".gitignore", "README.md", "onsale.yaml", "prepare.sh", "shop.py",
    ]  # fmt: skip
    adapter = files["shop.py"]
    ast.parse(adapter)
    assert len(adapter.splitlines()) <= LINES_MAX
    assert max(map(len, adapter.splitlines())) <= 120
    assert adapter.count("CHANGE") >= 10
    workflow = yaml.safe_load(files[".github/workflows/rehearse.yml"])
    assert "gatecrash rehearse onsale.yaml" in str(workflow["jobs"]["rehearse"]["steps"])
    assert not any(text.endswith("\n\n") or "{%" in text for text in files.values())


def test_the_scripts_can_be_run_and_nothing_is_left_aside(tmp_path: Path) -> None:
    write_folder(tmp_path / "made", plain_files(seats=False, queue=False))
    assert os.access(tmp_path / "made" / "prepare.sh", os.X_OK)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    done = subprocess.run(["/bin/sh", "-n", tmp_path / "made" / "prepare.sh"], check=False)
    assert done.returncode == 0


def test_an_empty_folder_stays_the_same_one(tmp_path: Path) -> None:
    before = tmp_path.stat().st_ino
    write_folder(tmp_path, {"a.txt": "a", "b/c.txt": "c"})
    assert tmp_path.stat().st_ino == before
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b", "c.txt"]


def a_file(place: Path) -> Path:
    place.write_text("mine")
    return place


def a_full_folder(place: Path) -> Path:
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    return place


def a_link_to_nowhere(place: Path) -> Path:
    place.symlink_to(place.parent / "nothing")
    return place


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (a_file, "is no folder"),
        (a_full_folder, "is not empty"),
        (a_link_to_nowhere, "leads nowhere"),
        (lambda place: place / "below", "there is no folder"),
        (lambda place: Path("a\0b"), "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line_and_stays_as_it_was(tmp_path: Path, made, said: str) -> None:
    folder = made(tmp_path / "place")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=said) as caught:
        write_folder(folder, {"shop.py": "x"})
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_that_cannot_be_written_leaves_no_half_folder(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "made"
    if exists:
        folder.mkdir()
    with pytest.raises(InputError):
        write_folder(folder, {"a.txt": "a", f"{'long' * 100}.txt": "b"})
    assert [path.name for path in tmp_path.rglob("*")] == (["made"] if exists else [])


def test_the_command_says_what_to_do_next(tmp_path: Path) -> None:
    done = rehearsals.run(tmp_path / "tmp", "init", str(tmp_path / "made"), "--queue")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "gatecrash rehearse onsale.yaml" in done.stderr
    again = rehearsals.run(tmp_path / "tmp", "init", str(tmp_path / "made"))
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1
    both = rehearsals.run(tmp_path / "tmp", "init", str(tmp_path / "other"), "--seats", "--stock")
    assert both.returncode == 2
    assert not (tmp_path / "other").exists()


def test_the_scenario_has_no_faults_until_its_edges_are_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "made", plain_files(seats=False, queue=True))
    source, faults = load_planned(str(tmp_path / "made" / "onsale.yaml"), [])
    assert faults == ()
    assert source.scenario.platform is not None
