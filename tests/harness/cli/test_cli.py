"""The command line as a user meets it: one line and an exit code for what is wrong, and nothing started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import __version__
from harness.commit import commit_of
from harness.stack.reference.planted_bugs import planted_bugs
from tests.builders import RunBuilder

ROOT = Path(__file__).resolve().parents[3]


def gatecrash(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["no-such-scenario"], "no-such-scenario"),
        (["no-such-file.yaml"], "no-such-file.yaml"),
        (["smoke", "--set", "load.fnas=3"], "fans"),
        (["smoke", "--set", "load.fans"], "key=value"),
        (["smoke", "--nonsense"], "--nonsense"),
        (["smoke", "--users", "-1"], "--users -1"),
        (["smoke", "--users", "many"], "--users"),
        (["smoke", "--bots", "-1"], "--bots -1"),
        (["smoke", "--users", "0", "--spectators", "0"], "nobody comes"),
        (["smoke", "--min-grade", "Z"], "--min-grade Z"),
        (["smoke", "--remote-workers", "1", "--listen", "10.9.8.7"], "--listen"),
        (["smoke", "--remote-workers", "-1"], "--remote-workers"),
        (["smoke", "--set", "load.arrivals.shape=spiral"], "load.arrivals.shape=spiral"),
        (["smoke", "--set", "load.source_addresses=[ten]"], "'ten' is no IP address"),
        (["smoke", "--set", "load.source_addresses=[127.0.0.2, 127.0.0.2]"], "127.0.0.2 comes twice"),
        (["smoke", "--set", "load.source_addresses=[198.51.100.7]"], "198.51.100.7 is no address of this machine"),
        (["smoke", "--users", "9000000"], "9,000,020 users cannot be armed on this machine"),
        (["smoke", "--plant-bug", "lost_acks"], "did you mean 'lost_ack'?"),
        (["smoke", "--paired", "--no-chaos"], "--paired: there is no fault"),
        (["smoke", "--paired", "--remote-workers", "1"], "--paired: workers of other machines"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_to_rehearse_starts_nothing(tmp_path: Path, arguments: list[str], named: str) -> None:
    out = tmp_path / "runs"
    done = gatecrash("rehearse", *arguments, "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scenario", "list"], "smoke"),
        (["scenario", "show", "smoke", "--set", "load.fans=77"], "fans: 77"),
        (["scenario", "check", "smoke"], "smoke: ok"),
        (["scenario", "check", "smoke", "--set", "load.fans=77"], "smoke: ok (77 fans"),
        (["scenario", "check", "bot-raid"], "240 fans, 160 bots, 10 spectators"),
        (["scenario", "show", "bot-raid", "--set", "load.bots=7"], "bots: 7"),
        (["scenario", "show", "bot-raid"], "replay_ticket: 1"),
        (["experiment", "list"], "redis-down"),
        (["experiment", "show", "redis-down"], "name: redis-down"),
        (["experiment", "check", "redis-down"], "redis-down: ok"),
        (["target", "bugs"], "no_lost_booking"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_scenarios_and_experiments_can_be_looked_at(arguments: list[str], says: str) -> None:
    done = gatecrash(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--bug", "lost_acks"], "did you mean 'lost_ack'?"),
        (["--sample", "0", "--clean", "0"], "nothing to run"),
        (["--sample", "-1"], "--sample"),
        (["--jobs", "0"], "--jobs"),
        (["--clean", "many"], "--clean"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_to_selftest_starts_nothing(tmp_path: Path, arguments: list[str], named: str) -> None:
    out = tmp_path / "runs"
    done = gatecrash("selftest", *arguments, "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert not out.exists()


def test_a_corrupted_record_is_refused_by_report(tmp_path: Path) -> None:
    paths = RunBuilder().write(tmp_path)
    table = paths.table("requests")
    table.write_bytes(table.read_bytes()[:100])
    done = gatecrash("report", paths.root)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "requests.parquet" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["plan", "--users", "0", "--window", "30"], "--users"),
        (["plan", "--users", "10", "--window", "0"], "--window"),
        (["plan", "--users", "10"], "--window"),
        (["worker"], "--master"),
        (["worker", "--master", "127.0.0.1:1"], "--key"),
        (["worker", "--master", "127.0.0.1:1", "--key", "hunter2"], "is not a key of 64 hexadecimal digits"),
        (["worker", "--master", ":9", "--key", "ab" * 32], "--master"),
        (["worker", "--master", "127.0.0.1:1", "--key", "ab" * 32, "--wait", "0"], "no master answers at 127.0.0.1:1"),
        (["worker", "--master", "127.0.0.1:1", "--key", "ab" * 32, "--scenario", "smok"], "did you mean 'smoke'?"),
        (["worker", "--master", "127.0.0.1:1", "--key", "ab" * 32, "--load", "none.py"], "there is no file none.py"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_to_plan_and_worker_is_one_line(arguments: list[str], named: str) -> None:
    done = gatecrash(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


@pytest.mark.parametrize("command", ["rehearse", "gate", "report", "plan", "worker"])
def test_help_shows_an_example(command: str) -> None:
    done = gatecrash(command, "--help")
    assert done.returncode == 0
    assert f"\n  gatecrash {command}" in done.stdout


def test_random_faults_that_do_not_fit_are_refused_before_anything_starts(tmp_path: Path) -> None:
    done = gatecrash("rehearse", "smoke", "--random-faults", "9", "--out", tmp_path)
    assert done.returncode == 2
    assert "--random-faults" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_compare_refuses_a_run_that_cannot_be_judged_and_one_that_is_none(tmp_path: Path) -> None:
    for name in ("base", "run"):
        RunBuilder(fans=20, faulty=False).changed(complete=False).write(tmp_path / name)
        gatecrash("report", tmp_path / name)
    done = gatecrash("compare", tmp_path / "base", tmp_path / "run")
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is nothing to compare: the base gave no verdict" in done.stderr
    missing = gatecrash("compare", tmp_path / "base", tmp_path / "never")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert len(missing.stderr.splitlines()) == 1


def test_it_tells_its_version() -> None:
    done = gatecrash("--version")
    assert (done.returncode, done.stdout.split()) == (0, ["gatecrash", __version__, commit_of(ROOT)])


def test_help_cuts_no_command_short() -> None:
    listed = gatecrash("--help").stdout
    for command in ("rehearse", "drill", "gate", "report", "compare", "selftest", "worker", "plan", "doctor"):
        [line] = [line for line in listed.splitlines() if line.startswith(f"  {command} ")]
        assert not line.endswith("...")


@pytest.mark.parametrize(
    ("arguments", "command"),
    [(["rehearse", "--nope"], "gatecrash rehearse"), (["scenario", "check"], "gatecrash scenario check")],
)
def test_bad_usage_points_to_the_help_of_its_own_command(arguments: list[str], command: str) -> None:
    done = gatecrash(*arguments)
    assert done.returncode == 2
    assert done.stderr.endswith(f"(see `{command} --help`)\n")


def test_a_table_in_a_pipe_has_one_line_for_each_row() -> None:
    lines = gatecrash("target", "bugs").stdout.splitlines()
    assert len(lines) == 1 + len(planted_bugs())
    assert all(line == line.rstrip() for line in lines)


INTERRUPTED_AT_THE_JUDGING = """
import signal
from harness.cli import main
from tests.harness.cli.stopping import stop_at_the_judging
stop_at_the_judging(signal.SIGINT)
main()
"""


def test_a_report_that_is_interrupted_says_how_to_get_it(tmp_path: Path) -> None:
    RunBuilder(fans=60, faulty=False).write(tmp_path)
    command = [sys.executable, "-c", INTERRUPTED_AT_THE_JUDGING, "report", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    assert done.returncode == 130
    assert f"interrupted before the verdict (nothing is lost: `gatecrash report {tmp_path}`" in done.stderr
    assert not (tmp_path / "verdict.json").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("scenario", "list"),
        ("scenario", "show", "smoke"),
        ("experiment", "list"),
        ("target", "bugs", "--json"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_list_whose_reader_left_early_ends_quietly(command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    asked = [sys.executable, "-m", "harness", *command]
    done = subprocess.run(asked, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [("gate", ""), ("report", ""), ("compare", "", "")], ids=" ".join)
def test_an_empty_path_is_no_run_directory(command: tuple[str, ...]) -> None:
    done = gatecrash(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "empty" in done.stderr


@pytest.mark.parametrize(
    "command",
    [("experiment", "check"), ("scenario", "check"), ("chaos", "import"), ("toxiproxy", "--port", "0", "--config")],
    ids=" ".join,
)
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero"):
        done = gatecrash(*command, path)
        assert (done.returncode, done.stdout) == (2, "")
        assert str(path) in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_a_pipe_in_place_of_a_stream_of_the_record_is_not_opened(tmp_path: Path) -> None:
    paths = RunBuilder(fans=2, faulty=False).changed(complete=False).write(tmp_path)
    paths.table("spans").unlink()
    paths.spool("spans", 1).parent.mkdir()
    for stream in (paths.live_table("spans"), paths.spool("spans", 1)):
        os.mkfifo(stream)
        done = gatecrash("report", tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{stream}: is no file" in done.stderr
        stream.unlink()
