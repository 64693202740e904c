"""`drill --rehearse-runbook`: a person at a terminal heals the fault with the commands of the runbook, and is timed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "harness"]
pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """The person's end, and what the drill reads from."""
    person, drill = pty.openpty()
    try:
        yield person, drill
    finally:
        os.close(person)
        os.close(drill)


def test_a_person_heals_and_the_times_are_in_the_record_and_the_report(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {**os.environ, "GATECRASH_STATE": str(tmp_path / "state")}
    told = tmp_path / "told"
    drill = [*COMMAND, "drill", "redis-down", "--rehearse-runbook", "--within", "20", "--out", str(tmp_path / "runs")]
    with terminal() as (person, stdin), told.open("wb") as stderr:
        running = subprocess.Popen(drill, cwd=ROOT, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
        request.addfinalizer(running.terminate)  # it heals and takes down what it raised

        def until(words: str) -> None:
            def said() -> bool:
                assert running.poll() is None, told.read_text()
                return words in told.read_text()

            wait_until(said, within_s=120, what=words)

        until("ALERT: redis-down")
        assert "Runbook: docs/runbooks.md#redis-down" in told.read_text()
        os.write(person, b"\n")
        until("acknowledged")
        os.write(person, b"looked at it\n")
        until("still in force")
        healed = subprocess.run([*COMMAND, "chaos", "heal", "--all"], cwd=ROOT, env=environment, check=False)
        assert healed.returncode == 0
        os.write(person, b"gave Redis its connections back\n")
        until("mitigated; the drill goes on")
        out, _ = running.communicate(timeout=240)
    [run] = (tmp_path / "runs").iterdir()
    [fault] = json.loads((run / "verdict.json").read_text())["faults"]
    times = fault["runbook_times"]
    assert fault["proven"], fault["error"]
    assert times["alert_s"] <= times["acknowledged_s"] < times["mitigated_s"] < times["alert_s"] + 20
    assert fault["t_end_s"] - fault["t_start_s"] < 20
    assert times["recovered_s"] is not None
    assert times["said"] == "gave Redis its connections back"
    assert b"runbook of redis-down: alert at T+" in out
    assert "What they did: gave Redis its connections back" in (run / "report.html").read_text()
    assert "by a person with the runbook: alert" in (run / "report.md").read_text()
