"""`runs`, `findings`, `fan` and `compare --fail-on`, as a script calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import GatecrashError, InputError
from tests.builders import RunBuilder
from tests.harness.runs.test_comparable import written


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=True)
    if isinstance(done.exception, GatecrashError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RunBuilder(fans=6, faulty=False).write(tmp_path_factory.mktemp("runs") / "20261123-101500-paper-1a2b").root


def test_runs_are_listed_for_a_script(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    [row] = json.loads(call("runs", "--out", tmp_path, "--json"))
    assert (row["run_id"], row["verdict"], row["since"]) == ("a", "READY", "the first of its scenario")


def test_a_page_of_the_runs_is_written_beside_them(tmp_path: Path) -> None:
    written(tmp_path, "a", "2026-11-20T10:00:00Z")
    assert f"page: {tmp_path / 'index.html'}" in call("runs", "html", "--out", tmp_path)
    assert "All runs" in (tmp_path / "index.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="is nothing that runs are shown as"):
        call("runs", "pdf", "--out", tmp_path)


def test_a_comparison_is_written_as_a_page_and_as_markdown(run: Path, tmp_path: Path) -> None:
    call("compare", run, run, "--html", tmp_path / "c.html", "--markdown", tmp_path / "c.md")
    assert (tmp_path / "c.md").read_text(encoding="utf-8").startswith("# Not worse than base\n")
    assert "Not worse than base" in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_a_retrospective_is_prefilled(run: Path, tmp_path: Path) -> None:
    said = call("retro", run)
    call("retro", run, "--out", tmp_path / "retro.md")
    assert (tmp_path / "retro.md").read_text(encoding="utf-8") == said
    assert "## Timeline" in said


def test_findings_are_kept_in_the_file_with_owner_and_acceptance(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    first = json.loads(call("findings", run, "--file", file, "--json"))
    assert {row["state"] for row in first} == {"new"}
    one = first[0]["id"]
    options = ("--accept", one, "--until", "2999-12-24", "--by", "Ada", "--owner", f"{one}=Bob")
    again = {row["id"]: row for row in json.loads(call("findings", run, "--file", file, *options, "--json"))}
    assert (again[one]["state"], again[one]["owner"], again[one]["accepted"]["by"]) == ("accepted", "Bob", "Ada")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--accept", "x", "--until", "2026-12-24"), "somebody accepts"),
        (("--accept", "x", "--until", "soon", "--by", "Ada"), "is no date"),
        (("--owner", "nobody"), "names no owner"),
    ],
)
def test_half_an_acceptance_is_refused(run: Path, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        call("findings", run, "--file", tmp_path / "kept.json", *options)
    assert not (tmp_path / "kept.json").exists()


def test_a_fan_is_told_by_name_and_for_a_script(run: Path) -> None:
    [told] = json.loads(call("fan", run, "fan-0001", "--json"))
    assert told["actor"] == "fan-0001"
    assert told["lines"]
    assert "fan-0001" in call("fan", run, "1")


def test_there_is_one_thing_to_fail_on(run: Path) -> None:
    with pytest.raises(InputError, match="nothing to fail on"):
        call("compare", run, run, "--fail-on", "everything")
