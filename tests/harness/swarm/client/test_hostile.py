"""A server that mixes right and wrong as chance has it: each call still ends, in one row, with a word for what went
wrong, and the user's next call is as good as new."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.schema import ERRORS
from harness.swarm.client.transport import ClientLimits
from harness.swarm.recording.recorder import Recorder
from tests.harness.swarm.client.test_http import GET, NOW, POST, client_of, rows
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, response, serving

_RESET = object()
PIECES = st.one_of(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.0 503 No\r\n",
            b"HTTP/1.1 304 Same\r\n\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: 99999999999999999999\r\n",
            b"Content-Length: 400000000\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"\r\n",
            b"hello",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffff\r\n",
            b"X: " + b"x" * 70_000,
        ]
    ),
    st.binary(min_size=1, max_size=40),
)
ENDS = st.sampled_from([CLOSE, Hang(), _RESET])


def reset(connection: socket.socket) -> None:
    """End it with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=6), ENDS)
def test_whatever_a_server_says_the_call_ends_in_one_row_and_the_next_one_works(
    pieces: list[bytes], end: object
) -> None:
    """In one go: what follows a whole answer, and comes only when the next is asked for, looks like the next one's."""

    def script(asked: Asked) -> Iterator[bytes | Hang]:
        if asked.target == "/good":
            yield response(b"fine")
            return
        yield b"".join(pieces)
        if end is _RESET:
            reset(asked.socket)
        yield end if isinstance(end, Hang) else CLOSE

    recorder = Recorder(1)
    with serving(script) as server:
        client = client_of(server.url, recorder, first_byte_s=0.1, whole_s=0.2, body_bytes=100_000)
        answers = [client.call(GET, "/bad", NOW), client.call(POST, "/bad", NOW, body=b"{}")]
        client._limits = ClientLimits()
        good = client.call(GET, "/good", NOW)
        client.close()
    assert (good.status, good.body, good.error) == (200, b"fine", "")
    for answer in answers:
        assert answer.error in ("", *ERRORS)
        assert (answer.outcome == "ok") == (answer.error == "")
        assert len(answer.body) <= 100_000
    assert len(rows(recorder)) == recorder.requests_sent == 3
