"""How late the client is, measured: a generator that is slowed on purpose, against servers whose own time is known."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import gevent
import pytest

from harness.platform import Call, Person
from harness.swarm.client import transport
from harness.swarm.client.http import Endpoint, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from tests.harness.swarm.client.test_tls import certificate, secured, trusted  # noqa: F401 - fixtures
from tests.harness.swarm.scripted_server import Asked, response, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when bytes arrived")

GET = Endpoint("seat_map", "GET", frozenset({200}), idempotent=True)
PERSON = Person(user=7, kind="fan", actor="fan-000007", identity="person-000007")
CALLS = 20
BUSY_S = 0.03
SERVER_S = 0.005
CLOCKS_APART_MS = 1.0  # the kernel's stamp is on another clock, which may be slewed meanwhile


@pytest.fixture(scope="module", autouse=True)
def _stamping() -> Iterator[None]:
    """The kernel begins to stamp some time after the first socket asked for it, and ends with the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as one:
        other, _ = listener.accept()
        one.setsockopt(socket.SOL_SOCKET, transport._SO_TIMESTAMPNS, 1)

        def stamped() -> bool:
            other.send(b".")
            return bool(one.recvmsg(1, socket.CMSG_SPACE(16))[1])

        wait_until(stamped, what="stamps")
        yield
        other.close()


class Known:
    """A server that takes a known time: for each answer, the instants just before and just after it was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, float]] = []

    def __call__(self, _: Asked) -> Iterator[bytes]:
        time.sleep(SERVER_S)
        before_s = monotonic()
        yield response(b"{}")
        self.sent.append((before_s, monotonic()))


@contextmanager
def busy() -> Iterator[None]:
    """The loop hardly turns: a greenlet keeps it from turning, again and again. The server's threads run meanwhile."""

    def hog() -> None:
        while True:
            time.sleep(BUSY_S)
            gevent.sleep(0.001)

    greenlet = gevent.spawn(hog)
    try:
        yield
    finally:
        greenlet.kill()


def rows(recorder: Recorder) -> list[dict[str, object]]:
    return recorder.take(ReleaseInstant(0.0, 0.0))["requests"].to_pylist()


def measured(url: str, known: Known) -> list[tuple[float, float, float]]:
    """Of each call: what was measured, and the least and the most that it can have been."""
    recorder = Recorder(1, stamp_every=1)
    client = HttpClient(resolve(url), recorder, PERSON)
    for _ in range(CALLS):
        assert client.call(GET, "/", Call(t_intended_s=monotonic())).body == b"{}"
        gevent.sleep(0)
    client.close()
    wait_until(lambda: len(known.sent) == CALLS)
    found = []
    for row, (before_s, after_s) in zip(rows(recorder), known.sent, strict=True):
        end_s = float(str(row["t_end_s"]))
        found.append((float(str(row["overstated_ms"])), (end_s - after_s) * 1000.0, (end_s - before_s) * 1000.0))
    return found


def check(found: list[tuple[float, float, float]]) -> None:
    """What was measured is what it was, and that was much."""
    for overstated_ms, least_ms, most_ms in found:
        assert least_ms - CLOCKS_APART_MS <= overstated_ms <= most_ms + CLOCKS_APART_MS
    assert max(overstated_ms for overstated_ms, _, _ in found) > BUSY_S * 1000.0 / 3


def test_a_busy_loop_is_late_by_what_is_measured() -> None:
    known = Known()
    with serving(known) as server, busy():
        check(measured(server.url, known))


def test_so_it_is_over_tls(trusted: Path) -> None:  # noqa: F811 - the fixture
    known = Known()
    with secured(known, trusted) as (server, _), busy():
        check(measured(server.url, known)[1:])  # the server holds its first answer back: Nagle's algorithm


def test_one_call_in_so_many_is_measured_and_an_unanswered_one_never() -> None:
    recorder = Recorder(1, stamp_every=4)
    with serving(lambda asked: [] if asked.target == "/cut" else [response(b"{}")]) as server:
        client = HttpClient(resolve(server.url), recorder, PERSON)
        for target in [*["/"] * 8, "/cut"]:
            client.call(GET, target, Call(t_intended_s=monotonic()))
        client.close()
    assert [row["overstated_ms"] is not None for row in rows(recorder)] == [*[True, False, False, False] * 2, False]


def test_what_was_begun_late_is_overstated_too() -> None:
    recorder = Recorder(1, stamp_every=1)
    with serving(lambda _: [response(b"{}")]) as server:
        client = HttpClient(resolve(server.url), recorder, PERSON)
        prepared = client.prepare(GET, "/")
        prepared.send_some(prepared.data)
        fired_s = monotonic()
        client.was_sent_ahead(prepared.data, fired_s)
        client.call(GET, "/", Call(t_intended_s=fired_s - 0.3))  # the barrier let it go 0.3 s after T0
        client.call(GET, "/", Call(t_intended_s=monotonic() - 0.25, late_s=0.25))
        client.call(GET, "/", Call(t_intended_s=monotonic() - 9.0, attempt=2))  # a retry: meant so, not late
        client.close()
    first, second, third = (float(str(row["overstated_ms"])) for row in rows(recorder))
    assert first >= 300.0
    assert second >= 250.0
    assert third < 9000.0
