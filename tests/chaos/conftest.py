"""The fault proxies that the tests run against: the embedded one always, a real one where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from chaos.lease import state
from tests.chaos import containers, servers
from tests.chaos.containers import Bench
from tests.chaos.servers import HOST, ProxyServer, Upstream, Valkey, free_port, ping
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Journals and the kill switch of this test alone."""
    monkeypatch.setenv(state.VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[ProxyServer]:
    with servers.embedded() as server:
        yield server


@pytest.fixture(scope="session")
def strict_server() -> Iterator[ProxyServer]:
    with servers.embedded("--strict") as server:
        yield server


@pytest.fixture(scope="session")
def real_server() -> Iterator[ProxyServer]:
    with servers.real_if_there() as server:
        yield server


@pytest.fixture(params=["strict_server", pytest.param("real_server", marks=pytest.mark.needs_toxiproxy)])
def server(request: pytest.FixtureRequest) -> Iterator[ProxyServer]:
    """A server without any proxy: what it must do, both must do."""
    found: ProxyServer = request.getfixturevalue(request.param)
    found.clear()
    yield found
    found.clear()


@pytest.fixture(
    params=["embedded_server", "strict_server", pytest.param("real_server", marks=pytest.mark.needs_toxiproxy)]
)
def any_server(request: pytest.FixtureRequest) -> Iterator[ProxyServer]:
    """As `server`, and the embedded one with its extensions too: they change none of what is asked."""
    found: ProxyServer = request.getfixturevalue(request.param)
    found.clear()
    yield found
    found.clear()


@pytest.fixture
def ours(embedded_server: ProxyServer) -> Iterator[ProxyServer]:
    """The embedded server with its extensions, without any proxy."""
    embedded_server.clear()
    yield embedded_server
    embedded_server.clear()


@pytest.fixture
def upstream() -> Iterator[Callable[[Callable[..., None]], Upstream]]:
    """Starts upstream servers and closes them afterwards."""
    started: list[Upstream] = []

    def start(talk: Callable[..., None]) -> Upstream:
        started.append(Upstream(talk))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    started = Valkey()
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    with containers.engine() as client:
        yield client


@pytest.fixture(scope="session")
def valkey_image(engine: docker.DockerClient) -> Iterator[str]:
    with containers.valkey_image(engine) as name:
        yield name


@pytest.fixture
def bench(engine: docker.DockerClient, valkey_image: str) -> Iterator[Bench]:
    made = Bench(engine, valkey_image)
    yield made
    made.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def contained(bench: Bench, port: int) -> str:
    """The id of a container with a real Valkey, published at `port`."""
    made = bench.container(bench.network(), port)
    wait_until(lambda: ping((HOST, port)), what="Valkey in its container")
    return made
