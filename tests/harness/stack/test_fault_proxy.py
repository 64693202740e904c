"""The fault proxy of a stack: its draws repeat with the seed of the rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness.errors import EnvironmentProblem
from harness.stack.fault_proxy import FaultProxy, edge_bytes
from tests.chaos.servers import HOST, Upstream, connect, echo, embedded, free_port, real_toxiproxy
from tests.waiting import wait_until


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
