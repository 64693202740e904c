"""A paired rehearsal as a user runs it: two halves, one answer, nothing left behind."""

import signal
import subprocess
from pathlib import Path

import pytest

from harness.record.reader import Record
from tests.e2e import rehearsals
from tests.e2e.rehearsals import Rehearsed
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def pair(room: Path) -> Rehearsed:
    return rehearsals.rehearse(room, "smoke", "--users", "60", "--paired")


def test_both_halves_are_whole_runs_of_the_same_journeys(pair: Rehearsed) -> None:
    treatment, control = Record.open(pair.run), Record.open(pair.run / "control")
    assert treatment.run.complete, pair.done.stderr
    assert control.run.complete, pair.done.stderr
    assert control.run.journey_digest == treatment.run.journey_digest
    assert control.run.run_id == f"{pair.run.name}/control"
    assert [len(half.faults.faults) for half in (control, treatment)] == [0, 1]
    said = pair.done.stderr
    assert said.index("control (1 of 2) · release") < said.index("treatment (2 of 2) · release")


def test_the_verdict_is_the_treatments_with_the_comparison_or_why_there_is_none(pair: Rehearsed) -> None:
    verdict = rehearsals.verdict(pair.run)
    assert pair.done.stdout.startswith(verdict.verdict)
    assert verdict.run_id == pair.run.name
    found = verdict.paired
    assert found is not None
    assert found.control_verdict == rehearsals.verdict(pair.run / "control").verdict
    assert bool(found.left_out) != bool(found.indicators)
    assert 'id="paired"' in (pair.run / "report.html").read_text()


def test_the_gate_watches_over_the_controls_files_too(pair: Rehearsed) -> None:
    gate = rehearsals.run(pair.temporary, "gate", str(pair.run))
    assert gate.returncode == pair.done.returncode, gate.stderr
    digests = rehearsals.verdict(pair.run).record
    if rehearsals.verdict(pair.run).paired.left_out == "":
        assert "control/requests.parquet" in digests


def test_nothing_of_either_half_is_left_behind(pair: Rehearsed) -> None:
    assert rehearsals.processes_of(pair.run, pair.temporary) == []
    assert rehearsals.processes_of(pair.run / "control", pair.temporary) == []
    assert list(pair.temporary.iterdir()) == []


def test_ctrl_c_in_the_control_ends_both_halves_and_keeps_what_was_recorded(room: Path) -> None:
    out, log, temporary = room / "stopped", room / "stopped.log", room / "stopped-tmp"
    words = rehearsals.command("rehearse", "smoke", "--users", "20", "--paired", "--out", str(out))
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            words, env=rehearsals.environment(temporary), cwd=rehearsals.ROOT, stderr=stderr, stdout=subprocess.DEVNULL
        )
        try:
            wait_until(
                lambda: "control (1 of 2) · T+" in log.read_text(), within_s=120, what="the control's first second"
            )
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(30)
    run = rehearsals.only_run(out)
    assert "treatment" not in log.read_text()
    assert not Record.open(run / "control").run.complete
    assert rehearsals.processes_of(run / "control", temporary) == []
    assert list(temporary.iterdir()) == []
