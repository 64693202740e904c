import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.errors import EnvironmentProblem
from harness.processes.managed import ManagedProcess, child_environment, stop_all
from tests.waiting import wait_until

FOREVER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def started(command: list[str], log: Path) -> ManagedProcess:
    process = ManagedProcess("part", command, log=log)
    process.wait_healthy(lambda: "up" in log.read_text(), within_s=10)
    return process


def test_a_stopped_process_is_gone_and_is_no_anomaly(tmp_path: Path) -> None:
    process = started(FOREVER, tmp_path / "log")
    stop_all([process], within_s=3)
    assert not psutil.pid_exists(process.pid)
    assert process.death(None) is None


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    process = started(STUBBORN, tmp_path / "log")
    process.stop(within_s=0.2)
    assert not psutil.pid_exists(process.pid)


def test_a_child_of_a_child_does_not_survive(tmp_path: Path) -> None:
    spawn = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        "print('up', child.pid, flush=True); time.sleep(600)"
    )
    log = tmp_path / "log"
    process = started([sys.executable, "-c", spawn], log)
    grandchild = int(log.read_text().split()[1])
    process.stop(within_s=2)
    wait_until(lambda: not psutil.pid_exists(grandchild) or _is_zombie(grandchild), what="the grandchild's end")


@pytest.mark.parametrize("end", [lambda process: process.stop(within_s=5), ManagedProcess.kill], ids=["stop", "kill"])
def test_a_child_in_a_session_of_its_own_is_gone_at_once(tmp_path: Path, end: Callable[[ManagedProcess], None]) -> None:
    """PostgreSQL's servers lead one each: while one of them lives, its cluster cannot be started again."""
    spawn = f"import subprocess, time; subprocess.Popen({STUBBORN!r}, start_new_session=True); time.sleep(600)"
    process = started([sys.executable, "-c", spawn], tmp_path / "log")
    [child] = psutil.Process(process.pid).children()
    end(process)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_started_again_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = started(FOREVER, log)
    process.kill()
    asking = threading.Thread(target=process.start_again)
    asking.start()
    asking.join()
    process.wait_healthy(lambda: log.read_text().count("up") == 2, within_s=10)
    assert process.running
    assert process.death(None) is None
    process.stop(within_s=3)


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_death_of_its_own_is_told_once_with_its_last_words(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "print('up', flush=True); input() if False else None; raise SystemExit('no more seats')",
    ]
    process = ManagedProcess("worker", command, log=tmp_path / "log")
    wait_until(lambda: not process.running)
    death = process.death(12.5)
    assert death is not None
    assert death.t_s == 12.5
    assert death.source == "worker"
    assert "exited with code 1" in death.text
    assert "no more seats" in death.text
    assert process.death(13.0) is None


def test_a_kill_from_outside_is_named(tmp_path: Path) -> None:
    process = started(FOREVER, tmp_path / "log")
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.running)
    death = process.death(None)
    assert death is not None
    assert "killed by signal 9" in death.text


def test_dying_while_starting_is_one_clear_line(tmp_path: Path) -> None:
    process = ManagedProcess("valkey", [sys.executable, "-c", "raise SystemExit('bad option')"], log=tmp_path / "log")
    with pytest.raises(EnvironmentProblem, match=r"valkey ended while starting \(exit code 1\): bad option"):
        process.wait_healthy(lambda: False, within_s=10)


def test_not_healthy_in_time_is_an_error(tmp_path: Path) -> None:
    process = started(FOREVER, tmp_path / "log")
    try:
        with pytest.raises(EnvironmentProblem, match="not healthy within"):
            process.wait_healthy(lambda: False, within_s=0.1)
    finally:
        process.stop(within_s=2)


def test_a_failed_job_says_why(tmp_path: Path) -> None:
    job = ManagedProcess("migrate", [sys.executable, "-c", "raise SystemExit('no table')"], log=tmp_path / "log")
    with pytest.raises(EnvironmentProblem, match="migrate failed with exit code 1: no table"):
        job.wait_success(within_s=10)


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot start ghost"):
        ManagedProcess("ghost", [tmp_path / "ghost"], log=tmp_path / "log")


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's")
def test_children_do_not_outlive_a_parent_that_is_killed_outright(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import sys, time; from pathlib import Path; from harness.processes.managed import ManagedProcess;"
        f"child = ManagedProcess('child', {FOREVER!r}, log=Path({str(log)!r}));"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=child_environment({}))
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not psutil.pid_exists(child) or _is_zombie(child), what="the child's end")
