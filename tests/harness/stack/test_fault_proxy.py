"""The fault proxy of a stack: its draws repeat with the seed of the rehearsal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness.errors import EnvironmentProblem
from harness.stack.fault_proxy import FaultProxy, edge_bytes
from harness.stack.proxy_keeper import Borrowed
from tests.chaos.servers import HOST, Upstream, connect, echo, embedded, free_port, real_toxiproxy
from tests.harness.swarm.scripted_server import serving
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    started = Upstream(echo)
    yield started
    started.close()


def spared(folder: Path, upstream: Upstream, seed: int) -> list[bool]:
    """Which of 16 connections a toxic that hits every second one lets through."""
    proxy = FaultProxy(free_port(), "", folder, seed=seed)
    processes = proxy.start()
    try:
        [port] = proxy.populate({"redis": upstream.address}, [free_port()]).values()
        toxic = {"type": "reset_peer", "toxicity": 0.5}
        requests.post(f"{proxy.url}/proxies/redis/toxics", json=toxic, timeout=10).raise_for_status()
        return [gets_through((HOST, port)) for _ in range(16)]
    finally:
        for process in processes:
            process.stop(within_s=5)


def gets_through(address: tuple[str, int]) -> bool:
    with connect(address) as link:
        try:
            link.sendall(b"x")
            return link.recv(1) == b"x"
        except OSError:
            return False


def test_one_seed_spares_the_same_connections_in_every_run(tmp_path: Path, upstream: Upstream) -> None:
    first = spared(tmp_path, upstream, 7)
    assert first == spared(tmp_path, upstream, 7)
    assert first != spared(tmp_path, upstream, 8)


def test_a_server_that_does_not_answer_as_http_is_given_back_without_an_error() -> None:
    with serving(lambda _: [b"good day\r\n\r\n"]) as server:
        Borrowed(server.url, ("redis",)).give_back()
        with pytest.raises(EnvironmentProblem, match="does not tell its bytes"):
            edge_bytes(server.url)
    assert [asked.method for asked in server.asked] == ["DELETE", "GET"]


def test_bytes_are_counted_for_each_edge(tmp_path: Path, upstream: Upstream) -> None:
    proxy = FaultProxy(free_port(), "", tmp_path)
    processes = proxy.start()
    try:
        ports = proxy.populate({"db": upstream.address, "unused": upstream.address}, [free_port(), free_port()])
        assert edge_bytes(proxy.url) == {"db": 0, "unused": 0}
        assert gets_through((HOST, ports["db"]))
        assert edge_bytes(proxy.url) == {"db": 2, "unused": 0}
    finally:
        for process in processes:
            process.stop(within_s=5)


@pytest.mark.needs_toxiproxy
def test_a_real_server_counts_them_too(tmp_path: Path, upstream: Upstream) -> None:
    binary = real_toxiproxy()
    if binary is None:
        pytest.skip("no toxiproxy-server in PATH and no GATECRASH_TOXIPROXY_BIN")
    proxy = FaultProxy(free_port(), binary, tmp_path)
    processes = proxy.start()
    try:
        ports = proxy.populate({"db": upstream.address, "unused": upstream.address}, [free_port(), free_port()])
        assert gets_through((HOST, ports["db"]))
        wait_until(lambda: edge_bytes(proxy.url) == {"db": 2, "unused": 0})
    finally:
        for process in processes:
            process.stop(within_s=5)


def test_a_server_that_counts_nothing_is_said(upstream: Upstream) -> None:
    with embedded("--strict") as server:
        server.create("db", upstream.address)
        with pytest.raises(EnvironmentProblem, match="counts no bytes") as caught:
            edge_bytes(server.url)
    assert "-proxy-metrics" in caught.value.hint


def proxies(url: str) -> dict[str, tuple[str, bool, list[object]]]:
    """Name → upstream, whether it is enabled, and toxics, of a server."""
    with requests.Session() as session:
        session.trust_env = False
        found = session.get(f"{url}/proxies", timeout=10).json()
    return {name: (proxy["upstream"], proxy["enabled"], proxy["toxics"]) for name, proxy in found.items()}


def test_a_server_of_somebody_else_is_given_back_as_it_was_found(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with embedded("--strict") as server, requests.Session() as session:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nobody may ask it
        monkeypatch.setenv("no_proxy", "")
        session.trust_env = False
        url = server.url
        there = [
            {"name": "mail", "listen": f"{HOST}:{free_port()}", "upstream": "127.0.0.1:25"},
            {"name": "redis", "listen": f"{HOST}:{free_port()}", "upstream": "127.0.0.1:6379", "enabled": False},
        ]
        session.post(f"{url}/populate", json=there, timeout=10).raise_for_status()
        for number in (1, 2):
            toxic = {
                "name": f"slow-{number}",
                "type": "latency",
                "stream": "upstream",
                "attributes": {"latency": number},
            }
            session.post(f"{url}/proxies/redis/toxics", json=toxic, timeout=10).raise_for_status()
        before = proxies(url)
        proxy = FaultProxy(0, url.removeprefix("http://"), tmp_path)
        assert proxy.start() == []
        proxy.populate({"redis": upstream.address, "db": upstream.address}, [free_port(), free_port()])
        ours = (upstream.address, True, [])
        assert proxies(url) == {**before, "redis": ours, "db": ours}
        proxy.give_back()
        assert proxies(url) == before


BORROWS_FOR_EVER = """
import sys, time
from pathlib import Path
from harness.stack.fault_proxy import FaultProxy
server, port, folder = sys.argv[1:]
FaultProxy(0, server, Path(folder)).populate({"db": "127.0.0.1:5432"}, [int(port)])
print("borrowed", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_whoever_borrowed_it_and_was_killed_it_is_given_back(tmp_path: Path, number: signal.Signals) -> None:
    with embedded() as server:
        url = server.url
        borrower = subprocess.Popen(
            [sys.executable, "-c", BORROWS_FOR_EVER, url.removeprefix("http://"), str(free_port()), str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        with borrower:
            assert borrower.stdout is not None
            assert borrower.stdout.readline() == b"borrowed\n"
            assert "db" in proxies(url)
            borrower.send_signal(number)
        wait_until(lambda: proxies(url) == {}, what="the server as it was", within_s=30)
