"""A wave goes like T0: nobody before its instant, everybody at it, and whoever comes too late goes alone."""

from __future__ import annotations

from time import monotonic

import gevent

from harness.platform import Call, Person
from harness.swarm.client.http import Endpoint, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.waves import Waves
from tests.harness.swarm.scripted_server import response, serving

PAGE = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
FANS = 30
LATE = FANS


def test_a_wave_waits_goes_together_and_leaves_the_late_to_themselves() -> None:
    waves, recorder, due_s = Waves(), Recorder(1), monotonic() + 0.8

    def fan(number: int) -> float:
        person = Person(user=number, kind="fan", actor=f"{number}", identity=f"{number}")
        client = HttpClient(resolve(server.url), recorder, person)
        prepared = client.prepare(PAGE, "/queue")
        if number == LATE:
            gevent.sleep(max(0.0, due_s + 0.05 - monotonic()))
        waves.wait(due_s, prepared)
        answer = client.call(PAGE, "/queue", Call(t_intended_s=due_s))
        client.close()
        assert answer.error == ""
        return (client.first_send_s or 0.0) - due_s

    with serving(lambda _: [response(b"page")]) as server:
        fans = [gevent.spawn(fan, number) for number in range(FANS + 1)]
        sends_s = [one.get(timeout=10) for one in fans]
    assert all(send_s >= 0.0 for send_s in sends_s)
    assert recorder.requests_sent == recorder.samples_recorded == len(server.asked) == FANS + 1


def test_two_waves_do_not_wait_for_each_other() -> None:
    waves, begun_s = Waves(), monotonic()
    gone: list[str] = []

    def fan(name: str, due_s: float) -> None:
        waves.wait(due_s, None)
        gone.append(name)

    gevent.joinall([gevent.spawn(fan, "second", begun_s + 2.0), gevent.spawn(fan, "first", begun_s + 1.0)], timeout=10)
    assert gone == ["first", "second"]
