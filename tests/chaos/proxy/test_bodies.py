"""JSON bodies: what Go's decoder takes is taken, what it refuses is refused, and nothing is applied by halves."""

from __future__ import annotations

import asyncio
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.proxy.http import json_body
from tests.chaos import servers
from tests.chaos.servers import HOST, ProxyServer

UP = "127.0.0.1:9"
PROXY = {"name": "a", "upstream": UP, "listen": f"{HOST}:0"}


def listed(server: ProxyServer) -> dict[str, dict[str, object]]:
    answer = server.call("GET", "/proxies")
    assert answer.status_code == 200
    found: dict[str, dict[str, object]] = answer.json()
    return found


class TestStrings:
    """Half a pair of surrogates, and bytes that are not UTF-8, become U+FFFD: the list can always be shown."""

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            (rb"\ud800", "\ufffd"), (rb"\udc00x", "\ufffdx"), (rb"\ud83d\ude00", "\U0001f600"),
            (rb"\ud800\ud800", "\ufffd\ufffd"), (rb"\u0000", "\x00"), (b"\xff", "\ufffd"),
            (b"\xe2\x82", "\ufffd\ufffd"), (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
            ("ü<&>\u2028".encode(), "ü<&>\u2028"),
        ],
    )  # fmt: skip
    def test_of_a_proxy(self, any_server: ProxyServer, written: bytes, read: str) -> None:
        body = b'{"name":"%s","upstream":"%s","listen":"127.0.0.1:0"}' % (written, written)
        assert any_server.send("POST", "/proxies", body).json()["name"] == read
        assert listed(any_server)[read]["upstream"] == read
        any_server.send("POST", "/populate", b"[" + body.replace(b'"name":"', b'"name":"p') + b"]")
        any_server.send("POST", "/proxies", json.dumps(PROXY))
        assert any_server.send("PATCH", "/proxies/a", b'{"upstream":"%s"}' % written).json()["upstream"] == read
        toxic = any_server.send("POST", "/proxies/a/toxics", b'{"type":"noop","name":"%s"}' % written)
        assert toxic.json()["name"] == read
        assert set(listed(any_server)) == {read, f"p{read}", "a"}

    def test_of_an_address_that_is_refused(self, any_server: ProxyServer) -> None:
        answer = any_server.send("POST", "/proxies", '{"name":"a","upstream":"b","listen":"\\ud800:0"}')
        assert answer.json() == {"error": "listen tcp: lookup \ufffd: no such host", "status": 500}
        assert listed(any_server) == {}

    def test_names_in_paths_are_bytes(self, any_server: ProxyServer) -> None:
        any_server.send("POST", "/proxies", '{"name":"\\ud800","upstream":"b","listen":"127.0.0.1:0"}')
        assert any_server.call("GET", "/proxies/%EF%BF%BD").status_code == 200
        assert any_server.call("GET", "/proxies/%FF").status_code == 404
        assert any_server.call("DELETE", "/proxies/%EF%BF%BD").status_code == 204


WHOLE = [
    "9223372036854775808",
    "-9223372036854775809",
    "9" * 320,
    "9" * 5000,
    "8000.0",
    "1e3",
    '"5"',
    "true",
    "[]",
    "{}",
]
NOT_JSON = ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1_0", "- 1"]


