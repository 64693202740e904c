"""The conductor against a real fault proxy and real servers behind it: it injects, proves, and always heals."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from chaos.injection.conductor import Conductor
from chaos.injection.guards import GuardWatch
from chaos.specification import experiment
from chaos.specification.experiment import Experiment
from chaos.specification.fault import AddToxic, Disconnect, Drop
from chaos.specification.timeline import Planned
from harness.errors import EnvironmentProblem, InputError
from harness.record.schema import FaultRun, FaultsDocument
from tests.chaos import servers
from tests.chaos.servers import ROOT, Pages, ProxyServer, Upstream, Valkey, ping
from tests.waiting import wait_until

Start = Callable[[Callable[[socket.socket], None]], Upstream]
LATE_S = 3.0  # how long a busy machine may sleep over an instant
REDIS = experiment.load("redis-down")


@dataclass(frozen=True)
class Platform:
    """As much of the addresses as the conductor needs."""

    toxiproxy: str
    event: str = "e1"
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OneProcess:
    """As much of the stack control as a preflight asks for: one process of this machine, whatever its name."""

    address: str
    container: str = ""

    def process(self, _name: str) -> OneProcess:
        return self


def made(name: str, *faults: object, **canary: object) -> Experiment:
    """A small experiment."""
    raw = {"name": name, "hypothesis": "", "component": "x", "kind": "x", "length_s": 1.0, "canaries": [canary]}
    return msgspec.convert({**raw, "faults": [msgspec.to_builtins(fault) for fault in faults]}, Experiment)


def faults_of(path: Path) -> tuple[FaultRun, ...]:
    return msgspec.json.decode(path.read_bytes(), type=FaultsDocument).faults


@pytest.fixture
def redis_address(ours: ProxyServer, valkey: Valkey) -> tuple[str, int]:
    """A real Valkey behind the proxy `redis`."""
    return ours.create("redis", valkey.address)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "faults.json"


def run_through(conductor: Conductor, until: Callable[[], bool]) -> None:
    conductor.preflight()
    conductor.start(time.monotonic() + 0.1)
    wait_until(until, within_s=30, what="the schedule")


def healed(path: Path, count: int = 1) -> Callable[[], bool]:
    return lambda: path.exists() and sum(run.t_heal_requested_s is not None for run in faults_of(path)) == count


@pytest.mark.usefixtures("redis_address")
def test_a_refusal_is_injected_proven_healed_and_written_down(ours: ProxyServer, path: Path) -> None:
    with Conductor([Planned(REDIS, 1.0, 4.0)], Platform(ours.url), path) as conductor:
        run_through(conductor, healed(path))
        conductor.finish()
    (run,) = faults_of(path)
    assert run.proven, run.error
    assert None not in (run.t_requested_s, run.t_effective_s, run.t_heal_requested_s, run.t_healed_s)
    assert 1.0 <= run.t_requested_s <= run.t_effective_s < 1.0 + LATE_S
    assert 5.0 <= run.t_heal_requested_s <= run.t_healed_s < 5.0 + LATE_S
    assert run.measured["refused_share"] >= 0.9
    assert {sample.state for sample in run.samples} >= {"ok", "refused"}
    assert msgspec.convert(run.definition, Experiment).expectations == REDIS.expectations
    assert ours.call("GET", "/proxies/redis").json()["enabled"] is True


@pytest.mark.usefixtures("redis_address")
def test_it_says_what_is_in_force(ours: ProxyServer, path: Path) -> None:
    with Conductor([Planned(REDIS, 0.2, LATE_S)], Platform(ours.url), path) as conductor:
        assert conductor.in_force() == ()
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor.in_force() == ("redis-down",))
        wait_until(lambda: conductor.in_force() == ())
        conductor.finish()
        [run] = conductor.runs()
        began, ended = conductor.changes()
        assert (began.experiment, began.in_force, began.t_s) == ("redis-down", True, run.t_effective_s)
        assert (ended.experiment, ended.in_force, ended.t_s) == ("redis-down", False, run.t_healed_s)


def test_a_slow_answer_is_measured(ours: ProxyServer, path: Path) -> None:
    with Pages() as pages:
        ours.create("payments", pages.address)
        fault = AddToxic(proxy="payments", type="latency", attributes={"latency": 600})
        slow = made("slow", fault, probe="http", proxy="payments", effective="slow", slow_ms_min=580)
        with Conductor([Planned(slow, 0.5, 2.0)], Platform(ours.url), path) as conductor:
            run_through(conductor, healed(path))
            conductor.finish()
        pages.shutdown()
    (run,) = faults_of(path)
    assert run.proven, run.error
    assert 600 <= run.measured["latency_ms_p50"] < 900
    assert ours.call("GET", "/proxies/payments/toxics").json() == []


def upgrade(link: socket.socket) -> None:
    request = link.recv(4096).decode()
    assert request.startswith("GET /feed/e1 ")
    key = re.search(r"Sec-WebSocket-Key: (\S+)", request)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(f"{key[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    link.sendall(head.encode() + accept + b"\r\n\r\n")


def quiet_feed(link: socket.socket) -> None:
    """Answers pings, and has nothing to say."""
    upgrade(link)
    while link.recv(4096):
        link.sendall(b"\x8a\x00")


def lively_feed(link: socket.socket) -> None:
    """Says something ten times a second."""
    upgrade(link)
    link.settimeout(0.1)
    while True:
        link.sendall(b"\x81\x02{}")
        with contextlib.suppress(TimeoutError):
            if not link.recv(4096):
                return


@pytest.mark.parametrize("feed", [quiet_feed, lively_feed])
@pytest.mark.parametrize("kind", ["ours", pytest.param("real_server", marks=pytest.mark.needs_toxiproxy)])
def test_half_of_the_sockets_are_dropped_twice(
    request: pytest.FixtureRequest, kind: str, feed: Callable[[socket.socket], None], upstream: Start, path: Path
) -> None:
    server: ProxyServer = request.getfixturevalue(kind)
    server.clear()
    server.create("feed_1", upstream(feed).address)
    fault = Drop(proxy="feed_1", percent=50, at_ratio=(0.0, 0.5))
    drops = made("drops", fault, probe="websocket", proxy="feed_1", effective="dropped", path="/feed/{event}")
    with Conductor([Planned(drops, 1.0, 2.0)], Platform(server.url), path) as conductor:
        run_through(conductor, healed(path))
        conductor.finish()
    (run,) = faults_of(path)
    assert run.proven, run.error
    assert run.measured["canary_sockets_dropped"] >= 1
    if kind == "ours":
        assert (run.measured["drops"], run.measured["drops_exact"]) == (2, 2)
        assert run.measured["dropped"] == pytest.approx(run.measured["open_before"] / 2, abs=1)
    else:
        assert (run.measured["drops"], run.measured["drops_exact"]) == (2, 0)
        assert server.call("GET", "/proxies/feed_1/toxics").json() == []
    server.clear()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_it_heals_when_the_work_around_it_fails(
    ours: ProxyServer, redis_address: tuple[str, int], path: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with Conductor([Planned(REDIS, 0.2, 60), Planned(REDIS, 80)], Platform(ours.url), path) as conductor:
            conductor.preflight()
            conductor.start(time.monotonic())
            wait_until(lambda: not ping(redis_address))
            raise error

    with pytest.raises(error):
        fail()
    assert ping(redis_address)
    broken, never = faults_of(path)
    assert broken.t_healed_s is not None
    assert never.t_requested_s is None
    assert (never.proven, never.error) == (False, "not injected: the run ended first")


@pytest.mark.usefixtures("redis_address")
def test_a_process_that_is_interrupted_heals_before_it_ends(ours: ProxyServer, path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from chaos.specification import experiment
from chaos.injection.conductor import Conductor
from chaos.specification.timeline import Planned
class Platform: toxiproxy = {ours.url!r}; event = "e1"; metrics = {{}}
with Conductor([Planned(experiment.load("redis-down"), 0.0, 60)], Platform(), Path({str(path)!r})) as conductor:
    conductor.preflight(); conductor.start(time.monotonic())
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL)

    def enabled() -> bool:
        return bool(ours.call("GET", "/proxies/redis").json()["enabled"])

    try:
        wait_until(lambda: not enabled(), within_s=60, what="the fault")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    finally:
        process.kill()
        process.wait(timeout=30)
    assert enabled()


@pytest.mark.usefixtures("redis_address")
def test_a_target_that_dies_is_healed_all_the_same_and_not_proven(
    ours: ProxyServer, valkey: Valkey, path: Path
) -> None:
    with Conductor([Planned(REDIS, 0.3, LATE_S)], Platform(ours.url), path) as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor.in_force() != ())
        valkey.kill()
        wait_until(lambda: conductor.in_force() == ())
    (run,) = faults_of(path)
    assert ours.call("GET", "/proxies/redis").json()["enabled"] is True
    assert run.t_healed_s is None
    assert not run.proven
    assert "never seen healed" in run.error


@pytest.mark.usefixtures("redis_address")
def test_a_fault_that_has_no_effect_is_not_proven(ours: ProxyServer, path: Path) -> None:
    fault = AddToxic(proxy="redis", type="noop")
    idle = made("idle", fault, probe="redis", proxy="redis", effective="refused")
    with Conductor([Planned(idle, 0.3, 1.0)], Platform(ours.url), path) as conductor:
        run_through(conductor, healed(path))
    (run,) = faults_of(path)
    assert (run.proven, run.t_effective_s) == (False, None)
    assert "never effective" in run.error
    assert "saw ok" in run.error


def test_a_fault_that_cannot_be_healed_is_said(valkey: Valkey, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with servers.embedded() as server:
        server.create("redis", valkey.address)
        with Conductor([Planned(REDIS, 0.2, 60)], Platform(server.url), path) as conductor:
            conductor.preflight()
            conductor.start(time.monotonic())
            wait_until(lambda: conductor.in_force() != ())
            server.process.kill()
            server.process.wait(timeout=30)
            started_s = time.monotonic()
            conductor.finish()
            assert time.monotonic() - started_s < 15
    (run,) = faults_of(path)
    assert not run.proven
    assert "STILL IN FORCE" in run.error
    assert "could not be healed" in caplog.text


class TestPreflight:
    """Nothing starts when a fault could not be injected or proven."""

    def refused(self, url: str, path: Path, planned: Experiment = REDIS) -> str:
        with Conductor([Planned(planned, 1.0)], Platform(url), path) as conductor:
            with pytest.raises((InputError, EnvironmentProblem)) as caught:
                conductor.preflight()
            return str(caught.value)

    def test_no_fault_proxy_at_all(self, path: Path) -> None:
        assert "no fault proxy" in self.refused("", path)

    def test_no_answer(self, path: Path) -> None:
        assert "does not answer" in self.refused(f"http://127.0.0.1:{servers.free_port()}", path)

    def test_a_proxy_that_is_not_there(self, ours: ProxyServer, path: Path) -> None:
        ours.create("other", "127.0.0.1:9")
        assert "it has other" in self.refused(ours.url, path)

    def test_a_proxy_that_is_broken_already(self, ours: ProxyServer, valkey: Valkey, path: Path) -> None:
        ours.create("redis", valkey.address)
        ours.toxic("redis", "latency", latency=1)
        assert "has the toxic" in self.refused(ours.url, path)
        ours.call("POST", "/reset")
        ours.call("PATCH", "/proxies/redis", {"enabled": False})
        assert "is disabled already" in self.refused(ours.url, path)

    def test_a_dependency_that_is_down_already(self, ours: ProxyServer, path: Path) -> None:
        ours.create("redis", "127.0.0.1:9")
        assert "does not get through before any fault" in self.refused(ours.url, path)

    def test_a_disconnect_of_what_runs_in_no_container(self, valkey: Valkey, path: Path) -> None:
        cut = made("cut", Disconnect(process="valkey"), probe="redis", process="valkey", effective="unanswered")
        stack_control = OneProcess(valkey.address)
        conductor = Conductor([Planned(cut, 1.0, 2.0)], Platform(""), path, stack_control)  # type: ignore[arg-type]
        with conductor, pytest.raises(InputError, match="valkey runs in no container") as caught:
            conductor.preflight()
        assert "--stack compose" in caught.value.hint

    def test_nothing_planned_needs_no_proxy(self, path: Path) -> None:
        with Conductor([], Platform(""), path) as conductor:
            conductor.preflight()
            conductor.start(time.monotonic())
        assert faults_of(path) == ()


def test_finishing_twice_is_the_same_as_once(ours: ProxyServer, redis_address: tuple[str, int], path: Path) -> None:
    with Conductor([Planned(REDIS, 0.1, 60)], Platform(ours.url), path) as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor._injections[0].document().t_effective_s is not None, what="the fault")
        conductor.finish()
        first = faults_of(path)
        conductor.finish()
    assert faults_of(path) == first
    assert first[0].error.startswith("in force for ")
    assert first[0].error.endswith("s instead of 60 s (tolerance 15 s)")


@pytest.mark.usefixtures("redis_address")
def test_a_fault_that_was_in_force_for_longer_than_asked_is_not_proven(ours: ProxyServer, path: Path) -> None:
    """The conductor stands still, as a process that was stopped does."""
    with Conductor([Planned(REDIS, 0.5, 0.5)], Platform(ours.url), path) as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor.in_force() != (), what="the fault")
        with conductor._lock:
            begun_s = time.monotonic()
            wait_until(lambda: time.monotonic() - begun_s > 3.0)
        wait_until(healed(path), within_s=30, what="the healing")
    (run,) = faults_of(path)
    assert not run.proven
    assert (run.asked_s, run.tolerance_s) == (0.5, 1.5)
    assert re.fullmatch(r"in force for \d+\.\d s instead of 0\.5 s \(tolerance 1\.5 s\)", run.error)


@pytest.mark.usefixtures("redis_address")
def test_a_conductor_whose_thread_dies_heals_and_says_so(ours: ProxyServer, path: Path) -> None:
    with Conductor([Planned(REDIS, 0.3, 60)], Platform(ours.url), path) as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor.in_force() != (), what="the fault")
        conductor._watch = None  # type: ignore[assignment]  # what its next look at the guards stumbles over
        wait_until(lambda: conductor._died != "", what="the death")
        assert conductor.failure.startswith("the conductor's thread died: AttributeError: ")
        wait_until(lambda: ours.call("GET", "/proxies/redis").json()["enabled"] is True, what="the healing")
        conductor._watch = GuardWatch((), {})
    assert not faults_of(path)[0].proven


@pytest.mark.usefixtures("redis_address")
def test_a_reaper_that_dies_is_named(ours: ProxyServer, path: Path) -> None:
    with Conductor([Planned(REDIS, 60, 1)], Platform(ours.url), path) as conductor:
        conductor.preflight()
        assert conductor.failure == ""
        conductor._lease.reaper.kill()
        wait_until(lambda: conductor.failure.startswith("the reaper died"), what="the word of it")
    assert conductor.failure.startswith("the reaper died")


@pytest.mark.usefixtures("redis_address")
def test_a_lease_that_was_given_back_names_no_death(ours: ProxyServer, path: Path) -> None:
    with Conductor([Planned(REDIS, 60, 1)], Platform(ours.url), path) as conductor:
        conductor.preflight()
    assert conductor.failure == ""
