"""How each kind of waiting user comes: a function of its number that opens it and returns how to stay.

Locust and the swarm are imported inside: they patch the process, and only a client process may be patched.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

HELD_S = 900.0  # silence for so long is no loss

Opener = Callable[[int], Callable[[], object]]


def raw_opener(url: str, _recorder: object) -> Opener:
    from gevent import socket

    host, port = url.removeprefix("http://").split(":")
    request = f"GET /sse HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    def come(_number: int) -> Callable[[], object]:
        connection = socket.create_connection((host, int(port)))
        connection.sendall(request)
        if not connection.recv(4096):
            raise ConnectionError("closed at once")
        return lambda: connection.recv(1)

    return come


def sse_opener(url: str, recorder: object) -> Opener:
    from harness.platform import Call, Person
    from harness.swarm.client import sse
    from harness.swarm.client.http import ClientLimits, Endpoint, HttpClient
    from harness.swarm.client.transport import resolve

    origin, endpoint = resolve(url), Endpoint("positions", "GET", frozenset({200}), idempotent=True, recorded_as="SSE")
    limits = ClientLimits(idle_s=HELD_S)

    def come(number: int) -> Callable[[], object]:
        person = Person(user=number, kind="fan", actor=f"fan-{number}", identity=f"fan-{number}")
        client = HttpClient(origin, recorder, person, limits)
        response, stream = sse.connect(client, endpoint, "/sse", Call(t_intended_s=monotonic()), b"")
        if stream is None:
            raise ConnectionError(response.error)
        return lambda: list(stream)

    return come


def ws_opener(url: str, recorder: object) -> Opener:
    from harness.platform import Call, Person
    from harness.swarm.client.transport import ClientLimits
    from harness.swarm.client.websocket import FeedSocket

    limits = ClientLimits(idle_s=HELD_S)
    target = url.replace("http://", "ws://") + "/ws"

    def come(number: int) -> Callable[[], object]:
        person = Person(user=number, kind="spectator", actor=f"spectator-{number}", identity=f"spectator-{number}")
        feed = FeedSocket(recorder, person, limits)
        _, error = feed.connect(target, Call(t_intended_s=monotonic()))
        if error or feed.receive() != b"hi":
            raise ConnectionError(error or "another first message")
        return feed.receive

    return come


def armed_opener(url: str, recorder: object) -> Opener:
    from gevent.event import Event

    from harness.platform import Call, Person
    from harness.swarm.client.http import Endpoint, HttpClient
    from harness.swarm.client.transport import resolve

    origin, endpoint = resolve(url), Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
    released = Event()

    def come(number: int) -> Callable[[], object]:
        client = HttpClient(
            origin, recorder, Person(user=number, kind="fan", actor=f"fan-{number}", identity=f"{number}")
        )
        prepared = client.prepare(endpoint, "/held")

        def wait() -> None:
            released.wait()
            client.was_sent_ahead(prepared.data, monotonic())
            client.call(endpoint, "/held", Call(t_intended_s=monotonic()))

        return wait

    return come


def greenlet_opener(_url: str, _recorder: object) -> Opener:
    from gevent.event import Event

    return lambda _number: Event().wait


OPENERS: dict[str, Callable[[str, object], Opener]] = {
    "greenlet": greenlet_opener,
    "raw": raw_opener,
    "armed": armed_opener,
    "sse": sse_opener,
    "ws": ws_opener,
}