class TestNumbers:
    """Attributes are whole numbers of 64 bits, the toxicity is one in single precision."""

    @pytest.mark.parametrize("number", WHOLE + NOT_JSON)
    @pytest.mark.parametrize(
        "type", ["timeout", "latency", "bandwidth", "limit_data", "slow_close", "reset_peer", "slicer"]
    )
    def test_an_attribute_that_is_none_is_refused(self, any_server: ProxyServer, type: str, number: str) -> None:
        any_server.create("a", UP)
        fields = {
            "latency": "latency",
            "bandwidth": "rate",
            "limit_data": "bytes",
            "slow_close": "delay",
            "slicer": "delay",
        }
        field = fields.get(type, "timeout")
        body = f'{{"type":"{type}","attributes":{{"average_size":5,"{field}":{number}}}}}'
        answer = any_server.send("POST", "/proxies/a/toxics", body)
        assert (answer.status_code, answer.json()["status"]) == (400, 400)
        assert any_server.call("GET", "/proxies/a/toxics").json() == []

    @pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "0", "-0"])
    def test_the_largest_and_the_smallest_are_taken(self, any_server: ProxyServer, number: str) -> None:
        any_server.create("a", UP)
        answer = any_server.send(
            "POST", "/proxies/a/toxics", f'{{"type":"timeout","attributes":{{"timeout":{number}}}}}'
        )
        assert answer.json()["attributes"] == {"timeout": int(number)}

    @pytest.mark.parametrize("number", ["1e400", "-1e400", "1e39", "9" * 320, '"1"', "true", "[]", *NOT_JSON])
    def test_a_toxicity_that_is_none_is_refused(self, any_server: ProxyServer, number: str) -> None:
        any_server.create("a", UP)
        assert any_server.send("POST", "/proxies/a/toxics", f'{{"type":"noop","toxicity":{number}}}').status_code == 400
        any_server.toxic("a", "noop", toxicity=0.5)
        assert (
            any_server.send("PATCH", "/proxies/a/toxics/noop_downstream", f'{{"toxicity":{number}}}').status_code == 400
        )
        assert any_server.call("GET", "/proxies/a/toxics").json()[0]["toxicity"] == 0.5

    @pytest.mark.parametrize(
        ("number", "shown"),
        [("0.1", "0.1"), ("0.333333333333", "0.33333334"), ("16777217", "16777216"), ("1e-50", "0"), ("1", "1")],
    )
    def test_a_toxicity_is_shown_as_single_precision(self, any_server: ProxyServer, number: str, shown: str) -> None:
        any_server.create("a", UP)
        answer = any_server.send("POST", "/proxies/a/toxics", f'{{"type":"noop","toxicity":{number}}}')
        assert f'"toxicity":{shown}' in answer.text

    def test_what_nobody_reads_may_be_any_number(self, any_server: ProxyServer) -> None:
        body = json.dumps({**PROXY, "more": 0}).replace(": 0", f": {'1' * 5000}")
        assert any_server.send("POST", "/proxies", body).status_code == 201


def test_keys_are_read_without_regard_to_case(any_server: ProxyServer) -> None:
    any_server.send("POST", "/proxies", json.dumps({"NAME": "a", "Upstream": UP, "li\u017ften": f"{HOST}:0"}))
    assert any_server.send("PATCH", "/proxies/a", '{"Enabled": false}').json()["enabled"] is False
    assert any_server.send("PATCH", "/proxies/a", '{"enabled": false, "ENABLED": true}').json()["enabled"] is True
    toxic = '{"Type": "latency", "STREAM": "upstream", "Toxicity": 0.5, "Attributes": {"LATENCY": 5, "Jitter": 2}}'
    assert any_server.send("POST", "/proxies/a/toxics", toxic).json()["attributes"] == {"latency": 5, "jitter": 2}
    twice = '{"attributes": {"latency": 1}, "Attributes": {"jitter": 1}}'
    changed = any_server.send("PATCH", "/proxies/a/toxics/latency_upstream", twice)
    assert changed.json()["attributes"] == {"latency": 1, "jitter": 1}
    any_server.send("POST", "/populate", f'[{{"NAME": "b", "UPSTREAM": "{UP}", "ENABLED": false}}]')
    assert listed(any_server)["b"]["enabled"] is False


