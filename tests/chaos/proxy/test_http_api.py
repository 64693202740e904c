"""The HTTP API, black-box: the same questions to the embedded server and to a real Toxiproxy."""

from __future__ import annotations

import json
import re
import socket

import pytest
import requests

from tests.chaos.servers import HOST, ProxyServer, connect, free_port

UP = "127.0.0.1:9"  # nobody has to be there


def listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        connect((host, int(port)), 2).close()
    except ConnectionRefusedError:
        return False
    return True


def error_of(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text.endswith("\n")
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["error"]


def test_a_proxy_is_created_with_every_default(server: ProxyServer) -> None:
    answer = server.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": f"{HOST}:0"})
    proxy = answer.json()
    assert answer.status_code == 201
    assert (proxy["name"], proxy["upstream"], proxy["enabled"], proxy["toxics"]) == ("a", UP, True, [])
    assert not proxy["listen"].endswith(":0")
    assert listening(proxy["listen"])
    assert server.call("GET", "/proxies/a").json()["listen"] == proxy["listen"]
    assert list(server.call("GET", "/proxies").json()) == ["a"]


def test_a_proxy_that_is_created_disabled_does_not_listen(server: ProxyServer) -> None:
    listen = f"{HOST}:{free_port()}"
    body = {"name": "a", "upstream": UP, "listen": listen, "enabled": False}
    assert server.call("POST", "/proxies", body).json()["enabled"] is False
    assert not listening(listen)


def test_a_host_name_is_resolved_and_no_address_binds_any(server: ProxyServer) -> None:
    named = server.call("POST", "/proxies", {"name": "a", "upstream": UP, "listen": "localhost:0"}).json()
    assert named["listen"].startswith("127.0.0.1:")
    anywhere = server.call("POST", "/proxies", {"name": "b", "upstream": UP}).json()
    assert int(anywhere["listen"].rpartition(":")[2]) > 0
    assert listening(f"{HOST}:{anywhere['listen'].rpartition(':')[2]}")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"upstream": UP}, "missing required field: name"),
        ({"name": "a"}, "missing required field: upstream"),
        (None, "bad request body: EOF"),
    ],
)
def test_an_incomplete_proxy_is_refused(server: ProxyServer, body: object, error: str) -> None:
    assert error_of(server.call("POST", "/proxies", body)) == (400, error)


@pytest.mark.parametrize("body", [[], "text", 3, {"name": 3, "upstream": UP}, {"name": "a", "enabled": "yes"}])
def test_a_body_of_another_shape_is_refused(server: ProxyServer, body: object) -> None:
    status, error = error_of(server.call("POST", "/proxies", body))
    assert status == 400
    assert error.startswith("bad request body: ")


