import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.record.schema import RunDocument
from tests.e2e import rehearsals
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

BUSY_S = 180.0  # what a rehearsal may take to come to its fault, and to end, on a busy machine


@contextmanager
def rehearsing(room: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    out, log = room / f"runs-{len(arguments)}", room / f"log-{len(arguments)}"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            rehearsals.command("rehearse", "smoke", *arguments, "--out", str(out)),
            env=rehearsals.environment(room / "tmp"),
            cwd=rehearsals.ROOT,
            stderr=stderr,
            stdout=subprocess.DEVNULL,
        )
        try:
            yield process, out, log
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(BUSY_S)


def test_ctrl_c_in_the_middle_of_a_fault_heals_and_leaves_nothing(room: Path) -> None:
    with rehearsing(room) as (process, out, log):
        wait_until(lambda: "fault in force" in log.read_text(), within_s=BUSY_S, what="the fault")
        process.send_signal(signal.SIGINT)
        assert process.wait(BUSY_S) == 130, log.read_text()
    run = rehearsals.only_run(out)
    document = rehearsals.document(run)
    assert not document.complete
    assert any("interrupted" in anomaly.text for anomaly in document.anomalies)
    assert rehearsals.processes_of(run, room / "tmp") == []
    assert list((room / "tmp").iterdir()) == []
    judged = rehearsals.run(room / "tmp", "report", str(run))
    assert judged.returncode in (2, 3), judged.stderr
    assert "Traceback" not in judged.stderr


def test_a_rehearsal_that_is_killed_leaves_no_fault_and_no_process(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECRASH_STATE", str(room / "state"))
    long = ("--set", "duration_s=200", "--set", "faults.0.length_s=190")  # it is in force when the kill comes
    with rehearsing(room, *long, "--users", "30") as (process, out, log):
        wait_until(lambda: "fault in force" in log.read_text(), within_s=BUSY_S, what="the fault")
        process.kill()
        process.wait(BUSY_S)
        wait_until(lambda: not list((room / "state" / "leases").iterdir()), within_s=60, what="the healing")
    run = rehearsals.only_run(out)
    wait_until(
        lambda: rehearsals.processes_of(run, room / "tmp") == [], within_s=BUSY_S, what="the end of all processes"
    )
    log = run / "logs" / "reaper.log"  # written when all is healed and no journal is left
    healed = "redis-down: enable the proxy redis"
    wait_until(lambda: healed in log.read_text(), what=f"{healed!r} in {log.read_text()!r}")


def _worker_pid(out: Path) -> int | None:
    if not out.exists():
        return None
    for path in out.glob("*/run.json"):
        document: RunDocument = rehearsals.document(path.parent)
        return next((process.pid for process in document.processes if process.name == "worker"), None)
    return None


def test_a_process_that_dies_on_its_own_is_said(room: Path) -> None:
    with rehearsing(room, "--no-chaos", "--users", "30") as (_, out, log):
        wait_until(lambda: "release:" in log.read_text(), within_s=BUSY_S, what="the release")
        pid = _worker_pid(out)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: "worker died on its own" in log.read_text(), within_s=BUSY_S, what="the word of it")
    anomalies = rehearsals.document(rehearsals.only_run(out)).anomalies
    assert any(anomaly.source == "worker" and "killed by signal 9" in anomaly.text for anomaly in anomalies)
