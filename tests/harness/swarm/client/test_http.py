"""The lean client against a real server that behaves as badly as servers do. Each call leaves exactly one row."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from time import monotonic

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.platform import Call, Person
from harness.record.schema import ERRORS, TABLES
from harness.swarm.client.http import ClientLimits, Endpoint, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.request_hook import EachFired
from tests.harness.swarm.client.test_message import chunked, split_at
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, response, serving

GET = Endpoint("seat_map", "GET", frozenset({200, 204, 304}), idempotent=True)
POST = Endpoint("hold", "POST", frozenset({201, 409}))
HEAD = Endpoint("venue", "HEAD", frozenset({200}), idempotent=True)
PERSON = Person(user=7, kind="fan", actor="fan-000007", identity="person-000007")
NOW = Call(t_intended_s=0.0)


def client_of(url: str, recorder: Recorder | None = None, **limits: float) -> HttpClient:
    return HttpClient(resolve(url), recorder or Recorder(1), PERSON, ClientLimits(**limits))


def rows(recorder: Recorder) -> list[dict[str, object]]:
    batch = recorder.take(ReleaseInstant(0.0, 0.0)).get("requests")
    return batch.to_pylist() if batch else []


def test_a_kept_connection_serves_call_after_call() -> None:
    recorder = Recorder(3)
    with serving(lambda asked: [response(asked.target.encode())]) as server:
        client = client_of(server.url, recorder)
        assert [client.call(GET, f"/{n}", NOW).body for n in range(3)] == [b"/0", b"/1", b"/2"]
        client.close()
    assert server.connections == 1
    assert [row["seq"] for row in rows(recorder)] == [0, 1, 2]


def test_a_row_tells_the_call_whole() -> None:
    recorder = Recorder(3)
    with serving(lambda _: [response(b'{"error": "taken"}', 409)]) as server:
        client = client_of(server.url, recorder)
        before = monotonic()
        client.call(POST, "/holds", Call(t_intended_s=before - 1.0, attempt=2, op=11), body=b"{}")
        client.close()
    (row,) = rows(recorder)
    assert row.keys() == set(TABLES["requests"].names)
    assert (row["actor"], row["op"]) == (PERSON.actor, 11)
    assert (row["worker"], row["user"], row["kind"], row["step"], row["method"]) == (3, 7, "fan", "hold", "POST")
    assert (row["status"], row["outcome"], row["error"], row["response_bytes"], row["attempt"]) == (
        409,
        "ok",
        "",
        18,
        2,
    )
    assert row["t_intended_s"] == before - 1.0
    assert before <= row["t_start_s"] <= row["t_first_byte_s"] <= row["t_end_s"] <= monotonic()


def test_what_is_sent_is_a_proper_request() -> None:
    with serving(lambda _: [response(b"", 201)]) as server:
        client = client_of(server.url)
        client.call(POST, "/holds?x=1", NOW, b"Authorization: Pass p\r\n", b'{"seats":[]}')
        client.close()
    (asked,) = server.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/holds?x=1", b'{"seats":[]}')
    assert asked.header("host") == server.url.removeprefix("http://")
    assert asked.header("accept-encoding") == "identity"
    assert asked.header("authorization") == "Pass p"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.lists(st.integers(0, 5000), max_size=6))
def test_a_response_reads_the_same_however_it_is_split(parts: list[bytes], cuts: list[int]) -> None:
    body = b"".join(parts)
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(parts)
    for message in (whole, response(body)):
        with serving(lambda _, message=message: split_at(message, cuts)) as server:
            client = client_of(server.url)
            answer = client.call(GET, "/", NOW)
            client.close()
        assert (answer.status, answer.body, answer.error) == (200, body, "")


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_garbage_ends_in_a_named_error_and_one_row(garbage: bytes) -> None:
    recorder = Recorder(1)
    with serving(lambda _: [garbage, CLOSE]) as server:
        client = client_of(server.url, recorder)
        answer = client.call(GET, "/", NOW)
        client.close()
    assert answer.outcome == "unknown"
    assert answer.error in ERRORS
    assert len(rows(recorder)) == recorder.requests_sent == 1


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([response(b"0123456789")[:-3], CLOSE], "reset"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", CLOSE], "reset"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500], "too_large"),
        ([response(b"y" * 500)], "too_large"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([b"z" * 500])], "too_large"),
        ([b"SSH-2.0-OpenSSH_9.6\r\n\r\n"], "protocol"),
        ([Hang()], "timeout"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Hang()], "timeout"),
    ],
)
def test_a_response_that_never_becomes_whole_is_unknown(said: list[bytes | Hang], error: str) -> None:
    recorder = Recorder(1)
    with serving(lambda _: said) as server:
        short = {"first_byte_s": 0.15, "whole_s": 0.3} if error == "timeout" else {}
        client = client_of(server.url, recorder, head_bytes=256, body_bytes=400, **short)
        answer = client.call(POST, "/holds", NOW, body=b"")
        client.close()
    assert (answer.status, answer.outcome, answer.error) == (0, "unknown", error)
    (row,) = rows(recorder)
    assert (row["status"], row["outcome"], row["error"]) == (0, "unknown", error)


def test_an_unexpected_status_is_a_failure_with_its_wish() -> None:
    with serving(lambda _: [response(b"busy", 503, "Retry-After: 2")]) as server:
        client = client_of(server.url)
        answer = client.call(POST, "/holds", NOW, body=b"")
        client.close()
    assert (answer.status, answer.outcome, answer.error, answer.retry_after_s) == (503, "fail", "status", 2.0)


def test_nobody_listening_is_refused_and_certainly_did_not_happen() -> None:
    recorder = Recorder(1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client, begun_s = client_of(url, recorder), monotonic()
    answer = client.call(POST, "/holds", NOW, body=b"")
    assert (answer.outcome, answer.error) == ("fail", "refused")
    assert [row["t_first_byte_s"] for row in rows(recorder)] == [None]
    assert client.first_send_s is not None  # turned away, the user has come all the same
    assert client.first_send_s >= begun_s


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_leaves_the_connection_usable(status: int) -> None:
    with serving(lambda _: [f"HTTP/1.1 {status} x\r\nContent-Length: 5\r\n\r\n".encode()]) as server:
        client = client_of(server.url)
        assert [client.call(GET, "/", NOW).status for _ in range(2)] == [status, status]
        client.close()
    assert server.connections == 1


def test_the_answer_to_head_has_no_body() -> None:
    with serving(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"]) as server:
        client = client_of(server.url)
        assert [client.call(HEAD, "/", NOW).body for _ in range(2)] == [b"", b""]
        client.close()


def test_interim_responses_are_passed_over() -> None:
    with serving(lambda _: [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", response(b"real")]) as server:
        client = client_of(server.url)
        assert client.call(GET, "/", NOW).body == b"real"
        client.close()


def test_connection_close_is_obeyed() -> None:
    with serving(lambda _: [response(b"", 200, "Connection: close"), CLOSE]) as server:
        client = client_of(server.url)
        assert [client.call(GET, "/", NOW).error for _ in range(2)] == ["", ""]
        client.close()
    assert server.connections == 2


def closes_kept_connections(asked: Asked) -> Iterable[bytes | Hang]:
    """Answers the first request of the first connection, and hangs up on the second."""
    first = asked.target == "/first" or asked.connection > 0
    return [response(b"", 201 if asked.method == "POST" else 200)] if first else [CLOSE]


def test_a_stale_connection_is_replaced_when_asking_twice_does_no_harm() -> None:
    recorder = Recorder(1)
    with serving(closes_kept_connections) as server:
        client = client_of(server.url, recorder)
        client.call(GET, "/first", NOW)
        assert client.call(GET, "/second", NOW).error == ""
        client.close()
    assert [asked.target for asked in server.asked] == ["/first", "/second", "/second"]
    assert len(rows(recorder)) == recorder.requests_sent == 2


def gives_up(at: str) -> Callable[[Asked], Iterable[bytes | Hang]]:
    """Answers, and then says unasked that it has waited long enough, on the first connection."""

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        yield response(asked.target.encode())
        if asked.target == at and asked.connection == 0:
            yield response(b"too late", 408, "Connection: close")
            yield CLOSE

    return script


def test_a_408_that_came_while_the_connection_lay_idle_is_not_the_answer() -> None:
    recorder = Recorder(1)
    with serving(gives_up("/first")) as server:
        client = client_of(server.url, recorder)
        client.call(GET, "/first", NOW)
        gevent_wait(lambda: server.closed == 1)
        answer = client.call(GET, "/second", NOW)
        client.close()
    assert (answer.status, answer.body, answer.error) == (200, b"/second", "")
    assert [row["status"] for row in rows(recorder)] == [200, 200]


def test_a_408_to_a_request_on_a_kept_connection_is_asked_again_on_another() -> None:
    def script(asked: Asked) -> Iterable[bytes | Hang]:
        if asked.target == "/second" and asked.connection == 0:
            return [response(b"", 408, "Connection: close"), CLOSE]
        return [response(asked.target.encode())]

    with serving(script) as server:
        client = client_of(server.url)
        client.call(GET, "/first", NOW)
        assert client.call(GET, "/second", NOW).body == b"/second"
        client.close()


def test_a_408_on_a_new_connection_is_the_answer() -> None:
    with serving(lambda _: [response(b"", 408, "Connection: close"), CLOSE]) as server:
        client = client_of(server.url)
        assert client.call(GET, "/", NOW).status == 408
        client.close()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500,
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nX: y\n\r\n",
    ],
)
def test_what_is_no_answer_is_known_at_once(said: bytes) -> None:
    with serving(lambda _: [said, Hang()]) as server:
        client = client_of(server.url)
        assert client.call(GET, "/", NOW).error == "protocol"
        client.close()


def gevent_wait(condition: Callable[[], bool]) -> None:
    """Until it is so, while the loop goes on; and until the loop has had time to hear of it."""
    deadline = monotonic() + 10
    while not condition() and monotonic() < deadline:
        gevent.sleep(0.005)
    assert condition()
    gevent.sleep(0.05)


def test_a_stale_connection_leaves_an_unsafe_request_unknown() -> None:
    with serving(closes_kept_connections) as server:
        client = client_of(server.url)
        client.call(POST, "/first", NOW, body=b"")
        answer = client.call(POST, "/second", NOW, body=b"")
        client.close()
    assert (answer.outcome, answer.error) == ("unknown", "reset")
    assert [asked.target for asked in server.asked] == ["/first", "/second"]


def test_a_killed_user_leaves_a_row_that_says_so() -> None:
    recorder = Recorder(1)
    with serving(lambda _: [Hang()]) as server:
        client = client_of(server.url, recorder)
        calling = gevent.spawn(client.call, POST, "/holds", NOW, b"", b"")
        deadline = monotonic() + 2
        while not server.asked and monotonic() < deadline:
            gevent.sleep(0.005)
        calling.kill()
    (row,) = rows(recorder)
    assert (row["outcome"], row["error"]) == ("unknown", "stopped")


def test_locust_hears_of_every_call() -> None:
    heard: list[dict[str, object]] = []
    recorder = Recorder(1, EachFired(lambda **event: heard.append(event)))
    with serving(lambda asked: [response(b"abc", 200 if asked.target == "/good" else 500)]) as server:
        client = client_of(server.url, recorder)
        client.call(GET, "/good", NOW)
        client.call(GET, "/bad", NOW)
        client.close()
    assert [(one["request_type"], one["name"], one["response_length"]) for one in heard] == [("GET", "seat_map", 3)] * 2
    assert heard[0]["exception"] is None
    assert str(heard[1]["exception"]) == "status"
