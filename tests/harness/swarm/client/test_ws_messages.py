"""Messages come out of frames as RFC 6455 has it, however frames and bytes are cut; what breaks its rules ends them."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket import ABNF

from harness.record.schema import Outcome
from harness.swarm.client.http import CallFailed, ClientLimits
from harness.swarm.client.message import Head, MalformedResponse
from harness.swarm.client.websocket import FeedSocket, check_upgrade
from harness.swarm.recording.recorder import Recorder
from tests.harness.swarm.client.test_http import NOW, PERSON
from tests.harness.swarm.client.test_message import split_at
from tests.harness.swarm.client.test_websocket import accept, feed_url, frame
from tests.harness.swarm.scripted_server import Asked, Hang, serving
from tests.waiting import wait_until

NO_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
CODES = (1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999)
BYE = frame(struct.pack("!H", 1000), 8)
SWITCHED = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade"
FRAGMENTS = st.lists(st.binary(max_size=200), min_size=1, max_size=3)


def unmasked(payload: bytes, opcode: int, fin: int) -> bytes:
    """As websocket-client writes it, for a server."""
    return bytes(ABNF(fin, 0, 0, 0, opcode, 0, payload).format())


def fragmented(parts: list[bytes]) -> bytes:
    """One message in several frames, a ping between each two."""
    frames = [
        unmasked(part, ABNF.OPCODE_CONT if number else ABNF.OPCODE_BINARY, int(number == len(parts) - 1))
        for number, part in enumerate(parts)
    ]
    return frame(b"?", ABNF.OPCODE_PING).join(frames)


@settings(max_examples=60, deadline=None)
@given(st.lists(FRAGMENTS, max_size=5), st.lists(st.integers(0, 5_000), max_size=8))
def test_messages_are_the_same_however_they_are_cut(messages: list[list[bytes]], cuts: list[int]) -> None:
    data = b"".join(map(fragmented, messages)) + BYE

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        return [accept(asked), *split_at(data, cuts), Hang()]

    with serving(script) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert [socket.receive() for _ in messages] == [b"".join(parts) for parts in messages]
        assert socket.receive() is None
        socket.close()


def test_a_long_message_is_read_whole() -> None:
    payload = bytes(range(256)) * 1000
    with serving(lambda asked: [accept(asked) + unmasked(payload, ABNF.OPCODE_BINARY, 1), Hang()]) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        socket.connect(feed_url(server.url), NOW)
        assert socket.receive() == payload
        socket.close()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (frame(b"lost", ABNF.OPCODE_CONT), "protocol"),
        (unmasked(b"a", ABNF.OPCODE_TEXT, 0) + unmasked(b"b", ABNF.OPCODE_TEXT, 1), "protocol"),
        (b"\xc1\x00", "protocol"),  # a reserved bit
        (b"\x83\x00", "protocol"),  # no such opcode
        (b"\x81\x81\0\0\0\0x", "protocol"),  # masked by a server
        (b"\x09\x00", "protocol"),  # a ping in parts
        (b"\x8a\x7e\x00\x7e" + b"x" * 126, "protocol"),  # a pong that is too long
        (frame(b"\x03", ABNF.OPCODE_CLOSE), "protocol"),
        *((frame(struct.pack("!H", code), ABNF.OPCODE_CLOSE), "protocol") for code in NO_CODES),
        (frame(struct.pack("!H", 1000) + b"\xff", ABNF.OPCODE_CLOSE), "protocol"),
        (b"\x88\x7e\x00\x7e" + b"\x03\xe8" * 63, "protocol"),  # a close that is too long
        (b"\x8b\x00", "protocol"),  # no such control frame
        (b"\x81\x7e\x00\x05hello", "protocol"),  # a length that is longer than it need be
        (b"\x81\x7f" + struct.pack("!Q", 2**63) + b"x", "protocol"),
        (frame(b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), "protocol"),  # half of a surrogate pair
        (unmasked(b"\xce", ABNF.OPCODE_TEXT, 0) + unmasked(b"x", ABNF.OPCODE_CONT, 0), "protocol"),
        (unmasked(b"x" * 60, ABNF.OPCODE_TEXT, 0) + unmasked(b"x" * 60, ABNF.OPCODE_CONT, 1), "too_large"),
    ],
)
def test_what_is_no_message_ends_the_socket_with_a_word(said: bytes, error: str) -> None:
    with serving(lambda asked: [accept(asked) + said, Hang()]) as server:
        socket = FeedSocket(Recorder(1), PERSON, ClientLimits(body_bytes=100 if error == "too_large" else 1000))
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        with pytest.raises(CallFailed, match=error):
            socket.receive()
        socket.close()


@pytest.mark.parametrize(("code", "echoed"), [(None, 1000), *((code, code) for code in CODES)])
def test_a_close_is_answered_with_its_own_code(code: int | None, echoed: int) -> None:
    heard: list[bytes] = []

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        yield accept(asked) + frame(b"" if code is None else struct.pack("!H", code), ABNF.OPCODE_CLOSE)
        heard.append(asked.socket.recv(64))

    with serving(script) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        if code in (None, 1001):
            assert socket.receive() is None
        else:
            with pytest.raises(CallFailed, match="reset"):
                socket.receive()
        wait_until(lambda: bool(heard), what="the answer to the close")
        socket.close()
    first, size, *mask = heard[0][:6]
    assert (first, size & 0x7F) == (0x88, 2)
    assert int.from_bytes(bytes(byte ^ mask[at] for at, byte in enumerate(heard[0][6:8])), "big") == echoed


def test_an_empty_text_is_a_message_and_text_may_be_cut_within_a_character() -> None:
    said = frame(b"") + unmasked(b"\xc3", ABNF.OPCODE_TEXT, 0) + unmasked(b"\xa9", ABNF.OPCODE_CONT, 1) + BYE
    with serving(lambda asked: [accept(asked) + said, Hang()]) as server:
        socket = FeedSocket(Recorder(1), PERSON)
        assert socket.connect(feed_url(server.url), NOW) == (Outcome.OK, "")
        assert [socket.receive(), socket.receive(), socket.receive()] == [b"", b"\xc3\xa9", None]
        socket.close()


@pytest.mark.parametrize(
    "fields",
    [
        f"{SWITCHED}\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: x".encode(),
        f"{SWITCHED}\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: x".encode(),
        b"Upgrade: websocket\r\nConnection: Upgraded\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: c29tZWJvZHkgZWxzZQ==",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ],
)
def test_an_answer_to_another_handshake_is_none(fields: bytes) -> None:
    with pytest.raises(MalformedResponse):
        check_upgrade(Head(b"HTTP/1.1 101 Switching Protocols\r\n" + fields), b"dGhlIHNhbXBsZSBub25jZQ==")


def test_the_answer_of_the_rfcs_own_example_belongs_to_its_request() -> None:
    fields = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    check_upgrade(Head(b"HTTP/1.1 101 Switching Protocols\r\n" + fields), b"dGhlIHNhbXBsZSBub25jZQ==")