def test_what_is_not_json_is_refused(server: ProxyServer) -> None:
    answer = server.session.post(server.url + "/proxies", data="{", timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad request body: ")


@pytest.mark.parametrize("path", ["/proxies", "/populate"])
def test_a_body_that_is_cut_short_is_refused(server: ProxyServer, path: str) -> None:
    answer = server.session.post(server.url + path, data='{"name": "a', timeout=5)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad request body: unexpected EOF")


@pytest.mark.parametrize(
    ("listen", "error"),
    [
        ("nonsense", "address nonsense: missing port in address"),
        ("::1", "address ::1: too many colons in address"),
        (f"{HOST}:99999", "address 99999: invalid port"),
        (f"{HOST}:nonsense", "lookup tcp/nonsense: unknown port"),
    ],
)
def test_an_address_that_is_none_is_an_error_500(server: ProxyServer, listen: str, error: str) -> None:
    body = {"name": "a", "upstream": UP, "listen": listen}
    assert error_of(server.call("POST", "/proxies", body)) == (500, f"listen tcp: {error}")
    server.create("a", UP)
    assert error_of(server.call("PATCH", "/proxies/a", {"listen": listen})) == (500, error)
    assert server.call("GET", "/proxies/a").json()["enabled"] is True


def test_a_host_that_is_not_there_is_an_error_500(server: ProxyServer) -> None:
    """The real server may name the resolver that it asked."""
    body = {"name": "a", "upstream": UP, "listen": "256.1.1.1:0"}
    status, error = error_of(server.call("POST", "/proxies", body))
    assert status == 500
    assert re.fullmatch(r"listen tcp: lookup 256\.1\.1\.1( on \S+)?: no such host", error)


def test_two_proxies_cannot_have_one_name(server: ProxyServer) -> None:
    server.create("a", UP)
    assert error_of(server.call("POST", "/proxies", {"name": "a", "upstream": UP})) == (409, "proxy already exists")


def test_an_address_in_use_is_an_error_500(server: ProxyServer) -> None:
    _, port = server.create("a", UP)
    body = {"name": "b", "upstream": UP, "listen": f"{HOST}:{port}"}
    status, error = error_of(server.call("POST", "/proxies", body))
    assert status == 500
    assert "address already in use" in error
    assert list(server.call("GET", "/proxies").json()) == ["a"]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_proxy_is_updated_in_part(server: ProxyServer, method: str) -> None:
    _, port = server.create("a", UP)
    changed = server.call(method, "/proxies/a", {"name": "ignored", "upstream": "127.0.0.1:10"})
    assert changed.status_code == 200
    proxy = changed.json()
    assert (proxy["name"], proxy["upstream"], proxy["listen"]) == ("a", "127.0.0.1:10", f"{HOST}:{port}")
    assert proxy["enabled"] is True


def test_disabling_closes_the_listener_and_enabling_opens_it_again(server: ProxyServer) -> None:
    _, port = server.create("a", UP)
    for _ in range(5):
        assert server.call("PATCH", "/proxies/a", {"enabled": False}).json()["enabled"] is False
        assert not listening(f"{HOST}:{port}")
        assert server.call("PATCH", "/proxies/a", {"enabled": True}).json()["enabled"] is True
        assert listening(f"{HOST}:{port}")


def test_another_listen_address_moves_the_listener(server: ProxyServer) -> None:
    _, port = server.create("a", UP)
    other = f"{HOST}:{free_port()}"
    assert server.call("PATCH", "/proxies/a", {"listen": other}).json()["listen"] == other
    assert listening(other)
    assert not listening(f"{HOST}:{port}")


def test_a_deleted_proxy_is_gone(server: ProxyServer) -> None:
    _, port = server.create("a", UP)
    answer = server.call("DELETE", "/proxies/a")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not listening(f"{HOST}:{port}")
    assert error_of(server.call("DELETE", "/proxies/a")) == (404, "proxy not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/proxies/x"), ("PATCH", "/proxies/x"), ("GET", "/proxies/x/toxics"), ("POST", "/proxies/x/toxics"),
     ("GET", "/proxies/x/toxics/t"), ("PATCH", "/proxies/x/toxics/t"), ("DELETE", "/proxies/x/toxics/t")],
)  # fmt: skip
def test_a_proxy_that_is_not_there(server: ProxyServer, method: str, path: str) -> None:
    assert error_of(server.call(method, path, {})) == (404, "proxy not found")


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {}), ("POST", {}), ("DELETE", None)])
def test_a_toxic_that_is_not_there(server: ProxyServer, method: str, body: object) -> None:
    server.create("a", UP)
    assert error_of(server.call(method, "/proxies/a/toxics/t", body)) == (404, "toxic not found")


def test_a_toxic_gets_every_default(server: ProxyServer) -> None:
    server.create("a", UP)
    answer = server.call("POST", "/proxies/a/toxics", {"type": "latency"})
    assert answer.status_code == 200
    assert answer.json() == {
        "attributes": {"latency": 0, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1,
    }
    assert server.call("GET", "/proxies/a/toxics/latency_downstream").json() == answer.json()


def test_the_case_of_a_stream_means_nothing_and_is_kept(server: ProxyServer) -> None:
    server.create("a", UP)
    server.toxic("a", "noop")
    assert server.toxic("a", "latency", "Upstream", latency=7) == "latency_Upstream"
    streams = [toxic["stream"] for toxic in server.call("GET", "/proxies/a/toxics").json()]
    assert streams == ["Upstream", "downstream"]


def test_toxics_are_listed_upstream_first(server: ProxyServer) -> None:
    server.create("a", UP)
    server.toxic("a", "noop", "downstream")
    server.toxic("a", "latency", "upstream", latency=3)
    names = ["latency_upstream", "noop_downstream"]
    assert [toxic["name"] for toxic in server.call("GET", "/proxies/a/toxics").json()] == names
    assert [toxic["name"] for toxic in server.call("GET", "/proxies/a").json()["toxics"]] == names


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"type": "latency", "stream": "sideways"}, 400, "stream was invalid, can be either upstream or downstream"),
        ({"type": "nonsense"}, 400, "invalid toxic type"),
        ({}, 400, "invalid toxic type"),
        ({"type": "nonsense", "stream": "sideways"}, 400, "stream was invalid, can be either upstream or downstream"),
        ({"type": "noop", "name": "taken", "stream": "upstream"}, 409, "toxic already exists"),
        ({"type": "latency", "name": "taken", "attributes": {"latency": "x"}}, 409, "toxic already exists"),
    ],
)
def test_a_bad_toxic_is_refused_and_checked_in_order(
    server: ProxyServer, body: object, status: int, error: str
) -> None:
    server.create("a", UP)
    server.call("POST", "/proxies/a/toxics", {"type": "noop", "name": "taken"})
    assert error_of(server.call("POST", "/proxies/a/toxics", body)) == (status, error)


