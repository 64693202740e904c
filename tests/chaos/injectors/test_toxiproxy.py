"""The client wrapper against the embedded server and a real one: what the library gets wrong must be an error here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chaos.injectors.toxiproxy import Toxiproxy, ToxiproxyProblem
from tests.chaos.servers import HOST, ProxyServer, Upstream, connect, echo, elapsed_s, free_port, receive
from tests.hostile_server import BEHAVIOURS, behaving

Start = Callable[[Callable[[socket.socket], None]], Upstream]
UP = "127.0.0.1:9"


def test_proxies_live_from_creation_to_deletion(server: ProxyServer) -> None:
    client = Toxiproxy(server.url)
    created = client.create("a", UP)
    assert (created.name, created.upstream, created.enabled, created.toxics) == ("a", UP, True, ())
    client.disable("a")
    assert client.proxy("a").enabled is False
    client.enable("a")
    assert client.proxies()["a"].enabled is True
    client.delete("a")
    assert client.proxies() == {}
    assert client.version()


def test_toxics_are_added_updated_and_removed_twice(server: ProxyServer) -> None:
    client = Toxiproxy(server.url)
    client.create("a", UP)
    client.add_toxic("a", "latency", name="mine", attributes={"latency": 100})
    client.update_toxic("a", "mine", attributes={"jitter": 5}, toxicity=0.5)
    (toxic,) = client.proxy("a").toxics
    assert (toxic.attributes, toxic.toxicity) == ({"latency": 100, "jitter": 5}, 0.5)
    client.remove_toxic("a", "mine")
    client.remove_toxic("a", "mine")
    assert client.proxy("a").toxics == ()


def test_populate_takes_host_names(server: ProxyServer) -> None:
    client = Toxiproxy(server.url)
    port = free_port()
    body = [{"name": "a", "upstream": UP, "listen": f"localhost:{port}"}, {"name": "b", "upstream": UP}]
    assert [proxy.name for proxy in client.populate(body)] == ["a", "b"]
    assert client.populate(body)[0].listen == f"{HOST}:{port}"
    assert client.populate([]) == ()


def test_what_the_server_refuses_is_an_error(server: ProxyServer) -> None:
    client = Toxiproxy(server.url)
    client.create("a", UP)
    client.add_toxic("a", "noop", name="mine")
    for status, call in [
        (409, lambda: client.add_toxic("a", "noop", name="mine")),
        (400, lambda: client.add_toxic("a", "nonsense", name="other")),
        (404, lambda: client.proxy("absent")),
        (404, lambda: client.disable("absent")),
        (409, lambda: client.create("a", UP)),
        (404, lambda: client.remove_toxic("absent", "mine")),
    ]:
        with pytest.raises(ToxiproxyProblem) as caught:
            call()
        assert caught.value.status == status


def test_a_proxy_that_cannot_be_enabled_is_an_error(server: ProxyServer) -> None:
    client = Toxiproxy(server.url)
    port = int(client.create("a", UP).listen.rpartition(":")[2])
    client.disable("a")
    with socket.create_server((HOST, port)), pytest.raises(ToxiproxyProblem) as caught:
        client.enable("a")
    assert caught.value.status == 500
    client.enable("a")


def test_two_clients_have_two_endpoints(ours: ProxyServer, strict_server: ProxyServer) -> None:
    strict_server.clear()
    one, other = Toxiproxy(ours.url), Toxiproxy(strict_server.url)
    one.create("a", UP)
    other.create("b", UP)
    assert (list(one.proxies()), list(other.proxies())) == (["a"], ["b"])


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ToxiproxyProblem) as caught:
        Toxiproxy(f"http://{HOST}:{free_port()}").version()
    assert caught.value.status == 0
    assert "does not answer" in caught.value.message


def test_a_server_that_hangs_is_an_error_in_time() -> None:
    with socket.create_server((HOST, 0)) as deaf:
        client = Toxiproxy(f"http://{HOST}:{deaf.getsockname()[1]}", within_s=0.3)

        def ask() -> None:
            with pytest.raises(ToxiproxyProblem):
                client.disable("a")

        assert elapsed_s(ask) < 3


@pytest.mark.parametrize("behaviour", ["headers drop by drop", "a body drop by drop"])
def test_a_server_that_drips_is_an_error_in_time(behaviour: str) -> None:
    with behaving(BEHAVIOURS[behaviour]) as dripping:
        client = Toxiproxy(dripping.url, within_s=0.3)
        with pytest.raises(ToxiproxyProblem, match=r"does not answer: no whole answer within 0\.3 s"):
            client.disable("a")
        assert dripping.requests == 1


def test_an_error_500_or_503_is_never_taken_for_success() -> None:
    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"name": "a", "listen": "", "upstream": "", "enabled": true, "toxics": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.send_error(500)

        def do_DELETE(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Failing) as failing:
        threading.Thread(target=failing.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        client = Toxiproxy(f"http://{HOST}:{failing.server_address[1]}")
        for call in (lambda: client.disable("a"), client.reset, lambda: client.delete("a")):
            with pytest.raises(ToxiproxyProblem):
                call()
        failing.shutdown()


def test_a_drop_is_exact_where_the_server_can_and_by_a_toxic_where_not(
    ours: ProxyServer, server: ProxyServer, upstream: Start
) -> None:
    for each, exact in ((ours, True), (server, False)):
        client = Toxiproxy(each.url)
        address = each.create("feed", upstream(echo).address)
        link = connect(address)
        with link:
            link.sendall(b"x")
            receive(link, 1)
            assert client.can_drop_exactly("feed") is exact
            result = client.drop("feed", 100, "rst")
            assert result.exact is exact
            assert (result.open, result.dropped) == ((1, 1) if exact else (None, None))
            assert client.proxy("feed").toxics == ()
