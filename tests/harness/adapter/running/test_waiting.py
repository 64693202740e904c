"""Queues as an adapter follows them: asked again and again, as events, over a WebSocket, or none at all."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator

import pytest

from harness.adapter.errors import Admitted, Refused
from harness.adapter.kit import Capability
from harness.platform import QueueNewsKind
from harness.record.schema import Outcome
from harness.swarm.recording.clock import ReleaseInstant
from tests.harness.adapter.running.test_session import now, person, raised
from tests.harness.adapter.shop import LittleShop, Visitor
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, response

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Line:
    """A queue of three looks: 2, 1, in. `breaks`: at so many looks it says that it is overloaded."""

    def __init__(self, breaks: int = 0) -> None:
        self.looks = 0
        self.breaks = breaks
        self.heard: list[bytes] = []

    def script(self, asked: Asked) -> Iterable[bytes | Hang]:
        if asked.target == "/events":
            return self.events(asked)
        if asked.target == "/socket":
            return self.socket(asked)
        if asked.target != "/place":
            return [response(b"<p>3</p>", 200, "Set-Cookie: place=7; Path=/")]
        self.looks += 1
        if self.looks == self.breaks:
            return [response(b"", 503)]
        return [response(b"in" if self.looks > 2 else f"{3 - self.looks}".encode())]

    def events(self, asked: Asked) -> Iterator[bytes | Hang]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\nretry: 1500\n\n"
        for position in (2, 1):
            yield f"data: {position}\n\n".encode()
        if not self.breaks:
            yield b"event: called\ndata: now\n\n"
        yield CLOSE

    def socket(self, asked: Asked) -> Iterator[bytes | Hang]:
        key = asked.header("sec-websocket-key").encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        self.heard.append(asked.header("cookie").encode())
        yield (
            "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ).encode()
        self.heard.append(asked.socket.recv(100))
        for message in ({"position": 2}, {"position": 1}, *(() if self.breaks else ({"called": True},))):
            text = json.dumps(message).encode()
            yield bytes([0x81, len(text)]) + text
        yield b"\x88\x02\x03\xe8"
        yield Hang()


class Queueing(Visitor):
    first_page = "/"
    poll_s = 0.01

    def join(self) -> int | None:
        return int(self.browser.get("/").need("p").text)

    def place(self) -> int | None:
        text = self.browser.get("/place").text
        if text == "in":
            raise Admitted
        return int(text)


class Listening(Queueing):
    def positions(self) -> Iterator[int | None]:
        for event in self.browser.events("/events"):
            if event.event == "called":
                return
            yield int(event.data)


class Connected(Queueing):
    def positions(self) -> Iterator[int | None]:
        socket = self.browser.websocket("/socket")
        socket.send("hello")
        for message in socket:
            told = json.loads(message)
            if told.get("called"):
                return
            yield told["position"]


def shop_of(visitor: type[Queueing]) -> type[LittleShop]:
    return type(
        "Queued", (LittleShop,), {"shopper": visitor, "capabilities": LittleShop.capabilities | {Capability.QUEUE}}
    )


@pytest.mark.parametrize("visitor", [Queueing, Listening, Connected])
def test_a_fan_follows_their_place_until_they_are_called_in(visitor: type[Queueing]) -> None:
    line = Line()
    with raised(line, shop_of(visitor)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        assert fan.join(now()).value.position == 3
        stream = fan.positions(now()).value
        news = [(one.kind, one.position) for one in stream]
        stream.close()
        assert fan.enter(now()).outcome is Outcome.OK
        fan.close()
        batches = recorder.take(ReleaseInstant(0.0, 0.0))
    assert news == [(QueueNewsKind.POSITION, 2), (QueueNewsKind.POSITION, 1), (QueueNewsKind.ADMITTED, None)]
    events = batches["events"].to_pylist()
    assert [row["event"] for row in events] == ["connect", "position", "position", "admitted"]
    assert {row["actor"] for row in events} == {"fan-000000"}
    methods = {row["method"] for row in batches["requests"].to_pylist() if row["step"] == "positions"}
    assert methods == {{Queueing: "GET", Listening: "SSE", Connected: "WS"}[visitor]}
    if visitor is Connected:
        cookie, hello = line.heard
        assert cookie == b"place=7"
        assert hello[0] == 0x81  # a text frame
        assert hello[1] & 0x80  # masked, as a client must


@pytest.mark.parametrize(
    ("visitor", "error", "reconnect_s"),
    [(Queueing, "status", None), (Listening, "reset", 1.5), (Connected, "reset", None)],
)
def test_a_queue_that_is_lost_ends_the_stream_and_is_taken_up_again(
    visitor, error: str, reconnect_s: float | None
) -> None:
    line = Line(breaks=2)
    with raised(line, shop_of(visitor)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        fan.join(now())
        stream = fan.positions(now()).value
        kinds = [one.kind for one in stream]
        stream.close()
        assert QueueNewsKind.ADMITTED not in kinds
        assert stream.reconnect_s == reconnect_s
        line.breaks = 0
        again = fan.positions(now()).value
        assert [one.kind for one in again][-1] is QueueNewsKind.ADMITTED
        fan.close()
        events = recorder.take(ReleaseInstant(0.0, 0.0))["events"].to_pylist()
    lost = [row for row in events if row["event"] == "disconnect"]
    assert [row["key"] for row in lost] == [error]


def test_a_fan_who_leaves_the_stream_is_noted_to_have_gone() -> None:
    with raised(Line(), shop_of(Listening)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        stream = fan.positions(now()).value
        next(iter(stream))
        stream.close()
        fan.close()
        events = recorder.take(ReleaseInstant(0.0, 0.0))["events"].to_pylist()
    assert [row["event"] for row in events] == ["connect", "position", "disconnect"]


def test_a_fan_who_is_called_in_at_once_waits_for_nothing() -> None:
    class Lucky(Queueing):
        def join(self) -> int | None:
            self.browser.get("/")
            raise Admitted

    line = Line()
    with raised(line, shop_of(Lucky)) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        assert fan.join(now()).value.position is None
        stream = fan.positions(now()).value
        assert [one.kind for one in stream] == [QueueNewsKind.ADMITTED]
        fan.close()
    assert line.looks == 0


def test_a_refusal_while_waiting_says_when_to_come_back() -> None:
    class Refusing(Queueing):
        def place(self) -> int | None:
            raise Refused("closed", retry_after_s=7.0)

    with raised(Line(), shop_of(Refusing)) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        answer = fan.positions(now())
        fan.close()
    assert (answer.outcome, answer.error, answer.retry_after_s) == (Outcome.FAIL, "closed", 7.0)


@pytest.mark.parametrize("looks", [1, 3])
def test_a_fan_whose_lot_is_not_drawn_is_turned_away_for_good(looks: int) -> None:
    class Drawn(Queueing):
        asked = 0

        def place(self) -> int | None:
            self.asked += 1
            if self.asked == looks:
                raise Refused("not_drawn")
            return None

    with raised(Line(), shop_of(Drawn)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        answer = fan.positions(now())
        news = list(answer.value) if answer.value is not None else []
        fan.close()
        events = recorder.take(ReleaseInstant(0.0, 0.0))["events"].to_pylist()
    if looks == 1:
        assert (answer.outcome, answer.error, answer.final) == (Outcome.FAIL, "not_drawn", True)
    else:
        assert (news[-1].kind, news[-1].error) == (QueueNewsKind.REFUSED, "not_drawn")
    assert [(row["event"], row["key"]) for row in events][-1] == ("refused", "not_drawn")
    assert "disconnect" not in {row["event"] for row in events}