@pytest.mark.parametrize("attributes", ['{"latency": 8000.0}', '{"latency": "8000"}', "[]"])
def test_attributes_are_whole_numbers(server: ProxyServer, attributes: str) -> None:
    server.create("a", UP)
    body = f'{{"type": "latency", "attributes": {attributes}}}'
    status, error = error_of(server.session.post(f"{server.url}/proxies/a/toxics", data=body, timeout=5))
    assert status == 400
    assert error.startswith("bad request body: ")
    assert server.call("GET", "/proxies/a/toxics").json() == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_update_merges_attributes_and_toxicity_only(server: ProxyServer, method: str) -> None:
    server.create("a", UP)
    server.toxic("a", "latency", latency=10, jitter=5)
    path = "/proxies/a/toxics/latency_downstream"
    body = {"name": "other", "stream": "upstream", "type": "noop", "toxicity": 0.5, "attributes": {"latency": 20}}
    changed = server.call(method, path, body)
    assert changed.status_code == 200
    expected = {"name": "latency_downstream", "stream": "downstream", "type": "latency", "toxicity": 0.5}
    assert changed.json() == {**expected, "attributes": {"latency": 20, "jitter": 5}}
    assert server.call("DELETE", path).status_code == 204


def test_reset_enables_everything_and_removes_every_toxic(server: ProxyServer) -> None:
    _, port = server.create("a", UP)
    server.create("b", UP)
    server.toxic("b", "latency", latency=10)
    server.call("PATCH", "/proxies/a", {"enabled": False})
    answer = server.call("POST", "/reset")
    assert (answer.status_code, answer.content) == (204, b"")
    assert listening(f"{HOST}:{port}")
    proxies = server.call("GET", "/proxies").json()
    assert all(proxy["enabled"] and proxy["toxics"] == [] for proxy in proxies.values())


def test_reset_says_when_a_proxy_cannot_be_enabled(server: ProxyServer) -> None:
    _, port = server.create("a", UP)
    server.call("PATCH", "/proxies/a", {"enabled": False})
    with socket.create_server((HOST, port)):
        assert error_of(server.call("POST", "/reset"))[0] == 500
    assert server.call("POST", "/reset").status_code == 204


