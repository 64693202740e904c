"""T0 is taken by every worker, or moved, or there is no release: real workers, stopped at the worst time."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from harness.swarm.messaging.protocol import Armed, Arming, FailureMessage, Finished, Release, ReleaseCommand
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec
from tests.harness.swarm.test_swarm import shop
from tests.waiting import wait_until


def log_says(swarm: SwarmProcess, words: str) -> bool:
    return words in (swarm.run_dir / "swarm.log").read_text()


def test_who_is_late_to_arm_is_named_with_worker_and_host(tmp_path: Path) -> None:
    with (
        serving(shop) as server,
        running(shop_spec(server.url, tmp_path, customer="Dawdler", fans=8, arm_timeout_s=2.0)) as swarm,
    ):
        armed = swarm.expect(Armed)
        assert swarm.ended() == 0
    assert (armed.armed, armed.asked) == (7, 8)
    (straggler,) = armed.failures
    assert straggler in {f"worker {number} on {socket.gethostname()}: still connecting" for number in (1, 2)}
    assert armed.failures[straggler] == 1


def test_arming_may_take_long_as_long_as_it_goes_on(tmp_path: Path) -> None:
    with (
        serving(shop) as server,
        running(shop_spec(server.url, tmp_path, customer="Latecomer", workers=1, fans=12, arm_timeout_s=3.0)) as swarm,
    ):
        on_the_way = swarm.expect(Arming)
        armed = swarm.expect(Armed)
        assert swarm.ended() == 0
    assert on_the_way.asked == 12
    assert on_the_way.ready < 12
    assert (armed.armed, armed.asked) == (12, 12), armed.failures


def test_a_worker_that_does_not_take_t0_in_time_moves_it_for_all(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, fans=10)) as swarm:
        swarm.expect(Armed)
        stopped = max(swarm.worker_pids())
        os.kill(stopped, signal.SIGSTOP)
        swarm.tell(ReleaseCommand())
        wait_until(lambda: log_says(swarm, "T0 was moved"), within_s=240)
        assert server.asked == []
        os.kill(stopped, signal.SIGCONT)
        swarm.expect(Release)
        finished = swarm.expect(Finished)
        assert swarm.ended() == 0
    assert finished.load.users_released == 10
    assert any("T0 was moved: worker" in note for note in finished.notes)
    first = [row for row in swarm.table("requests").to_pylist() if row["step"] == "queue_page"]
    assert len(first) == 10
    assert min(row["t_start_s"] for row in first) >= 0.0


def test_a_worker_that_never_takes_t0_leaves_everybody_unreleased(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, fans=10)) as swarm:
        swarm.expect(Armed)
        os.kill(max(swarm.worker_pids()), signal.SIGSTOP)
        swarm.tell(ReleaseCommand())
        failed = swarm.expect(FailureMessage)
        assert swarm.ended() == failed.exit_code == 3
        assert server.asked == []
    assert "never took T0" in failed.message


def test_a_worker_that_dies_before_t0_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, fans=10)) as swarm:
        swarm.expect(Armed)
        os.kill(max(swarm.worker_pids()), signal.SIGSTOP)
        swarm.tell(ReleaseCommand())
        os.kill(max(swarm.worker_pids()), signal.SIGKILL)
        failed = swarm.expect(FailureMessage)
        assert swarm.ended() == failed.exit_code == 3
        assert server.asked == []
    assert "died before T0" in failed.message


def test_the_skew_of_each_worker_and_of_all_is_told(tmp_path: Path) -> None:
    with serving(shop) as server, running(shop_spec(server.url, tmp_path, fans=10)) as swarm:
        swarm.expect(Armed)
        swarm.tell(ReleaseCommand())
        load = swarm.expect(Finished).load
        assert swarm.ended() == 0
    assert load.skew_ms_min == min(worker.skew_ms_min or 0.0 for worker in load.workers)
    assert load.skew_ms_max == max(worker.skew_ms_max or 0.0 for worker in load.workers)
    assert 0.0 <= (load.skew_ms_min or 0.0) <= (load.skew_ms_p50 or 0.0) <= (load.skew_ms_max or 0.0)
