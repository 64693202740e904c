"""Every deliberate difference is in the table, and every row of the table holds."""

from __future__ import annotations

import pytest

from tests.chaos.proxy.differences import DIFFERENCES, Difference
from tests.chaos.servers import ProxyServer

each = pytest.mark.parametrize("difference", DIFFERENCES, ids=[row.name for row in DIFFERENCES])


@pytest.mark.needs_toxiproxy
@each
def test_a_real_server(real_server: ProxyServer, difference: Difference) -> None:
    real_server.clear()
    assert difference.ask(real_server) == difference.real
    real_server.clear()


@each
def test_ours_in_strict_mode(strict_server: ProxyServer, difference: Difference) -> None:
    strict_server.clear()
    assert difference.ask(strict_server) == difference.strict
    strict_server.clear()


@each
def test_ours(ours: ProxyServer, difference: Difference) -> None:
    assert difference.ask(ours) == difference.ours
