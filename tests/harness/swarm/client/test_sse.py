"""Event streams over the lean client: seen when they are whole, resumed where they stopped."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event
from time import monotonic

import gevent
import pytest

from harness.platform import Call
from harness.swarm.client import sse
from harness.swarm.client.http import Endpoint
from harness.swarm.client.transport import GUARD_PERIOD_S
from harness.swarm.recording.recorder import Recorder
from tests.harness.swarm.client.test_http import NOW, client_of, rows
from tests.harness.swarm.client.test_message import chunked
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, response, serving

POSITIONS = Endpoint("positions", "GET", frozenset({200}), idempotent=True, recorded_as="SSE")
IDLE_S = 1.5
WHOLE_S = 1.5
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(number: int, name: str = "position") -> bytes:
    return f'id: e:{number}\nevent: {name}\ndata: {{"position":{number}}}\n\n'.encode()


def test_events_are_the_same_however_their_bytes_are_cut() -> None:
    data = HEAD + chunked([event(n) for n in range(3)])
    with serving(lambda _: [data[at : at + 1] for at in range(len(data))]) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        assert [(one.id, one.event, one.data) for one in stream] == [
            (f"e:{n}", "position", f'{{"position":{n}}}') for n in range(3)
        ]
        assert stream.error == ""
        stream.close()
        client.close()


@pytest.mark.parametrize(
    ("said", "reconnect_s"),
    [
        (b"", None),
        (b"retry: 3000\n\n", 3.0),
        (b"retry:250\r\ndata: x\r\n\r\n", 0.25),
        (b"retry: 1000\n\nretry: 0\n\n", 0.0),
        (b"data: retry: 9000\n\n", None),
        (b"retry: soon\n\nretry: -1\n\nretry: 1.5\n\n", None),
        (b"retry: 2000\n\nretry: soon\n\n", 2.0),
    ],
)
def test_a_stream_says_how_long_to_stay_away(said: bytes, reconnect_s: float | None) -> None:
    with serving(lambda _: [b"HTTP/1.1 200 OK\r\n\r\n", event(0), said, CLOSE]) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        list(stream)
        assert stream.reconnect_s == reconnect_s
        client.close()


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("said", "events", "last_id"),
    [
        (b"data: a\n\ndata: b\n\n", [("message", "a", ""), ("message", "b", "")], ""),
        (BOM + b"data: a\n\n", [("message", "a", "")], ""),
        (b"data: a\n\n" + BOM + b"data: b\n\n", [("message", "a", "")], ""),  # only the first is a mark
        (b"data: a\n\r\n", [("message", "a", "")], ""),
        (b"data: a\r\rdata: b\r\n\rdata: c\n\n", [("message", one, "") for one in "abc"], ""),
        (b"data: a\r\nevent: x\r\ndata: b\r\n\r\n", [("x", "a\nb", "")], ""),
        (b"data: a\n\ndata: cut", [("message", "a", "")], ""),
        (b"data: a\n\ndata: cut\nid: 9\n", [("message", "a", "")], ""),
        (b"id: 1\ndata: a\n\nid: x\0y\ndata: b\n\n", [("message", "a", "1"), ("message", "b", "1")], "1"),
        (b"data: a\n\nid: 7\n\n", [("message", "a", "")], "7"),
        (b"id: 7\n\ndata: a\n\n", [("message", "a", "7")], "7"),
        (b"id: 7\ndata: a\n\nid\ndata: b\n\n", [("message", "a", "7"), ("message", "b", "")], ""),
        (b"id: 7\ndata: a\n\nid:\n\n", [("message", "a", "7")], ""),
        (b"data\n\ndata\ndata\n\n", [("message", "", ""), ("message", "\n", "")], ""),
        (b"data:a\ndata:  b\ndata: c:d\n\n", [("message", "a\n b\nc:d", "")], ""),
        (b": comment\nfield: x\nDATA: x\ndata: a\n\n", [("message", "a", "")], ""),
        (b"event: x\n\ndata: a\n\n", [("message", "a", "")], ""),
        (b"data: a\x0bb\xc2\x85c\xe2\x80\xa8d\n\n", [("message", "a\x0bb\x85c\u2028d", "")], ""),
        (b"data: \xff\n\n", [("message", "\ufffd", "")], ""),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 2, 1000])
def test_a_stream_is_read_as_the_standard_says(
    said: bytes, events: list[tuple[str, str, str]], last_id: str, piece_bytes: int
) -> None:
    """WHATWG HTML, section 9.2.6, however the bytes are cut."""
    pieces = [said[at : at + piece_bytes] for at in range(0, len(said), piece_bytes)]
    with serving(lambda _: [b"HTTP/1.1 200 OK\r\n\r\n", *pieces, CLOSE]) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        assert [(one.event, one.data, one.id) for one in stream] == events
        assert stream.last_event_id == last_id
        client.close()


@pytest.mark.parametrize(
    ("head", "body", "error"),
    [
        (b"Content-Type: text/html\r\n", b"<p>data: a</p>\n\n", "protocol"),
        (b"Content-Type: application/json\r\n", b"{}", "protocol"),
        (b"", b"hello world", "protocol"),
        (b"", b":\n\n", "reset"),
        (b"", b"", "reset"),
    ],
)
def test_an_answer_that_is_no_event_stream_is_none(head: bytes, body: bytes, error: str) -> None:
    recorder = Recorder(1)
    with serving(lambda _: [b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body, CLOSE]) as server:
        client = client_of(server.url, recorder)
        answer, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        client.close()
    assert (stream, answer.outcome, answer.error) == (None, "unknown", error)
    assert len(rows(recorder)) == 1


def test_a_first_event_that_never_ends_is_given_up() -> None:
    """Each byte comes in time, and the event never: the answer to the request is due all the same."""
    stop = Event()

    def script(_: Asked) -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\ndata: "
        while not stop.wait(0.02):
            yield b"x"

    with serving(script) as server:
        client = client_of(server.url, whole_s=0.2, idle_s=0.3)
        answer, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        stop.set()
        client.close()
    assert (stream, answer.error) == (None, "timeout")


def test_a_small_event_is_seen_at_once_while_the_stream_stays_open() -> None:
    recorder = Recorder(1)
    with serving(lambda _: [HEAD + chunk(b":\n\n"), chunk(event(1)), Hang()]) as server:
        client = client_of(server.url, recorder)
        before = monotonic()
        answer, stream = sse.connect(client, POSITIONS, "/positions", Call(t_intended_s=before), b"")
        assert stream is not None
        assert next(iter(stream)).id == "e:1"
        assert stream.error == ""  # the server has said no more, and has not ended it
        stream.close()
    (row,) = rows(recorder)
    assert (row["method"], row["outcome"], row["t_end_s"]) == ("SSE", "ok", answer.t_end_s)


def test_a_dropped_stream_says_so_and_asks_to_go_on_after_the_last_event() -> None:
    def script(asked: Asked) -> Iterable[bytes | Hang]:
        first = int((asked.header("last-event-id") or "e:0").removeprefix("e:")) + 1
        return [HEAD + chunk(event(first)), CLOSE]

    with serving(script) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        assert [one.id for one in stream] == ["e:1"]
        assert stream.error == "reset"
        stream.close()
        _, again = sse.connect(client, POSITIONS, "/positions", NOW, b"", "e:1")
        assert again is not None
        assert [one.id for one in again] == ["e:2"]
        client.close()
    assert server.connections == 2


def test_a_stream_that_has_ended_in_order_leaves_its_connection() -> None:
    def script(asked: Asked) -> Iterable[bytes]:
        return [HEAD + chunked([event(1, "admitted")])] if asked.target == "/positions" else [response(b"next")]

    with serving(script) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        assert [one.event for one in stream] == ["admitted"]
        stream.close()
        assert client.call(POSITIONS, "/next", NOW).body == b"next"
        client.close()
    assert server.connections == 1


def test_silence_ends_a_stream() -> None:
    with serving(lambda _: [HEAD + chunk(event(1)), Hang()]) as server:
        client = client_of(server.url, idle_s=0.15)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        assert [one.id for one in stream] == ["e:1"]
        assert stream.error == "timeout"
        client.close()


def test_heartbeats_keep_a_stream_that_has_no_news() -> None:
    """Comments are bytes: they come at half the time that silence is put up with, for longer than that."""
    beat = Event()

    def script(_: Asked) -> Iterable[bytes | Hang]:
        yield HEAD + chunk(event(1))
        for _number in range(3):
            beat.wait(IDLE_S / 2)
            yield chunk(b":\n\n")
        yield chunk(event(2))
        yield Hang()

    with serving(script) as server:
        client = client_of(server.url, idle_s=IDLE_S)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        events = iter(stream)
        assert [next(events).id, next(events).id] == ["e:1", "e:2"]
        stream.close()


def test_a_stream_may_beat_for_ever() -> None:
    beats = [chunk(b":\n\n" * 3000)] * 3
    with serving(lambda _: [HEAD + chunk(event(1)), *beats, chunk(event(2)), Hang()]) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        events = iter(stream)
        assert [next(events).id, next(events).id] == ["e:1", "e:2"]
        stream.close()


def test_the_time_limit_of_a_whole_call_ends_with_the_first_event() -> None:
    go_on = Event()

    def script(_: Asked) -> Iterable[bytes]:
        yield HEAD + chunk(event(1))
        go_on.wait(30)
        yield chunked([event(2)])

    with serving(script) as server:
        client = client_of(server.url, whole_s=WHOLE_S, idle_s=30.0)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        gevent.sleep(WHOLE_S + 4 * GUARD_PERIOD_S)  # nobody reads meanwhile
        go_on.set()
        assert [one.id for one in stream] == ["e:1", "e:2"]
        assert stream.error == ""
        client.close()


def test_a_refusal_is_read_whole_and_there_is_no_stream() -> None:
    recorder = Recorder(1)
    with serving(lambda _: [response(b"{}", 401)]) as server:
        client = client_of(server.url, recorder)
        answer, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        client.close()
    assert (stream, answer.status, answer.outcome) == (None, 401, "fail")
    assert len(rows(recorder)) == 1


def test_a_stream_without_any_event_was_no_answer() -> None:
    with serving(lambda _: [HEAD + chunked([])]) as server:
        client = client_of(server.url)
        answer, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        client.close()
    assert (stream, answer.outcome, answer.error) == (None, "unknown", "reset")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ([chunk(b"data: " + b"x" * 60_000)] * 20, "too_large"),
        ([chunk(b":\n" * 30_000)] * 20, "too_large"),
    ],
)
def test_an_event_that_is_none_ends_the_stream_with_a_word(said: list[bytes | Hang], error: str) -> None:
    with serving(lambda _: [HEAD + chunk(event(1)), *said]) as server:
        client = client_of(server.url)
        _, stream = sse.connect(client, POSITIONS, "/positions", NOW, b"")
        assert stream is not None
        assert [one.id for one in stream] == ["e:1"]
        assert stream.error == error
        client.close()