class TestPopulate:
    """POST /populate."""

    def test_creates_what_is_absent(self, server: ProxyServer) -> None:
        body = [{"name": "a", "upstream": UP, "listen": f"{HOST}:0"}, {"name": "b", "upstream": UP, "enabled": False}]
        answer = server.call("POST", "/populate", body)
        assert answer.status_code == 201
        assert [(p["name"], p["enabled"]) for p in answer.json()["proxies"]] == [("a", True), ("b", False)]

    def test_nothing_is_null(self, server: ProxyServer) -> None:
        answer = server.call("POST", "/populate", [])
        assert (answer.status_code, answer.json()) == (201, {"proxies": None})

    def test_null_is_nothing(self, server: ProxyServer) -> None:
        answer = server.session.post(server.url + "/populate", data="null", timeout=5)
        assert (answer.status_code, answer.json()) == (201, {"proxies": None})

    def test_leaves_the_same_proxy_untouched(self, server: ProxyServer) -> None:
        listen = f"{HOST}:{free_port()}"
        server.call("POST", "/populate", [{"name": "a", "upstream": UP, "listen": listen}])
        server.toxic("a", "latency", latency=5)
        server.call("PATCH", "/proxies/a", {"enabled": False})
        again = server.call("POST", "/populate", [{"name": "a", "upstream": UP, "listen": listen}]).json()
        assert again["proxies"][0]["enabled"] is False
        assert len(again["proxies"][0]["toxics"]) == 1

    def test_replaces_another_one_without_its_toxics(self, server: ProxyServer) -> None:
        _, port = server.create("a", UP)
        server.toxic("a", "latency", latency=5)
        body = [{"name": "a", "upstream": "127.0.0.1:10", "listen": f"{HOST}:{port}"}]
        replaced = server.call("POST", "/populate", body).json()["proxies"][0]
        assert (replaced["upstream"], replaced["toxics"]) == ("127.0.0.1:10", [])
        assert listening(f"{HOST}:{port}")

    def test_keeps_those_not_named_and_ignores_embedded_toxics(self, server: ProxyServer) -> None:
        server.create("a", UP)
        toxics = [{"type": "latency", "attributes": {"latency": 5}}]
        server.call("POST", "/populate", [{"name": "b", "upstream": UP, "listen": f"{HOST}:0", "toxics": toxics}])
        proxies = server.call("GET", "/proxies").json()
        assert sorted(proxies) == ["a", "b"]
        assert proxies["b"]["toxics"] == []

    def test_checks_every_entry_before_it_creates_any(self, server: ProxyServer) -> None:
        answer = server.call("POST", "/populate", [{"name": "a", "upstream": UP}, {"upstream": UP}])
        assert answer.status_code == 400
        assert answer.json() == {"error": "missing required field: name at proxy 2", "status": 400, "proxies": None}
        answer = server.call("POST", "/populate", [{"name": "a"}])
        assert answer.json()["error"] == "missing required field: upstream at proxy 1"
        assert server.call("GET", "/proxies").json() == {}

    def test_stops_at_a_bind_error_and_says_what_stands(self, server: ProxyServer) -> None:
        with socket.create_server((HOST, 0)) as taken:
            listen = f"{HOST}:{taken.getsockname()[1]}"
            body = [
                {"name": "a", "upstream": UP, "listen": f"{HOST}:0"},
                {"name": "b", "upstream": UP, "listen": listen},
                {"name": "c", "upstream": UP, "listen": f"{HOST}:0"},
            ]
            answer = server.call("POST", "/populate", body)
        assert answer.status_code == 500
        assert "address already in use" in answer.json()["error"]
        assert [proxy["name"] for proxy in answer.json()["proxies"]] == ["a"]
        assert list(server.call("GET", "/proxies").json()) == ["a"]


def test_version_and_routes_that_are_not_there(server: ProxyServer) -> None:
    answer = server.call("GET", "/version")
    assert re.fullmatch(r'\{"version": "[^"]+"\}\n', answer.text)  # a server built from source says "git"
    for path in ("/nothing", "/metrics", "/proxies/", "/proxies/a/b"):
        missing = server.call("GET", path)
        assert (missing.status_code, missing.text) == (404, "404 page not found\n"), path
    assert server.call("PUT", "/version").status_code == 405


def test_browsers_are_not_allowed(server: ProxyServer) -> None:
    answer = server.call("GET", "/version", **{"User-Agent": "Mozilla/5.0 (X11)"})
    assert (answer.status_code, answer.text) == (403, "User agent not allowed\n")
    assert server.call("GET", "/version", **{"User-Agent": "curl/8 Mozilla/5.0"}).status_code == 200


def test_strict_mode_has_no_extension(strict_server: ProxyServer) -> None:
    strict_server.clear()
    strict_server.create("a", UP)
    assert strict_server.call("GET", "/proxies/a/connections").status_code == 404
    assert strict_server.call("POST", "/proxies/a/connections/drop", {"percent": 50}).status_code == 404


def test_what_would_crash_a_real_server_is_refused(ours: ProxyServer) -> None:
    ours.create("a", UP)
    for body in (
        {"type": "slicer", "attributes": {"average_size": 0}},
        {"type": "bandwidth", "attributes": {"rate": -1}},
    ):
        answer = ours.call("POST", "/proxies/a/toxics", body)
        assert answer.status_code == 400, json.dumps(body)
