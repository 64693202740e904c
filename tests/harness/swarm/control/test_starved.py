"""A load generator that lacks something says so: each kind of want, brought about on purpose, is noticed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from harness.judging.validity import health, judge_generator
from harness.record.verdict import GeneratorResult, Validity
from harness.scenario import Arrivals, GeneratorLimits
from harness.swarm.messaging.protocol import Armed, Finished, Progress, Release, ReleaseCommand, Settle, Settled
from tests.harness.swarm.namespaces import inside, listener_inside, network_namespace
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec
from tests.harness.swarm.test_swarm import shop

DURATION_S = 3.0


def released(swarm: SwarmProcess) -> None:
    swarm.expect(Armed)
    swarm.tell(ReleaseCommand())
    swarm.expect(Release)


def judged(swarm: SwarmProcess) -> GeneratorResult:
    swarm.expect(Finished)
    swarm.tell(Settle())
    load = swarm.expect(Settled).load
    assert swarm.ended() == 0
    return judge_generator(load, health(swarm.table("generator"), DURATION_S, load.workers), GeneratorLimits())


def test_too_few_file_descriptors(tmp_path: Path) -> None:
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, fans=200, workers=1, connect="cold", duration_s=DURATION_S)
        with running(spec, "prlimit", "--nofile=70:70") as swarm:
            released(swarm)
            result = judged(swarm)
    errors = set(swarm.table("requests")["error"].to_pylist())
    assert "fds_exhausted" in errors
    assert result.validity is Validity.INVALID
    assert any("without a port or file descriptor" in reason for reason in result.reasons)


def test_more_addresses_have_more_ports(tmp_path: Path) -> None:
    """As without any named: on loopback a worker takes as many as its users need."""
    with network_namespace("gc-sources") as space:
        narrow = "echo 42000 42039 > /proc/sys/net/ipv4/ip_local_port_range"
        with serving(shop, listener=listener_inside(space, ("127.0.0.1", 18080))) as server:
            spec = shop_spec(server.url, tmp_path, fans=120, workers=2, duration_s=DURATION_S)
            with running(spec, *inside(space), "sh", "-c", f'{narrow}; exec "$@"', "sh") as swarm:
                released(swarm)
                judged(swarm)
    assert set(swarm.table("requests")["error"].to_pylist()) == {""}
    assert set(swarm.table("generator")["ports_limit"].to_pylist()) == {8 * 40}


def test_no_ports_left(tmp_path: Path) -> None:
    with network_namespace("gc-ports") as space:
        narrow = "echo 42000 42039 > /proc/sys/net/ipv4/ip_local_port_range"
        with serving(shop, listener=listener_inside(space, ("127.0.0.1", 18080))) as server:
            one = {"source_addresses": ("127.0.0.1",)}
            spec = shop_spec(server.url, tmp_path, fans=120, workers=1, connect="cold", duration_s=DURATION_S, **one)
            with running(spec, *inside(space), "sh", "-c", f'{narrow}; exec "$@"', "sh") as swarm:
                released(swarm)
                result = judged(swarm)
    assert "ports_exhausted" in set(swarm.table("requests")["error"].to_pylist())
    assert set(swarm.table("generator")["ports_limit"].to_pylist()) == {40}
    assert result.validity is Validity.INVALID
    assert any("without a port or file descriptor" in reason for reason in result.reasons)


def test_too_little_cpu(tmp_path: Path) -> None:
    """The worker gets a tenth of a core, the way cpulimit does it: stopped and continued."""
    done = threading.Event()

    def ration(pid: int) -> None:
        while not done.wait(0.04):
            os.kill(pid, signal.SIGSTOP)
            done.wait(0.36)
            os.kill(pid, signal.SIGCONT)

    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", workers=1, duration_s=DURATION_S)
        with running(spec) as swarm:
            released(swarm)
            swarm.expect(Progress)
            rationing = threading.Thread(target=ration, args=(swarm.worker_pids()[0],))
            rationing.start()
            try:
                swarm.expect(Finished)
            finally:
                done.set()
                rationing.join()
            swarm.tell(Settle())
            load = swarm.expect(Settled).load
            assert swarm.ended() == 0
    result = judge_generator(load, health(swarm.table("generator"), DURATION_S, load.workers), GeneratorLimits())
    assert result.validity is not Validity.VALID
    assert any("event-loop lag" in reason for reason in result.reasons)


def test_a_busy_worker_is_not_lost(tmp_path: Path) -> None:
    """A worker that says nothing for longer than Locust puts up with goes on where it stood."""
    ramp = Arrivals(shape="ramp", ramp_s=11.0)
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, workers=1, fans=40, duration_s=12.0, arrivals=ramp)
        with running(spec) as swarm:
            released(swarm)
            (worker,) = swarm.worker_pids()
            os.kill(worker, signal.SIGSTOP)
            for _ in range(8):  # one a second
                swarm.expect(Progress)
            os.kill(worker, signal.SIGCONT)
            finished = swarm.expect(Finished)
            assert swarm.ended() == 0
    assert not any(one.lost for one in finished.load.workers)
    assert finished.load.users_released == 40


def test_a_worker_killed(tmp_path: Path) -> None:
    with serving(shop) as server:
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", duration_s=DURATION_S)
        with running(spec) as swarm:
            released(swarm)
            swarm.await_recorded(50)
            os.kill(max(swarm.worker_pids()), signal.SIGKILL)
            finished = swarm.expect(Finished)
            swarm.tell(Settle())
            load = swarm.expect(Settled).load
            assert swarm.ended() == 0
        answered = {asked.connection for asked in server.asked}
    assert answered
    result = judge_generator(load, health(swarm.table("generator"), DURATION_S, load.workers), GeneratorLimits())
    (lost,) = [worker for worker in load.workers if worker.lost]
    assert result.validity is Validity.INVALID
    assert f"worker {lost.worker} was lost" in result.reasons
    missing = lost.requests_sent - lost.samples_recorded
    assert missing >= 0
    (note,) = [note for note in finished.notes if "died" in note]
    assert f"{missing:,} of its {lost.requests_sent:,} requests are missing" in note
    assert 0 <= load.requests_sent - len(server.asked) <= 1  # one may have been counted and not sent yet
