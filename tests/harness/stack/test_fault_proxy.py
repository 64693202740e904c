"""The fault proxy of a stack: its draws repeat with the seed of the rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness.stack.fault_proxy import FaultProxy
from tests.chaos.servers import HOST, Upstream, connect, echo, free_port


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
