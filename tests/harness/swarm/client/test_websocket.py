"""The feed's socket against a real server that speaks just enough WebSocket."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterable, Iterator

import gevent
import pytest

from harness.record.schema import Outcome
from harness.swarm.client.http import CallFailed, ClientLimits
from harness.swarm.client.transport import GUARD_PERIOD_S
from harness.swarm.client.websocket import FeedSocket
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.tracing import Tracer
from tests.harness.swarm.client.test_http import NOW, PERSON, rows
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, response, serving

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(asked: Asked) -> bytes:
    digest = hashlib.sha1((asked.header("sec-websocket-key") + GUID).encode(), usedforsecurity=False).digest()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}", "", ""]).encode()


def frame(payload: bytes, opcode: int = 1) -> bytes:
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size)
    return bytes([0x80 | opcode]) + length + payload


def feed_url(server_url: str) -> str:
    return server_url.replace("http", "ws", 1) + "/feed/e"


def test_messages_come_whole_in_order_however_they_are_cut() -> None:
    texts = [b'{"n":0}', b"x" * 300, b"last"]
    data = b"".join(map(frame, texts))

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        return [accept(asked) + data[:5], *(data[at : at + 7] for at in range(5, len(data), 7)), Hang()]

    recorder = Recorder(1)
    with serving(script) as server:
        socket = FeedSocket(recorder, PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert [socket.receive() for _ in texts] == texts
        socket.close()
    (row,) = rows(recorder)
    assert (row["step"], row["method"], row["status"], row["outcome"]) == ("feed", "WS", 101, "ok")


def test_an_orderly_end_is_told_from_a_drop() -> None:
    ends = {"/feed/orderly": frame(struct.pack("!H", 1000), 8), "/feed/restart": frame(struct.pack("!H", 1012), 8)}

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        return [accept(asked) + ends.get(asked.target, b""), CLOSE]

    with serving(script) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        base = server.url.replace("http", "ws", 1)
        socket.connect(f"{base}/feed/orderly", NOW)
        assert socket.receive() is None
        for target in ("/feed/restart", "/feed/cut"):
            socket.connect(base + target, NOW)
            with pytest.raises(CallFailed, match="reset"):
                socket.receive()
        socket.close()


@pytest.mark.parametrize(
    ("said", "outcome", "error"),
    [
        ([response(b"", 503)], Outcome.FAIL, "status"),
        ([CLOSE], Outcome.UNKNOWN, "reset"),
        ([b"garbage\r\n\r\n", CLOSE], Outcome.UNKNOWN, "protocol"),
        ([Hang()], Outcome.UNKNOWN, "timeout"),
    ],
)
def test_a_connect_that_fails_says_why_in_one_row(said: list[bytes | Hang], outcome: Outcome, error: str) -> None:
    recorder = Recorder(1)
    with serving(lambda _: said) as server:
        socket = FeedSocket(recorder, PERSON, ClientLimits(first_byte_s=0.2) if error == "timeout" else ClientLimits())
        assert socket.connect(feed_url(server.url), NOW) == (outcome, error)
    (row,) = rows(recorder)
    assert (row["outcome"], row["error"]) == (outcome.value, error)


@pytest.mark.parametrize(
    ("header", "body", "wish_s"),
    [
        (b"3", b"", 3.0),
        (b"3", b'{"type":"about:blank","status":503,"retry_after_s":2.25}', 2.25),
        (b"3", b'{"retry_after_s":"soon"}', 3.0),
        (b"Fri, 31 Dec 1999 23:59:59 GMT", b"", 0.0),
        (b"Fri, 31 Dec 2100 23:59:59 GMT", b"", 120.0),
        (b"next year", b"", None),
        (b"99999", b"", 120.0),
    ],
)
def test_a_refusal_says_when_to_come_back(header: bytes, body: bytes, wish_s: float | None) -> None:
    head = b"HTTP/1.1 503 Busy\r\nRetry-After: %b\r\nContent-Length: %d\r\n\r\n" % (header, len(body))
    with serving(lambda _: [head + body, CLOSE]) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.FAIL, "status")
    assert socket.retry_after_s == wish_s


@pytest.mark.parametrize(("reason", "wish_s"), [(b"retry_after_s=1.500", 1.5), (b"", None), (b"bye", None)])
def test_a_close_says_when_to_come_back(reason: bytes, wish_s: float | None) -> None:
    closing = frame(struct.pack("!H", 1013) + reason, 8)
    with serving(lambda asked: [accept(asked) + closing, CLOSE]) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        with pytest.raises(CallFailed, match="reset"):
            socket.receive()
        socket.close()
    assert socket.retry_after_s == wish_s


@pytest.mark.parametrize("status", [100, 103])
def test_interim_answers_before_the_switch_are_passed_over(status: int) -> None:
    interim = f"HTTP/1.1 {status} Wait\r\nLink: x\r\n\r\n".encode()
    with serving(lambda asked: [interim * 2 + accept(asked) + frame(b"hi"), Hang()]) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert socket.receive() == b"hi"
        socket.close()


def test_who_logs_in_by_the_url_does_not_say_so_in_host_and_origin_and_a_path_is_escaped() -> None:
    with serving(lambda asked: [accept(asked), Hang()]) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        url = feed_url(server.url).replace("ws://", "ws://me:secret@").replace("/e", "/é b?x=ü")
        assert socket.connect(url, NOW) == (Outcome.OK, "")
        socket.close()
    (asked,) = server.asked
    assert "secret" not in asked.head
    host = server.url.removeprefix("http://")
    assert (asked.header("host"), asked.header("origin")) == (host, f"http://{host}")
    assert asked.target == "/feed/%C3%A9%20b?x=%C3%BC"


def pongs(asked: Asked, count: int) -> Iterator[bytes]:
    """A pong for each ping that the client sends, as often as that."""
    for _ in range(count):
        ping = asked.socket.recv(6)
        assert (ping[0], ping[1]) == (0x89, 0x80)
        yield frame(b"", 10)


def test_a_server_that_has_nothing_to_say_but_answers_is_kept() -> None:
    def script(asked: Asked) -> Iterable[bytes | Hang]:
        yield accept(asked)
        yield from pongs(asked, 2)
        yield frame(b"at last")
        yield Hang()

    with serving(script) as server:
        socket = FeedSocket(Recorder(1), PERSON, ClientLimits(idle_s=1.5))
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert socket.receive() == b"at last"
        socket.close()


def test_a_network_that_is_gone_without_a_word_is_noticed() -> None:
    """After an answer and a message, too: neither makes up for the silence that follows."""

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        yield accept(asked) + frame(b"first")
        yield from pongs(asked, 1)
        yield frame(b"second")
        yield Hang()

    with serving(script) as server:
        socket = FeedSocket(Recorder(1), PERSON, ClientLimits(idle_s=1.5))
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert [socket.receive(), socket.receive()] == [b"first", b"second"]
        with pytest.raises(CallFailed, match="timeout"):
            socket.receive()
        socket.close()


def test_silence_is_not_held_against_a_server_while_nobody_listens() -> None:
    """Whoever is armed long before T0 finds what came meanwhile."""
    with serving(lambda asked: [accept(asked) + frame(b"kept"), frame(b"meanwhile"), Hang()]) as server:
        socket = FeedSocket(Recorder(1), PERSON, ClientLimits(idle_s=0.2))
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert socket.receive() == b"kept"
        gevent.sleep(8 * GUARD_PERIOD_S)
        assert socket.receive() == b"meanwhile"
        socket.close()


def test_nobody_listening_is_refused() -> None:
    with serving(lambda _: []) as server:
        gone = feed_url(server.url)
    assert FeedSocket(Recorder(1), PERSON).connect(gone, NOW) == (Outcome.FAIL, "refused")


def test_a_message_that_claims_to_be_endless_is_too_large() -> None:
    def script(asked: Asked) -> Iterable[bytes | Hang]:
        return [accept(asked) + b"\x82\x7f" + struct.pack("!Q", 2**40), *[b"x" * 30_000] * 8, Hang()]

    with serving(script) as server:
        socket = FeedSocket(Recorder(1), PERSON, ClientLimits(body_bytes=100_000))
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        with pytest.raises(CallFailed, match="too_large"):
            socket.receive()
        socket.close()


def test_a_traced_connect_names_its_span_and_records_it() -> None:
    recorder = Recorder(1, tracer=Tracer(1, 1.0))
    with serving(lambda asked: [accept(asked), Hang()]) as server:
        socket = FeedSocket(recorder, PERSON)
        socket.connect(feed_url(server.url), NOW)
        socket.close()
    (span,) = recorder.take(ReleaseInstant(0.0, 0.0))["spans"].to_pylist()
    assert server.asked[0].header("traceparent") == f"00-{span['trace_id']}-{span['span_id']}-01"
    assert (span["name"], span["status"]) == ("feed", "ok")
