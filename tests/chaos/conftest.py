"""The fault proxies that the tests run against: the embedded one always, a real one where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos import state
from tests.chaos import servers
from tests.chaos.servers import ProxyServer, Upstream, Valkey


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
    binary = servers.real_toxiproxy()
    if binary is None:
        pytest.skip("no toxiproxy-server in PATH and no GATECRASH_TOXIPROXY_BIN")
    with servers.real(binary) as server:
        yield server


@pytest.fixture(params=["strict_server", pytest.param("real_server", marks=pytest.mark.needs_toxiproxy)])
def server(request: pytest.FixtureRequest) -> Iterator[ProxyServer]:
    """A server without any proxy: what it must do, both must do."""
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
