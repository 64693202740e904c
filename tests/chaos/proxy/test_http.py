"""The HTTP server of the API, on raw sockets: requests as Go's net/http reads them, and clients that never finish."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.proxy.http.http_request import ApiRequest
from chaos.proxy.http.http_server import ApiResponse, ClientTimeouts, HttpServer
from tests.chaos import servers
from tests.chaos.servers import HOST, ProxyServer, Upstream, connect, echo, free_port, receive
from tests.waiting import wait_until

Start = Callable[[Callable[[socket.socket], None]], Upstream]
UP = "127.0.0.1:9"


def exchange(address: tuple[str, int], sent: bytes) -> bytes:
    """All that comes back until the server closes."""
    with connect(address, 30) as link, contextlib.suppress(ConnectionError):
        with contextlib.suppress(ConnectionError):
            link.sendall(sent)
        return b"".join(iter(lambda: link.recv(65536), b""))
    return b""


def head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]).encode()


class TestRequests:
    """Each is answered as by the real server."""

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"GET /version HTTP/1.1\r\n\r\n", b"400 Bad Request: missing required Host header"),
            (b"GET /version HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", b"400 Bad Request"),
            (b"GET /version HTTP/1.1\r\nHost: a b\r\n\r\n", b"400 Bad Request: malformed Host header"),
            (b"GET /version HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", b"400 Bad Request: invalid header name"),
            (b"GET /version HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", b"400 Bad Request"),
            (b"GET /version HTTP/1.1\r\n Host: a\r\n\r\n", b"400 Bad Request"),
            (
                b"GET /version HTTP/2.0\r\nHost: a\r\n\r\n",
                b"505 HTTP Version Not Supported: unsupported protocol version",
            ),
            (b"GET /version\r\n\r\n", b"400 Bad Request"),
            (b"GET  /version HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
            (b"G@T /version HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
            (b"GET version HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
            (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", b"400 Bad Request"),
            (b"\x16\x03\x01\x00\x00\n", b"400 Bad Request"),
            (head("POST", "/reset", "Content-Length: -1"), b"400 Bad Request"),
            (head("POST", "/reset", "Content-Length: 1", "Content-Length: 2"), b"400 Bad Request"),
            (head("POST", "/reset", "Transfer-Encoding: gzip"), b"501 Not Implemented"),
            (head("POST", "/reset", "Expect: nothing"), b"417 Expectation Failed"),
            (head("GET", "/version", "X: " + "x" * 2_000_000), b"431 Request Header Fields Too Large"),
            (head("HEAD", "/version"), b"405 Method Not Allowed"),
            (head("OPTIONS", "*"), b"200 OK"),
            (head("GET", "http://localhost/version"), b"200 OK"),
            (head("GET", "/version?" + "x" * 100_000), b"200 OK"),
            (head("GET", "/version", "X: " + "x" * 100_000), b"200 OK"),
            (head("GET", "/proxies/" + "x" * 100_000), b"404 Not Found"),
            (head("GET", "/version", "X: 1", " 2"), b"200 OK"),
        ],
        ids=str,
    )
    def test_of_odd_forms(self, any_server: ProxyServer, sent: bytes, status: bytes) -> None:
        assert exchange(any_server.api_address, sent).partition(b"\r\n")[0].partition(b" ")[2] == status

    @pytest.mark.parametrize(
        ("path", "location"),
        [
            ("//proxies", "/proxies"), ("//", "/"), ("/proxies//a", "/proxies/a"), ("/./version", "/version"),
            ("/proxies/a/../b?x=1", "/proxies/b?x=1"), ("/%2e%2e/version", "/version"), ("//version/", "/version/"),
            ("//a%20b", "/a%20b"), ("/../..", "/"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_path_that_is_not_clean_is_redirected(
        self, any_server: ProxyServer, method: str, path: str, location: str
    ) -> None:
        answer = exchange(any_server.api_address, head(method, path))
        assert answer.startswith(b"HTTP/1.1 301 Moved Permanently\r\n")
        assert f"\r\nLocation: {location}\r\n".encode() in answer

    def test_a_client_with_a_slash_too_many_is_served(self, any_server: ProxyServer) -> None:
        """toxiproxy-cli -h http://host:8474/ asks for //proxies."""
        any_server.create("a", UP)
        assert list(any_server.session.get(f"{any_server.url}//proxies", timeout=30).json()) == ["a"]

    def test_every_answer_of_a_route_has_an_id(self, any_server: ProxyServer) -> None:
        ids = [any_server.call("GET", path).headers["X-Toxiproxy-Request-Id"] for path in ("/version", "/proxies/a")]
        assert all(re.fullmatch("[0-9a-v]{20}", each) for each in ids)
        assert ids[0] != ids[1]
        assert "X-Toxiproxy-Request-Id" not in any_server.call("GET", "/nothing").headers

    @pytest.mark.parametrize("ending", [b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n"])
    def test_a_body_in_chunks_is_read(self, any_server: ProxyServer, ending: bytes) -> None:
        chunks = b'a;x=y\r\n{"name":"a\r\n1\r\n"\r\n1\r\n}\r\n' + ending
        answer = exchange(any_server.api_address, head("POST", "/proxies", "Transfer-Encoding: chunked") + chunks)
        assert b"missing required field: upstream" in answer

    @pytest.mark.parametrize("chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"\r\n{}\r\n"])
    def test_a_body_in_wrong_chunks_is_refused(self, any_server: ProxyServer, chunks: bytes) -> None:
        answer = exchange(any_server.api_address, head("POST", "/proxies", "Transfer-Encoding: chunked") + chunks)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"bad request body" in answer

    def test_a_client_may_ask_whether_to_send_its_body(self, any_server: ProxyServer) -> None:
        with connect(any_server.api_address) as link:
            link.sendall(head("POST", "/proxies", "Expect: 100-continue", "Content-Length: 2"))
            assert receive(link, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            link.sendall(b"{}")
            assert link.recv(65536).startswith(b"HTTP/1.1 400 ")

    def test_requests_may_follow_each_other_on_one_connection(self, any_server: ProxyServer) -> None:
        asked = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert exchange(any_server.api_address, asked * 3 + head("GET", "/version")).count(b"200 OK") == 4
        with connect(any_server.api_address) as link:
            link.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: link.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.0 200 OK")


class TestHosts:
    """A page in a browser must not reach the API under a name of its own."""

    @pytest.mark.parametrize("strict", [(), ("--strict",)])
    def test_a_foreign_one_is_refused_unless_it_is_allowed(self, strict: tuple[str, ...]) -> None:
        with servers.embedded("--allow-host", "proxy.internal", *strict) as server:
            for host in (
                "localhost",
                "a.localhost",
                "127.0.0.1",
                "[::1]:8474",
                "proxy.internal:1",
                "PROXY.INTERNAL.",
                "",
            ):
                assert server.call("GET", "/version", Host=host).status_code == 200, host
            for host in ("evil.example", "evil.example:8474", "localhost.evil.example", "127.0.0.1.evil.example", "x"):
                refused = server.call("GET", "/version", Host=host)
                assert (refused.status_code, "--allow-host" in refused.text) == (403, True), host
            absolute = head("GET", "http://evil.example/version")
            assert exchange(server.api_address, absolute).startswith(b"HTTP/1.1 403 ")

    def test_a_star_allows_every_one(self) -> None:
        with servers.embedded("--allow-host", "*") as server:
            assert server.call("GET", "/version", Host="evil.example").status_code == 200


@contextlib.contextmanager
def short_tempered(timeouts: ClientTimeouts) -> Iterator[tuple[str, int]]:
    """A server in a thread that waits for nobody for long."""
    address = (HOST, free_port())
    loop = asyncio.new_event_loop()

    async def answer(_: ApiRequest) -> ApiResponse:
        return ApiResponse(204)

    server = HttpServer(answer, timeouts)
    loop.run_until_complete(server.start(*address))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield address
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class TestSlowClients:
    """15 s for a request, 60 s between two: nobody is waited for any longer."""

    def test_the_limits_are_those_of_the_real_server(self) -> None:
        assert ClientTimeouts() == ClientTimeouts(request_s=15, idle_s=60, answer_s=30)

    def test_heads_and_bodies_that_never_come_are_not_waited_for(self, any_server: ProxyServer) -> None:
        """300 connections; the API answers meanwhile."""
        unfinished = (
            b"", b"GET", b"GET /version HTTP/1.1\r\nHost: localhost\r\n",
            b"POST /proxies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
            b"POST /proxies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
        )  # fmt: skip
        with contextlib.ExitStack() as stack:
            links = [stack.enter_context(connect(any_server.api_address, 60)) for _ in range(300)]
            for number, link in enumerate(links):
                link.sendall(unfinished[number % len(unfinished)])
            assert any_server.call("GET", "/version").status_code == 200
            ends = [b"".join(iter(lambda link=link: link.recv(4096), b"")) for link in links]  # type: ignore[misc]
        assert {end[9:12] for end in ends} <= {b"", b"400", b"503"}  # closed, some with a word why

    def test_one_that_drips_is_not_waited_for(self) -> None:
        with short_tempered(ClientTimeouts(request_s=0.5)) as address, connect(address) as link:
            link.settimeout(0.05)

            def is_closed() -> bool:
                try:
                    link.sendall(b"X")
                    return link.recv(1) == b""
                except TimeoutError:
                    return False
                except ConnectionError:
                    return True

            wait_until(is_closed, what="the end of the connection")

    def test_one_that_asks_nothing_more_is_let_go(self) -> None:
        with short_tempered(ClientTimeouts(idle_s=0.2)) as address, connect(address) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"".join(iter(lambda: link.recv(4096), b"")).startswith(b"HTTP/1.1 204 ")


def keepalive_timers_s(port: int) -> list[float]:
    """Of the established connections at which this port is one of the two: when the next keep-alive probe is due."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, _, timer, *_ = line.split()
        if state == "01" and port in (int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)):
            kind, _, due = timer.partition(":")
            if kind == "02":
                found.append(int(due, 16) / 100)
    return found


def test_peers_that_are_gone_are_found_out_on_both_sides(any_server: ProxyServer, upstream: Start) -> None:
    """TCP keep-alive every 15 s: at the client's side of the proxy and at the upstream's."""
    server = upstream(echo)
    listen = any_server.create("a", server.address)
    with connect(listen) as link:
        link.sendall(b"x")
        assert receive(link, 1) == b"x"
        for port in (listen[1], int(server.address.rpartition(":")[2])):
            wait_until(lambda port=port: bool(keepalive_timers_s(port)), what="a keep-alive timer")  # type: ignore[misc]
            assert all(due_s <= 15 for due_s in keepalive_timers_s(port))