class TestShapes:
    """Nesting, null, and what does not belong there."""

    @pytest.mark.parametrize("depth", [980, 9_999])
    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
    def test_deep_values_that_nobody_reads_are_taken(
        self, any_server: ProxyServer, depth: int, opening: str, closing: str
    ) -> None:
        deep = opening * depth + "1" + closing * depth
        body = f'{{"name":"a","upstream":"{UP}","listen":"{HOST}:0","more":{deep}}}'
        assert any_server.send("POST", "/proxies", body).status_code == 201
        assert any_server.send("POST", "/proxies/a/toxics", f'{{"type":"noop","attributes":{{"x":{deep}}}}}').ok is (
            depth < 9_999  # there it is deeper by one
        )

    @pytest.mark.parametrize("path", ["/proxies", "/populate", "/proxies/a", "/proxies/a/toxics"])
    @pytest.mark.parametrize(
        "body", ["[" * 980 + "]" * 980, "[" * 10_001 + "]" * 10_001, '{"a":' * 10_001, "[[]]", "[{}", "{}}"]
    )
    def test_none_is_an_error_of_the_server(self, any_server: ProxyServer, path: str, body: str) -> None:
        any_server.create("a", UP)
        assert any_server.send("POST", path, body).status_code in {200, 400}
        assert list(listed(any_server)) == ["a"]

    @pytest.mark.parametrize("body", ["[null]", "[{}]"])
    def test_null_is_a_proxy_without_a_name(self, any_server: ProxyServer, body: str) -> None:
        expected = {"error": "missing required field: name at proxy 1", "status": 400, "proxies": None}
        assert any_server.send("POST", "/populate", body).json() == expected

    @pytest.mark.parametrize("body", ["{}", '{"name":"a"}', '"a"', "1", "true", "[1]", '["a"]', "[[]]"])
    def test_populate_takes_a_list_of_objects(self, any_server: ProxyServer, body: str) -> None:
        assert any_server.send("POST", "/populate", body).status_code == 400

    @pytest.mark.parametrize(
        "body", ['{"stream":1}', '{"type":[],"name":{}}', '{"toxicity":null}', "null", "{}", '{"x":NULL}']
    )
    def test_a_change_of_a_toxic_reads_nothing_but_what_can_change(self, any_server: ProxyServer, body: str) -> None:
        any_server.create("a", UP)
        any_server.toxic("a", "latency", latency=5)
        answer = any_server.send("PATCH", "/proxies/a/toxics/latency_downstream", body)
        assert answer.status_code == (400 if "NULL" in body else 200)
        assert any_server.call("GET", "/proxies/a/toxics").json()[0]["attributes"]["latency"] == 5

    def test_a_compressed_body_is_refused(self, any_server: ProxyServer) -> None:
        body = gzip.compress(json.dumps(PROXY).encode())
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = any_server.send("POST", "/proxies", body, **headers)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("bad request body: ")
        assert listed(any_server) == {}

    def test_a_refused_populate_creates_nothing(self, any_server: ProxyServer) -> None:
        for last in ('{"name":1}', '{"name":"b"', "NaN", '{"name":"b","upstream":"c","enabled":"yes"}'):
            assert any_server.send("POST", "/populate", f"[{json.dumps(PROXY)},{last}]").status_code == 400
            assert listed(any_server) == {}


SERVERS = {"ours": servers.embedded, "strict": lambda: servers.embedded("--strict"), "real": servers.real_if_there}


@pytest.mark.parametrize("kind", ["ours", "strict", pytest.param("real", marks=pytest.mark.needs_toxiproxy)])
def test_a_very_long_list_is_populated(kind: str) -> None:
    """14,000 proxies; most do not listen, so that this needs no 14,000 ports. The server ends with them."""
    entries = [
        {"name": f"{number}", "upstream": f"10.0.0.1:{number}", "listen": f"{HOST}:0", "enabled": number % 100 == 0}
        for number in range(14_000)
    ]
    with SERVERS[kind]() as server:
        answer = server.call("POST", "/populate", entries)
        assert answer.status_code == 201
        assert len(answer.json()["proxies"]) == len(listed(server)) == 14_000


def parsed(body: bytes) -> object:
    return asyncio.run(json_body.parse(body))


def plain(value: object) -> object:
    """Objects as dicts and numbers as floats, as `json.loads` gives them."""
    if isinstance(value, json_body.Members):
        return {key: plain(member) for key, member in value}
    if isinstance(value, json_body.Number):
        return float(value)
    return [plain(item) for item in value] if isinstance(value, list) else value


values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(value=values, space=st.sampled_from([None, 2]), ascii=st.booleans())
def test_every_value_is_read_as_it_was_written(value: object, space: int | None, ascii: bool) -> None:
    assert plain(parsed(json.dumps(value, indent=space, ensure_ascii=ascii).encode())) == value


@given(body=st.binary())
def test_every_body_is_read_or_refused(body: bytes) -> None:
    try:
        parsed(body)
    except json_body.JsonError:
        return
    text = body.decode(errors="replace")
    json.JSONDecoder().raw_decode(text.lstrip(" \t\n\r"))  # Python's decoder reads more, never less
