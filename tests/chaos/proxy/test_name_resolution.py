"""A nameserver that never answers delays nobody who does not ask for it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from chaos.proxy.resolver import Resolver
from tests.chaos import servers
from tests.chaos.servers import HOST, ROOT, ProxyServer, Upstream, connect, echo, free_port, receive
from tests.waiting import wait_until

Start = Callable[[Callable[[socket.socket], None]], Upstream]
ENDS_WITHIN_S = 8.0  # a look-up is given up after 10


@pytest.fixture(params=[(), ("--strict",)], ids=["ours", "strict"])
def deaf(request: pytest.FixtureRequest) -> Iterator[ProxyServer]:
    port = free_port()
    command = [sys.executable, "-m", "tests.chaos.proxy.deaf_nameserver", "--host", HOST, "--port", str(port)]
    with servers.serve([*command, *request.param], port) as server:
        yield server


@contextlib.contextmanager
def connected_to_nowhere(server: ProxyServer, names: int, each: int) -> Iterator[list[socket.socket]]:
    """Connections whose upstreams are names that nobody resolves."""
    with contextlib.ExitStack() as stack:
        links = []
        for number in range(names):
            listen = server.create(f"nowhere-{number}", f"no-such-{number}.example:80")
            links += [stack.enter_context(connect(listen, 60)) for _ in range(each)]
        yield links


def still_waits(link: socket.socket) -> bool:
    """Whether its upstream is still being looked for."""
    link.setblocking(False)
    try:
        return link.recv(1) != b""
    except BlockingIOError:
        return True
    finally:
        link.settimeout(60)


@pytest.mark.parametrize(("names", "each"), [(1, 30), (80, 1)])
def test_upstreams_that_cannot_be_found_delay_nothing_else(
    deaf: ProxyServer, upstream: Start, names: int, each: int
) -> None:
    good = deaf.create("good", upstream(echo).address)
    with connected_to_nowhere(deaf, names, each) as links:
        with connect(good) as link:
            link.sendall(b"x")
            assert receive(link, 1) == b"x"
        for number, listen in enumerate((f"{HOST}:0", "localhost:0")):
            body = {"name": f"other-{number}", "upstream": "localhost:9", "listen": listen}
            assert deaf.call("POST", "/proxies", body).status_code == 201
        assert deaf.call("POST", "/populate", [{"name": "p", "upstream": "a.example:1", "listen": ":0"}]).ok
        assert deaf.call("POST", "/reset").status_code == 204
        assert all(map(still_waits, links))
        for link in links:
            assert link.recv(1) == b""  # given up, as any other dial


def test_a_listener_that_cannot_be_found_delays_nothing_else(deaf: ProxyServer) -> None:
    asked: list[requests.Response] = []
    body = {"name": "nowhere", "upstream": f"{HOST}:9", "listen": "no-such.example:0"}
    waiting = threading.Thread(
        target=lambda: asked.append(requests.post(f"{deaf.url}/proxies", json=body, timeout=60)), daemon=True
    )
    waiting.start()
    deaf.create("good", f"{HOST}:9")
    assert deaf.call("POST", "/reset").status_code == 204
    assert asked == []
    waiting.join(60)
    assert asked[0].json() == {"error": "listen tcp: lookup no-such.example: i/o timeout", "status": 500}


def test_look_ups_do_not_keep_the_server_from_ending(deaf: ProxyServer) -> None:
    with connected_to_nowhere(deaf, 30, 1):
        deaf.process.send_signal(signal.SIGTERM)
        assert deaf.process.wait(ENDS_WITHIN_S) == 0


def test_a_disabled_proxy_gives_up_what_it_dials(deaf: ProxyServer) -> None:
    with connected_to_nowhere(deaf, 1, 3) as links:
        assert all(map(still_waits, links))
        assert deaf.call("PATCH", "/proxies/nowhere-0", {"enabled": False}).ok
        wait_until(lambda: not any(map(still_waits, links)), within_s=ENDS_WITHIN_S)


def test_a_config_that_names_nobody_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    config.write_text('[{"name": "a", "upstream": "b:1", "listen": "no-such.example:0"}]')
    command = [sys.executable, "-m", "tests.chaos.proxy.deaf_nameserver", "--host", HOST, "--port", str(free_port())]
    with subprocess.Popen([*command, "--config", str(config)], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "looks up no-such.example" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(ENDS_WITHIN_S) == 0


class TestResolver:
    """Threads of its own, and not too many."""

    def test_finds_what_the_system_knows(self) -> None:
        async def found() -> tuple[str, ...]:
            return await Resolver().lookup("localhost", 30)

        assert HOST in asyncio.run(found())

    def test_no_such_host_has_no_address(self) -> None:
        async def found() -> tuple[str, ...]:
            return await Resolver().lookup("a" * 64, 30)

        assert asyncio.run(found()) == ()

    def test_one_name_is_looked_up_once_for_all_and_names_wait_their_turn(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With two threads for three names, the third waits until a thread is free, and is found then."""
        free = threading.Event()
        asked: list[str] = []

        def slow(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
            asked.append(host)
            free.wait(30)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0))]

        monkeypatch.setattr(socket, "getaddrinfo", slow)

        async def look_up() -> list[tuple[str, ...]]:
            resolver = Resolver(threads_max=2)
            waiting = [asyncio.ensure_future(resolver.lookup(name, 30)) for name in ("a", "a", "b", "c")]
            await asyncio.sleep(0)  # each of them asks
            with pytest.raises(TimeoutError):
                await resolver.lookup("c", 0.01)
            assert sorted(asked) == ["a", "b"]
            free.set()
            return list(await asyncio.gather(*waiting))

        assert asyncio.run(look_up()) == [("a",), ("a",), ("b",), ("c",)]
        assert sorted(asked) == ["a", "b", "c"]
