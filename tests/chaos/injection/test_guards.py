"""Guards: what must be true of a metric before and during a fault, read from real pages over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from chaos.injection.conductor import Conductor
from chaos.injection.guards import GuardWatch, Sample, holds
from chaos.lease import state
from chaos.specification import experiment
from chaos.specification.experiment import Guard
from chaos.specification.timeline import Planned
from harness.errors import InputError
from harness.record.schema import FaultRun, FaultsDocument
from tests.chaos.servers import HOST, ROOT, ProxyServer, Valkey, ping
from tests.waiting import wait_until

REDIS = experiment.load("redis-down")
SAMPLES: list[Sample] = [("m", {"a": "1"}, 3.0), ("m", {"a": "2"}, 5.0)]


def guard(**changes: object) -> Guard:
    base: dict[str, object] = {"name": "calm", "metric": "errors", "compare": "at_most", "value": 10, "for_s": 0.0}
    return msgspec.convert({**base, **changes}, Guard)


@pytest.mark.parametrize(
    ("changes", "true"),
    [
        ({"value": 5}, True),
        ({"value": 4}, False),
        ({"value": 4, "labels": {"a": "1"}}, True),
        ({"compare": "at_least", "value": 4}, False),
        ({"compare": "equals", "value": 3, "labels": {"a": "1"}}, True),
        ({"metric": "other"}, None),
        ({"labels": {"a": "3"}}, None),
    ],
)
def test_it_holds_when_every_series_agrees(changes: dict[str, object], true: bool | None) -> None:
    assert holds(guard(**{"metric": "m", **changes}), SAMPLES) is true


class Metrics(ThreadingHTTPServer):
    """A page with one gauge."""

    daemon_threads = True
    value = 0.0
    labels = ""
    token = ""

    def __init__(self) -> None:
        outer = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if outer.token and self.headers.get("Authorization") != outer.token:
                    self.send_error(401)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(f"# TYPE errors gauge\nerrors{outer.labels} {outer.value}\n".encode())

            def log_message(self, *_: object) -> None:
                pass

        super().__init__((HOST, 0), Page)
        self.toxiproxy, self.event = "", "e1"
        self.metrics = {"page": f"http://{HOST}:{self.server_address[1]}/metrics"}
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def page() -> Iterator[Metrics]:
    with Metrics() as served:
        yield served
        served.shutdown()


def test_a_guard_is_broken_when_it_was_false_for_long_enough(page: Metrics) -> None:
    quick, slow = guard(), guard(for_s=3600)
    watch = GuardWatch([quick, slow], page.metrics)
    watch.start()
    try:
        wait_until(lambda: watch.unsteady([quick]) == ())
        assert watch.broken([quick, slow]) == ()
        page.value = 11
        wait_until(lambda: watch.broken([quick, slow]) == ("calm",))
        page.value = 0
        wait_until(lambda: watch.broken([quick]) == ())
    finally:
        watch.stop()


def test_a_page_that_cannot_be_read_breaks_no_guard_and_is_no_steady_state() -> None:
    wanted = guard()
    watch = GuardWatch([wanted], {"gone": f"http://{HOST}:9/metrics"})
    watch.start()
    try:
        wait_until(lambda: bool(watch._seen))
        assert watch.broken([wanted]) == ()
        assert watch.unsteady([wanted]) == ("calm",)
    finally:
        watch.stop()


def test_labels_are_read_as_utf_8_where_the_page_names_no_charset(page: Metrics) -> None:
    page.labels = '{hall="Zoë"}'
    wanted = guard(labels={"hall": "Zoë"})
    watch = GuardWatch([wanted], page.metrics)
    watch.start()
    try:
        wait_until(lambda: watch.unsteady([wanted]) == ())
    finally:
        watch.stop()


def test_a_page_is_asked_with_the_headers_that_its_source_needs(page: Metrics) -> None:
    page.token = "Bearer swordfish"
    wanted = guard()
    watch = GuardWatch([wanted], page.metrics, {"page": {"Authorization": "Bearer swordfish"}})
    watch.start()
    try:
        wait_until(lambda: watch.unsteady([wanted]) == ())
    finally:
        watch.stop()
    without = GuardWatch([wanted], page.metrics)
    without.start()
    try:
        wait_until(lambda: bool(without._seen))
        assert without.unsteady([wanted]) == ("calm",)
    finally:
        without.stop()


def test_the_load_generator_is_an_indicator_too(page: Metrics) -> None:
    wanted = guard(metric="load_p99_ms", value=500)
    watch = GuardWatch([wanted], page.metrics)
    watch.start()
    try:
        watch.saw({"load_p99_ms": 900.0})
        wait_until(lambda: watch.broken([wanted]) == ("calm",))
    finally:
        watch.stop()


@pytest.fixture
def redis(ours: ProxyServer, valkey: Valkey, page: Metrics) -> tuple[str, int]:
    page.toxiproxy = ours.url
    return ours.create("redis", valkey.address)


def fault_of(path: Path) -> FaultRun:
    (run,) = msgspec.json.decode(path.read_bytes(), type=FaultsDocument).faults
    return run


def test_a_broken_guard_ends_the_experiment_and_heals(page: Metrics, redis: tuple[str, int], tmp_path: Path) -> None:
    guarded = msgspec.structs.replace(REDIS, guards=(guard(),))
    with Conductor([Planned(guarded, 0.2, 60)], page, tmp_path / "faults.json") as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor.in_force() != () and not ping(redis), what="the fault")
        page.value = 11
        wait_until(lambda: conductor.in_force() == () and ping(redis), within_s=30, what="the abort")
        assert conductor.stop_reason == ""
    run = fault_of(tmp_path / "faults.json")
    assert not run.proven
    assert "aborted, a guard broke: calm" in run.error


def test_without_a_steady_state_nothing_is_injected(page: Metrics, redis: tuple[str, int], tmp_path: Path) -> None:
    page.value = 11
    steady = msgspec.structs.replace(REDIS, steady_state=(guard(),))
    with Conductor([Planned(steady, 1.0, 0.5)], page, tmp_path / "faults.json") as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: "no steady state" in fault_of(tmp_path / "faults.json").error, what="the refusal")
        assert ping(redis)
    run = fault_of(tmp_path / "faults.json")
    assert (run.proven, run.t_requested_s) == (False, None)


def test_with_a_steady_state_it_goes_on(page: Metrics, redis: tuple[str, int], tmp_path: Path) -> None:
    steady = msgspec.structs.replace(REDIS, steady_state=(guard(),), guards=(guard(),))
    with Conductor([Planned(steady, 3.0, 3.0)], page, tmp_path / "faults.json") as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: fault_of(tmp_path / "faults.json").t_heal_requested_s is not None, within_s=60)
    assert fault_of(tmp_path / "faults.json").proven
    assert ping(redis)


def test_the_kill_switch_heals_at_once_and_ends_the_run(
    page: Metrics, redis: tuple[str, int], own_state: Path, tmp_path: Path
) -> None:
    with Conductor([Planned(REDIS, 0.2, 60)], page, tmp_path / "faults.json") as conductor:
        conductor.preflight()
        conductor.start(time.monotonic())
        wait_until(lambda: conductor.in_force() != () and not ping(redis), what="the fault")
        state.kill_switch().touch()
        wait_until(lambda: conductor.in_force() == () and ping(redis), within_s=30, what="the healing")
        assert "kill switch" in conductor.stop_reason
    assert "kill switch" in fault_of(tmp_path / "faults.json").error


@pytest.mark.usefixtures("redis")
def test_with_the_kill_switch_set_nothing_starts(page: Metrics, own_state: Path, tmp_path: Path) -> None:
    own_state.mkdir()
    state.kill_switch().touch()
    with Conductor([], page, tmp_path / "faults.json") as conductor, pytest.raises(InputError, match="is set"):
        conductor.preflight()


@pytest.mark.parametrize("command", [("rehearse", "smoke"), ("drill", "redis-down")])
def test_with_the_kill_switch_set_no_stack_is_raised(command: tuple[str, str], own_state: Path, tmp_path: Path) -> None:
    own_state.mkdir()
    state.kill_switch().touch()
    done = subprocess.run(
        [sys.executable, "-m", "harness", *command, "--out", str(tmp_path / "runs")],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        f"gatecrash: the kill switch {state.kill_switch()} is set (remove that file to allow rehearsals again)\n"
    )
    assert not (tmp_path / "runs").exists()
