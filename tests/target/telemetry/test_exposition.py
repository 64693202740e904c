"""The metrics pages of real processes: everything is there, and several workers tell the figures of all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.target.conftest import Valkey, eventually
from tests.target.orders.test_orders_over_http import BASE
from tests.target.postgres_fixture import Truth
from tests.target.processes import Server, running
from tests.target.provider_fixture import Provider

PROMISED = {
    "booking": {
        "target_holds": "counter",
        "target_cache_requests": "counter",
        "target_db_write_seconds": "histogram",
        "target_breaker_state": "gauge",
        "target_payments": "counter",
        "target_orders": "counter",
        "target_fallbacks": "counter",
        "target_sse_connections": "gauge",
        "process_cpu_seconds": "counter",
    },
    "worker": {
        "target_queue_depth": "gauge",
        "target_admissions": "counter",
        "target_hold_expiries": "counter",
        "target_replica_lag_seconds": "gauge",
        "target_breaker_state": "gauge",
        "target_orders_parked": "gauge",
        "process_cpu_seconds": "counter",
    },
    "feed": {
        "target_websocket_connections": "gauge",
        "target_feed_behind": "gauge",
        "target_feed_openings": "counter",
        "target_feed_refused": "counter",
        "target_feed_dropped": "counter",
        "target_feed_delay_seconds": "histogram",
        "target_breaker_state": "gauge",
        "process_cpu_seconds": "counter",
    },
}
"""Role → metric → type: what design and documents promise."""


def families(server: Server) -> dict[str, Metric]:
    answer = server.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(answer.body.decode())}


def value(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    base = name.removesuffix("_total")
    found = families(server).get(base)
    samples = [] if found is None else found.samples
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


@pytest.fixture
def settings(valkey: Valkey, truth: Truth, provider: Provider) -> dict[str, object]:
    return {
        "redis_url": valkey.url,
        "primary_dsn": truth.primary_dsn,
        "replica_dsn": truth.replica_dsn,
        "payments_url": provider.url,
    }


@pytest.mark.parametrize("role", PROMISED)
def test_each_role_shows_what_is_promised_of_it(settings: dict[str, object], role: str) -> None:
    with running(role, **settings) as server:
        eventually(lambda: PROMISED[role].keys() <= families(server).keys(), why=f"all of {sorted(PROMISED[role])}")
        shown = families(server)
        assert {name: shown[name].type for name in PROMISED[role]} == PROMISED[role]


@pytest.fixture
def booking(settings: dict[str, object]) -> Iterator[Server]:
    with running("booking", workers=3, **settings) as server:
        eventually(lambda: len(workers_of(server.process)) >= 3, why="the workers")
        yield server


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that serve, which have the metrics' files open."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if metrics_files(child)]


def metrics_files(worker: psutil.Process) -> list[Path]:
    return [Path(file.path) for file in worker.open_files() if file.path.endswith(".db")]


def test_several_workers_tell_the_figures_of_all(booking: Server) -> None:
    def refused(_: int) -> int:
        return booking.ask("GET", f"{BASE}/sections").status

    with ThreadPoolExecutor(8) as crowd:
        asked = 60
        assert set(crowd.map(refused, range(asked))) <= {200, 503}
    counts = {value(booking, "target_cache_requests_total", cache="sections") for _ in range(20)}
    assert counts == {float(asked)}
    assert value(booking, "process_cpu_seconds_total") > 0


def test_what_was_open_in_a_worker_that_died_is_not_open_any_more(booking: Server) -> None:
    victim, *others = workers_of(booking.process)
    own = [path for path in metrics_files(victim) if path.name.startswith("gauge_live")]
    assert own
    os.kill(victim.pid, signal.SIGKILL)

    def forgotten() -> bool:
        with contextlib.suppress(ConnectionError):  # what the dead worker had accepted is reset
            value(booking, "target_breaker_state")
        return not any(path.exists() for path in own)

    eventually(forgotten, why="its gauges to go")
    assert {worker.pid for worker in others} <= {worker.pid for worker in workers_of(booking.process)}
    eventually(lambda: len(workers_of(booking.process)) == 3, why="another worker in its place")


def test_the_shared_directory_goes_with_the_server(settings: dict[str, object]) -> None:
    with running("booking", workers=2, **settings) as server:
        eventually(lambda: bool(workers_of(server.process)), why="the workers")
        folder = metrics_files(workers_of(server.process)[0])[0].parent
        assert folder.is_dir()
    assert not folder.exists()
