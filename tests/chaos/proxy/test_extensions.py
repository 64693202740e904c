"""What the embedded server can do beyond Toxiproxy: list open connections, and drop exactly k % of them."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import servers
from tests.chaos.servers import HOST, ROOT, ProxyServer, Upstream, connect, echo, elapsed_s, free_port, receive
from tests.waiting import wait_until

Start = Callable[[Callable[[socket.socket], None]], Upstream]


def fate(link: socket.socket) -> str:
    """open, fin or rst."""
    link.settimeout(0.05)
    try:
        return "fin" if link.recv(1) == b"" else "data"
    except TimeoutError:
        return "open"
    except ConnectionResetError:
        return "rst"


@pytest.mark.parametrize(
    ("count", "percent", "dropped"), [(40, 50, 20), (7, 50, 4), (3, 50, 2), (30, 100, 30), (9, 0, 0), (10, 12.5, 1)]
)
@pytest.mark.parametrize("mode", ["rst", "fin"])
def test_exactly_that_share_is_dropped(
    ours: ProxyServer, upstream: Start, count: int, percent: float, dropped: int, mode: str
) -> None:
    address = ours.create("a", upstream(echo).address)
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(connect(address)) for _ in range(count)]
        for link in links:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"
        answer = ours.call("POST", "/proxies/a/connections/drop", {"percent": percent, "mode": mode})
        assert answer.json() == {"open": count, "dropped": dropped}
        fates = [fate(link) for link in links]
        assert fates.count(mode) == dropped
        assert fates.count("open") == count - dropped
        for link, state in zip(links, fates, strict=True):
            if state == "open":
                link.settimeout(5)
                link.sendall(b"y")
                assert receive(link, 1) == b"y"
        assert len(ours.call("GET", "/proxies/a/connections").json()) == count - dropped


def test_open_connections_are_listed_with_their_bytes(ours: ProxyServer, upstream: Start) -> None:
    address = ours.create("a", upstream(echo).address)
    with connect(address) as link:
        link.sendall(b"12345")
        receive(link, 5)
        (listed,) = ours.call("GET", "/proxies/a/connections").json()
        assert listed["client"] == f"{HOST}:{link.getsockname()[1]}"
        assert (listed["upstream_bytes"], listed["downstream_bytes"]) == (5, 5)
    wait_until(lambda: ours.call("GET", "/proxies/a/connections").json() == [])


@pytest.mark.parametrize("body", [{}, {"percent": 101}, {"percent": -1}, {"percent": 5, "mode": "gently"}])
def test_a_drop_that_makes_no_sense_is_refused(ours: ProxyServer, body: object) -> None:
    ours.create("a", "127.0.0.1:9")
    assert ours.call("POST", "/proxies/a/connections/drop", body).status_code == 400
    assert ours.call("POST", "/proxies/x/connections/drop", {"percent": 5}).status_code == 404


def test_an_upstream_that_does_not_answer_delays_no_other_connection(ours: ProxyServer, upstream: Start) -> None:
    """A listener whose queue is full swallows connects: dials must not wait for each other."""
    with socket.socket() as deaf, contextlib.ExitStack() as stack:
        deaf.bind((HOST, 0))
        deaf.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        address = ours.create("a", f"{HOST}:{deaf.getsockname()[1]}")
        for _ in range(5):
            stack.enter_context(connect(address))
        good = upstream(echo)
        ours.call("PATCH", "/proxies/a", {"upstream": good.address})
        with connect(address) as link:
            link.sendall(b"x")
            assert elapsed_s(lambda: receive(link, 1)) < 3


class TestProcess:
    """python -m chaos.proxy."""

    def test_a_config_file_fills_it_and_sigterm_ends_it_cleanly(self, tmp_path: Path) -> None:
        config = tmp_path / "proxies.json"
        config.write_text(json.dumps([{"name": "a", "upstream": "127.0.0.1:9", "listen": f"{HOST}:0"}]))
        with servers.embedded("--config", str(config)) as server:
            assert list(server.call("GET", "/proxies").json()) == ["a"]
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(timeout=5) == 0

    @pytest.mark.parametrize("text", ["{", '[{"name": "a"}]'])
    def test_a_bad_config_is_one_clear_line(self, tmp_path: Path, text: str) -> None:
        config = tmp_path / "proxies.json"
        config.write_text(text)
        done = self.run("--port", str(free_port()), "--config", str(config))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "proxies.json" in done.stderr

    def test_a_port_in_use_is_one_clear_line(self) -> None:
        with socket.create_server((HOST, 0)) as taken:
            done = self.run("--port", str(taken.getsockname()[1]))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "another --port" in done.stderr

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chaos.proxy", "--host", HOST, *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
