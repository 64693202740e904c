"""Armed users are held until T0, then their first requests leave in one go."""

from __future__ import annotations

import socket
from time import monotonic, time

import gevent
import pytest

from harness.platform import Call, Person
from harness.swarm.client.http import CallFailed, Endpoint, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.barrier import Barrier
from tests.harness.swarm.scripted_server import Asked, response, serving
from tests.waiting import wait_until

PAGE = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
FANS = 60


def crowd(url: str, barrier: Barrier, recorder: Recorder, count: int) -> list[gevent.Greenlet]:
    def fan() -> tuple[int, float, str]:
        user = barrier.user_of("fan")
        client = HttpClient(resolve(url), recorder, Person(user=user, kind="fan", actor=f"{user}", identity=f"{user}"))
        with barrier.arming:
            prepared = client.prepare(PAGE, "/queue")
        barrier.arm(prepared)
        t0 = barrier.wait()
        answer = client.call(PAGE, "/queue", Call(t_intended_s=t0.monotonic_s))
        client.close()
        return user, (client.first_send_s or 0.0) - t0.monotonic_s, answer.error

    return [gevent.spawn(fan) for _ in range(count)]


def release_soon(barrier: Barrier, notice_s: float = 0.2) -> None:
    barrier.release_at(ReleaseInstant(monotonic() + notice_s, time() + notice_s))


def test_nobody_sends_before_t0_and_everybody_right_after() -> None:
    """Nobody is answered before all have asked: who waited for the answer to another would wait for ever."""
    barrier, recorder = Barrier(), Recorder(1)

    def to_all_at_once(_: Asked) -> list[bytes]:
        wait_until(lambda: len(server.asked) == FANS, what="the request of every fan")
        return [response(b"page")]

    with serving(to_all_at_once) as server:
        fans = crowd(server.url, barrier, recorder, FANS)
        barrier.assign({"fan": 100}, FANS)
        assert barrier.complete.wait(60)
        assert server.asked == []
        release_soon(barrier)
        ended = [fan.get(timeout=60) for fan in fans]
    assert sorted(user for user, _, _ in ended) == list(range(100, 100 + FANS))
    assert all(send_s >= 0 for _, send_s, _ in ended)
    assert {error for _, _, error in ended} == {""}
    assert recorder.requests_sent == recorder.samples_recorded == len(server.asked) == FANS


def test_a_warm_connection_that_the_platform_gave_up_before_t0_is_not_used() -> None:
    """The platform says 408 on it and closes; the fan comes over another one, and gets the real answer."""
    barrier, recorder = Barrier(), Recorder(1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fans = crowd(f"http://127.0.0.1:{listener.getsockname()[1]}", barrier, recorder, 1)
        barrier.assign({"fan": 0}, 1)
        assert barrier.complete.wait(60)
        with listener.accept()[0] as given_up:
            given_up.sendall(response(b"too late", 408, "Connection: close"))
        with serving(lambda _: [response(b"page")], listener=listener) as server:
            release_soon(barrier)
            ((_, _, error),) = [fan.get(timeout=60) for fan in fans]
            assert len(server.asked) == 1
    assert error == ""
    assert barrier.t0 is not None
    (row,) = recorder.take(barrier.t0)["requests"].to_pylist()
    assert row["status"] == 200


def test_intended_is_t0_so_lateness_counts() -> None:
    barrier, recorder = Barrier(), Recorder(1)
    with serving(lambda _: [response(b"page")]) as server:
        fans = crowd(server.url, barrier, recorder, 1)
        barrier.assign({"fan": 0}, 1)
        assert barrier.complete.wait(60)
        release_soon(barrier)
        gevent.joinall(fans, timeout=60)
    assert barrier.t0 is not None
    (row,) = recorder.take(barrier.t0)["requests"].to_pylist()
    assert row["t_intended_s"] == 0.0
    assert 0.0 <= row["t_start_s"] < row["t_end_s"]


def test_a_shot_whose_connection_died_while_armed_is_sent_again_by_its_user() -> None:
    def script(asked: Asked) -> list[bytes]:
        return [response(b"page")]

    barrier, recorder = Barrier(), Recorder(1)
    with serving(script) as server:
        fans = crowd(server.url, barrier, recorder, 3)
        barrier.assign({"fan": 0}, 3)
        assert barrier.complete.wait(60)
        deadline = monotonic() + 5
        while server.connections < 3 and monotonic() < deadline:
            gevent.sleep(0.005)
        server.close()
        release_soon(barrier)
        ended = [fan.get(timeout=60) for fan in fans]
    assert {error for _, _, error in ended} == {""}
    assert recorder.requests_sent == recorder.samples_recorded == 3


def test_who_cannot_be_armed_is_counted_by_reason() -> None:
    barrier = Barrier()
    barrier.assign({"fan": 0}, 3)
    barrier.arm(None)
    barrier.fail("fan: refused")
    assert not barrier.complete.is_set()
    barrier.fail("fan: refused")
    assert barrier.complete.is_set()
    assert barrier.failures == {"fan: refused": 2}


def test_arming_without_a_platform_is_a_call_that_failed() -> None:
    with serving(lambda _: []) as server:
        gone = server.url
    client = HttpClient(resolve(gone), Recorder(1), Person(user=0, kind="fan", actor="a", identity="a"))
    with pytest.raises(CallFailed, match="refused"):
        client.prepare(PAGE, "/queue")
