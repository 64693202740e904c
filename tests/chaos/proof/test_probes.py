"""What a probe says of a server that closes instead of answering, in either way."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import pytest

from chaos.proof import probes
from chaos.proof.canary import HeldSockets
from chaos.specification.experiment import CanarySpec
from tests.chaos.servers import HOST, Upstream
from tests.waiting import wait_until

Start = Callable[[Callable[[socket.socket], None]], Upstream]


def end(link: socket.socket) -> None:
    """Closes as a server does that wants no more: FIN, once the question is there."""
    link.recv(4096)


def reset(link: socket.socket) -> None:
    """Closes as a proxy does that cuts connections: RST."""
    link.recv(4096)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


PROBES = {
    "redis": probes.redis,
    "postgres": probes.postgres,
    "http": lambda address, timeout_s: probes.http_get(address, timeout_s, "/"),
    "websocket": lambda address, timeout_s: probes.websocket(address, timeout_s, "/"),
}


@pytest.mark.parametrize("close", [end, reset])
@pytest.mark.parametrize("name", PROBES)
def test_a_connection_that_is_closed_before_the_answer_is_a_reset(
    upstream: Start, name: str, close: Callable[[socket.socket], None]
) -> None:
    host, _, port = upstream(close).address.rpartition(":")
    assert PROBES[name]((host, int(port)), 10.0).state == "reset"


@pytest.mark.parametrize("close", [end, reset])
def test_a_canary_that_holds_sockets_goes_on_when_none_can_be_opened(
    upstream: Start, close: Callable[[socket.socket], None]
) -> None:
    asked: list[float] = []

    def refuse(link: socket.socket) -> None:
        asked.append(time.monotonic())
        close(link)

    server = upstream(refuse)
    spec = CanarySpec(probe="websocket", proxy="feed_1", effective="dropped", sockets=2)
    canary = HeldSockets(spec, (HOST, int(server.address.rpartition(":")[2])), time.monotonic)
    canary.start()
    wait_until(lambda: len(asked) >= 3, what="a third try")
    canary.stop()
    assert canary.samples() == ()
