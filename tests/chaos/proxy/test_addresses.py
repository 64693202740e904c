"""Addresses to listen at: the same forms are taken and refused as by Go's net package."""

from __future__ import annotations

import socket

import pytest

from chaos.proxy import address
from tests.chaos.servers import HOST, ProxyServer, connect, free_port

UP = "127.0.0.1:9"


def created(server: ProxyServer, listen: str) -> str:
    answer = server.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": listen})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["listen"])


@pytest.mark.parametrize("host", ["", "0.0.0.0", "[::]", "[]"])
def test_every_interface_means_both_families(any_server: ProxyServer, host: str) -> None:
    port = free_port()
    assert created(any_server, f"{host}:{port}") == f"[::]:{port}"
    connect((HOST, port)).close()
    connect(("::1", port)).close()


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        ("127.0.0.1:", HOST), ("127.0.0.1:+0", HOST), ("127.0.0.1:-0", HOST), ("127.0.0.1:000", HOST),
        ("[127.0.0.1]:0", HOST), ("[::ffff:127.0.0.1]:0", HOST), ("LOCALHOST:0", HOST), ("[localhost]:0", HOST),
        ("[::1]:0", "[::1]"), (":", "[::]"),
    ],
)  # fmt: skip
def test_other_ways_to_write_an_address(any_server: ProxyServer, listen: str, host: str) -> None:
    shown_host, _, port = created(any_server, listen).rpartition(":")
    assert shown_host == host
    assert int(port) > 0
    connect((host.strip("[]") if host != "[::]" else HOST, int(port))).close()


def test_an_ipv6_address_is_no_ipv4_address(any_server: ProxyServer) -> None:
    port = free_port()
    created(any_server, f"[::1]:{port}")
    with pytest.raises(ConnectionRefusedError):
        connect((HOST, port))


@pytest.mark.parametrize(
    ("listen", "error"),
    [
        ("[::1:8000", "address [::1:8000: missing ']' in address"),
        ("[::1]8000", "address [::1]8000: missing port in address"),
        ("[::1]:80:80", "address [::1]:80:80: too many colons in address"),
        ("::1:8000", "address ::1:8000: too many colons in address"),
        ("a]b:0", "address a]b:0: unexpected ']' in address"),
        ("a[b:0", "address a[b:0: unexpected '[' in address"),
        ("*:8000", "lookup *: no such host"),
        ("127.1:8000", "lookup 127.1: no such host"),
        ("127.0.0.01:0", "lookup 127.0.0.01: no such host"),
        ("1:0", "lookup 1: no such host"),
        ("ü:0", "lookup ü: no such host"),
        ("a b:0", "lookup a b: no such host"),
        ("-a:0", "lookup -a: no such host"),
        ("\x00:0", "lookup \x00: no such host"),
        ("y" * 300 + ":0", f"lookup {'y' * 300}: no such host"),
        (f"{HOST}:٣٣", "lookup tcp/٣٣: unknown port"),
        (f"{HOST}:0x50", "lookup tcp/0x50: unknown port"),
        (f"{HOST}:-1", "address -1: invalid port"),
        (f"{HOST}:65536", "address 65536: invalid port"),
        (f"{HOST}:{'9' * 40}", f"address {'9' * 40}: invalid port"),
    ],
)
def test_what_is_no_address_is_refused(any_server: ProxyServer, listen: str, error: str) -> None:
    answer = any_server.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": listen})
    assert answer.json() == {"error": f"listen tcp: {error}", "status": 500}
    assert any_server.call("GET", "/proxies").json() == {}


@pytest.mark.parametrize("listen", ["a..b:0", ".a:0"])
def test_an_empty_label_is_the_requests_fault(ours: ProxyServer, listen: str) -> None:
    """In strict mode it is an error of the server, as with a real one: see differences.py."""
    for answer in (
        ours.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": listen}),
        ours.call("POST", "/populate", [{"name": "a", "upstream": UP, "listen": listen}]),
    ):
        assert answer.status_code == 400
        assert "empty label" in answer.json()["error"]
    assert ours.call("GET", "/proxies").json() == {}


@pytest.mark.parametrize(
    ("text", "port"),
    [(":http", 80), ("a:HTTP", 80), ("a:submissions", 465), ("a:domain", socket.getservbyname("domain"))],
)
def test_ports_may_be_names_of_services(text: str, port: int) -> None:
    assert address.split(text)[1] == port


def test_an_upstream_may_name_its_port(any_server: ProxyServer) -> None:
    """Nobody has to be there: it is dialled, and the client is let go."""
    listen = any_server.call("POST", "/proxies", {"name": "a", "upstream": f"{HOST}:gopher", "listen": f"{HOST}:0"})
    with connect((HOST, int(listen.json()["listen"].rpartition(":")[2]))) as link:
        assert link.recv(1) == b""


@pytest.mark.parametrize(
    "upstream", ["nowhere", "a..b:80", "ü\ud800:80", f"{HOST}:99999", "*:80", "[::1:80", "127.1:80"]
)
def test_an_upstream_that_is_no_address_ends_each_connection(any_server: ProxyServer, upstream: str) -> None:
    with connect(any_server.create("a", upstream)) as link:
        assert link.recv(1) == b""


@pytest.mark.parametrize("name", ["localhost:0", f"{HOST}:0"])
def test_a_disabled_proxy_is_enabled_at_the_same_address_written_otherwise(any_server: ProxyServer, name: str) -> None:
    any_server.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": name, "enabled": False})
    for listen in ("localhost:0", f"{HOST}:0"):
        changed = any_server.call("PATCH", "/proxies/a", {"listen": listen, "enabled": True})
        assert changed.json()["listen"].startswith(f"{HOST}:")
        any_server.call("PATCH", "/proxies/a", {"enabled": False})
