"""Requests that are too large, too slow or for nobody get a problem document, over real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from target.http.app import HEADER_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX
from target.http.messages import BODY_BYTES_MAX
from target.http.tickets import Signer
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT, SECRET, Answer, Server, running
from tests.target.provider_fixture import Provider

BASE = f"/api/events/{EVENT}"
PATIENCE_S = 60.0
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def booking(shared_valkey: Valkey, shared_truth: Truth, provider: Provider) -> Iterator[Server]:
    settings = {
        "redis_url": shared_valkey.url,
        "primary_dsn": shared_truth.primary_dsn,
        "replica_dsn": shared_truth.replica_dsn,
        "payments_url": provider.url,
    }
    with running("booking", **settings) as server:
        yield server


def _say(server: Server, *parts: bytes) -> tuple[int, bytes]:
    """Sends bytes and waits until the server hangs up. Returns the status and everything it said."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as link:
        for part in parts:
            link.sendall(part)
        said = b""
        while data := link.recv(65_536):
            said += data
    return int(said.split(b" ", 2)[1]), said


def _is_problem(answer: Answer, status: int) -> bool:
    told = json.loads(answer.body)
    return (answer.status, told["status"], answer.headers["content-type"]) == (status, status, PROBLEM)


def _pass() -> str:
    return f"Pass {Signer(SECRET, EVENT).admit('f', 'f', admission_no=1, limit=4, entered_s=time.time())[0]}"


def test_headers_are_bounded(booking: Server) -> None:
    assert _is_problem(booking.ask("GET", "/status", Long="x" * HEADER_BYTES_MAX), 431)
    assert _is_problem(booking.ask("GET", "/status", **{f"x{n}": "1" for n in range(HEADERS_MAX + 1)}), 431)
    assert booking.ask("GET", "/status", Long="x" * (HEADER_BYTES_MAX - 1000)).status == 200


def test_addresses_are_bounded(booking: Server) -> None:
    assert _is_problem(booking.ask("GET", "/status?" + "x" * TARGET_BYTES_MAX), 414)
    assert _is_problem(booking.ask("GET", f"/api/orders/{'x' * TARGET_BYTES_MAX}", Authorization=_pass()), 414)


def test_a_body_is_refused_by_the_length_that_it_announces(booking: Server) -> None:
    head = f"POST {BASE}/queue HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_BYTES_MAX + 1}\r\n\r\n"
    status, said = _say(booking, head.encode())
    assert status == 413
    assert PROBLEM.encode() in said


def test_a_body_is_refused_when_it_does_not_end(booking: Server) -> None:
    head = f"POST {BASE}/queue HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    size = BODY_BYTES_MAX + 1
    status, said = _say(booking, head.encode(), f"{size:x}\r\n".encode() + b"x" * size + b"\r\n")
    assert status == 413
    assert PROBLEM.encode() in said


def test_a_body_that_comes_too_slowly_is_not_waited_for(booking: Server) -> None:
    head = f"POST {BASE}/queue HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
    status, said = _say(booking, head.encode(), b'{"fan":')
    assert status == 408
    assert PROBLEM.encode() in said


def test_a_header_that_comes_too_slowly_is_not_waited_for(booking: Server) -> None:
    with socket.create_connection(("127.0.0.1", booking.port), timeout=PATIENCE_S) as link:
        link.sendall(b"GET /status HTTP/1.1\r\nhost: x\r\n")
        link.recv(65_536)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/events/other/seats", 404),
        ("DELETE", "/status", 405),
        ("POST", f"{BASE}/queue/positions", 405),
        ("GET", f"{BASE}/orders", 405),
        ("GET", "/admin/orders", 404),
        ("GET", "/admin/pending", 404),
        ("POST", "/admin/passes", 404),
    ],
)
def test_what_is_not_there_is_a_problem(booking: Server, method: str, path: str, status: int) -> None:
    answer = booking.ask(method, path)
    assert _is_problem(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


def test_the_head_of_a_stream_ends(booking: Server) -> None:
    ticket = Signer(SECRET, EVENT).ticket("a", "a", time.time_ns() // 1000)
    head = (
        f"HEAD {BASE}/queue/positions HTTP/1.1\r\nhost: x\r\nauthorization: Queue {ticket}\r\nconnection: close\r\n\r\n"
    )
    assert _say(booking, head.encode())[0] == 200


@pytest.mark.parametrize("body", [b"", b'{"fan":', b"\xff\xfe", b'{"fan": "\\ud800", "identity": "x"}', b"nul"])
def test_what_is_not_json_is_400(booking: Server, body: bytes) -> None:
    assert _is_problem(booking.ask("POST", f"{BASE}/queue", body), 400)


@pytest.mark.parametrize(
    "fan", ["", " ", "a b", "a\n", "\n", "a\u0000", "\u007f", "x" * 129, 7, None, ["a"], {"a": "b"}, True]
)
def test_names_of_the_wrong_shape_are_422(booking: Server, fan: object) -> None:
    assert _is_problem(booking.ask("POST", f"{BASE}/queue", {"fan": fan, "identity": "x"}), 422)
    assert _is_problem(booking.ask("POST", f"{BASE}/queue", {"fan": "x", "identity": fan}), 422)


@pytest.mark.parametrize("order_id", ["%00", "%ff", "a%00b", "..%2f", "%0a", "💺".encode().hex()])
def test_odd_ids_are_not_found(booking: Server, order_id: str) -> None:
    assert booking.ask("GET", f"/api/orders/{order_id}", Authorization=_pass()).status == 404
    assert booking.ask("DELETE", f"{BASE}/holds/{order_id}", Authorization=_pass()).status in {404, 503}
