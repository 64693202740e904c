"""Requests at random: ours answers them as a real Toxiproxy does, and no request breaks it."""

from __future__ import annotations

import pytest

from tests.chaos.proxy.differential import CLOSED, compare, tell
from tests.chaos.proxy.random_asks import Ask, asks
from tests.chaos.servers import ProxyServer

ASKS = 1_200


@pytest.mark.needs_toxiproxy
@pytest.mark.parametrize("seed", [1, 2])
def test_a_real_server_answers_alike(real_server: ProxyServer, strict_server: ProxyServer, seed: int) -> None:
    for server in (real_server, strict_server):
        server.clear()
    assert list(compare(real_server, strict_server, seed, ASKS)) == []
    for server in (real_server, strict_server):
        server.clear()


@pytest.mark.parametrize("kind", ["embedded_server", "strict_server"])
@pytest.mark.parametrize("seed", [3, 4])
def test_no_request_breaks_the_server(request: pytest.FixtureRequest, kind: str, seed: int) -> None:
    """Each is answered, 500 only where an address cannot be had, and the list can always be shown."""
    server: ProxyServer = request.getfixturevalue(kind)
    server.clear()
    for number, ask in enumerate(asks(seed, ASKS)):
        answer = tell(server, ask)
        assert answer != CLOSED, ask
        assert answer.status < 500 or _is_address_error(answer.text), ask
        if number % 20 == 0:
            assert tell(server, Ask("GET", "/proxies", b"")).status == 200, ask
    server.clear()
    assert server.call("GET", "/proxies").json() == {}


def _is_address_error(text: str) -> bool:
    return any(words in text for words in ('"error":"listen tcp', '"error":"lookup', '"error":"address'))
