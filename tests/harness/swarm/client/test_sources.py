"""Connections come from the addresses that were named, in turn, and ports are shared over the platform's addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.swarm.client.connecting import SOURCES, ClientLimits, Origin, connect

HERE = ("127.0.0.11", "127.0.0.12", "127.0.0.13")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    SOURCES.use(())


def came_from(address: str, *, family: int = socket.AF_INET, times: int = 6) -> list[str]:
    with socket.create_server((address, 0), family=family) as server, ExitStack() as opened:
        origin = Origin(False, address, server.getsockname()[1], family, address)
        seen = []
        for _ in range(times):
            connected, _ = connect(origin, ClientLimits(), None)
            opened.callback(connected.close)
            accepted, peer = server.accept()
            opened.callback(accepted.close)
            seen.append(peer[0])
        return seen


def test_each_address_has_its_turn() -> None:
    SOURCES.use(HERE)
    assert came_from("127.0.0.1") == [*HERE, *HERE]


def test_without_any_the_kernel_chooses() -> None:
    SOURCES.use(())
    assert set(came_from("127.0.0.1")) == {"127.0.0.1"}


def test_an_address_of_another_family_is_no_source() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("there is no IPv6")
    SOURCES.use(HERE)
    assert set(came_from("::1", family=socket.AF_INET6, times=2)) == {"::1"}
    SOURCES.use((*HERE, "::1"))
    assert set(came_from("::1", family=socket.AF_INET6, times=2)) == {"::1"}


def test_the_port_is_chosen_when_it_is_known_where_to() -> None:
    """Bound to a port of its own, a second connection from that port to another server would not be possible."""
    SOURCES.use(HERE[:1])
    raw = socket.socket()
    with raw:
        SOURCES.bind(raw, socket.AF_INET, "127.0.0.1")
        assert raw.getsockname() == (HERE[0], 0)
