"""The instrument in trouble during a real run: no verdict, one sentence, and the report of what was seen until then."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from harness.record.verdict import Decision, Validity
from tests.e2e import rehearsals
from tests.e2e.test_interrupted import BUSY_S, rehearsing
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

REPORTS = ("verdict.json", "report.html", "report.md", "junit.xml")
STOPPED_S = 5.0


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    one = psutil.Process(process.pid)
    return [one, *one.children(recursive=True)]


def one_of(process: subprocess.Popen[bytes], *words: str) -> psutil.Process:
    """The one below the rehearsal that has these words in its command line."""

    def fits(one: psutil.Process) -> bool:
        return all(word in one.cmdline() for word in words)

    (found,) = [one for one in family(process) if fits(one)]
    return found


def left_behind(run: Path) -> str:
    """What the verdict of a run that ended early says; all four files are there and say the same."""
    verdict = rehearsals.verdict(run)
    assert (verdict.verdict, verdict.grade) == (Decision.NO_VERDICT, None)
    texts = {name: (run / name).read_text() for name in REPORTS}
    assert all("NO VERDICT" in texts[name] for name in REPORTS[:3])
    assert "<error" in texts["junit.xml"] or "<failure" in texts["junit.xml"]
    return verdict.reason


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("harness.swarm",), "the load generator's master process died: it was killed by signal 9"),
        (("chaos.lease.reaper",), "the reaper died, the process that heals when we cannot"),
        (("chaos.proxy",), "fault-proxy died on its own: it was killed by signal 9"),
    ],
)
def test_a_process_of_ours_that_is_killed_gives_no_verdict_and_is_named(
    room: Path, words: tuple[str, ...], sentence: str
) -> None:
    place = room / words[0]
    place.mkdir()
    place.chmod(0o711)
    with rehearsing(place) as (process, out, log):
        wait_until(lambda: "T+" in log.read_text(), within_s=BUSY_S, what="the run")
        one_of(process, *words).kill()
        assert process.wait(BUSY_S) == 3, log.read_text()
    said = log.read_text().splitlines()
    (line,) = [line for line in said if line.startswith("gatecrash: ")]
    assert line.startswith(f"gatecrash: {sentence}")
    run = rehearsals.only_run(out)
    assert said[-1] == line
    assert left_behind(run).startswith(f"The run ended early: {sentence}")
    assert "Traceback" not in log.read_text()
    assert rehearsals.processes_of(run, place / "tmp") == []


def test_a_rehearsal_that_stood_still_was_not_measuring(room: Path) -> None:
    with rehearsing(room, "--no-chaos") as (process, out, log):
        wait_until(lambda: "T+" in log.read_text(), within_s=BUSY_S, what="the run")
        everybody = family(process)
        for one in everybody:
            one.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(STOPPED_S)
        for one in everybody:
            one.send_signal(signal.SIGCONT)
        assert process.wait(BUSY_S) == 3, log.read_text()
    verdict = rehearsals.verdict(rehearsals.only_run(out))
    assert verdict.generator is not None
    assert (verdict.verdict, verdict.generator.validity) == (Decision.NO_VERDICT, Validity.INVALID)
    assert verdict.generator.stall_s_max is not None
    assert verdict.generator.stall_s_max >= STOPPED_S - 0.1
    assert "a worker stood still" in verdict.reason


def test_an_interrupted_run_leaves_its_report_too(room: Path) -> None:
    with rehearsing(room, "--no-chaos", "--users", "31") as (process, out, log):
        wait_until(lambda: "T+" in log.read_text(), within_s=BUSY_S, what="the run")
        process.send_signal(signal.SIGINT)
        assert process.wait(BUSY_S) == 130, log.read_text()
    assert left_behind(rehearsals.only_run(out)) == "The run was interrupted by the user before the end."


def test_a_run_that_cannot_arm_leaves_its_report_too(room: Path) -> None:
    arguments = ("--no-chaos", "--users", "33", "--set", "load.arm_timeout_s=0.001")
    with rehearsing(room, *arguments) as (process, out, log):
        assert process.wait(BUSY_S) == 3, log.read_text()
    assert "could be armed" in left_behind(rehearsals.only_run(out))


def test_a_part_of_the_platform_that_hangs_before_the_release_gives_no_verdict(room: Path) -> None:
    with rehearsing(room, "--users", "35", "--set", "settle_timeout_s=2") as (process, out, log):
        wait_until(lambda: _stands(out), within_s=BUSY_S, what="the platform")
        one_of(process, "chaos.proxy").send_signal(signal.SIGSTOP)
        assert process.wait(BUSY_S) == 3, log.read_text()
    assert left_behind(rehearsals.only_run(out))


def _stands(out: Path) -> bool:
    return any(out.glob("*/run.json")) and bool(rehearsals.document(rehearsals.only_run(out)).processes)
