"""Heads and chunks from bytes: strict about what they take, indifferent to how it is split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.swarm.client.message import CHUNKED, CLOSE_DELIMITED, ChunkDecoder, Head, MalformedResponse, head_of


def chunked(parts: list[bytes], trailer: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return body + b"0\r\n" + trailer + b"\r\n"


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.binary(max_size=300)), st.lists(st.integers(0, 10_000), max_size=20))
def test_chunks_come_out_the_same_however_they_are_split(parts: list[bytes], cuts: list[int]) -> None:
    decoder = ChunkDecoder()
    body = b"".join(decoder.feed(piece) for piece in split_at(chunked(parts), cuts))
    assert body == b"".join(parts)
    assert decoder.done
    assert decoder.rest == b""


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1), st.integers(1, 10_000))
def test_a_truncated_body_is_never_taken_for_a_whole_one(parts: list[bytes], cut: int) -> None:
    whole = chunked(parts)
    decoder = ChunkDecoder()
    decoder.feed(whole[: -(cut % len(whole)) or -1])
    assert not decoder.done


@given(st.binary(max_size=500))
def test_garbage_is_refused_or_awaited_and_nothing_else_happens(garbage: bytes) -> None:
    try:
        ChunkDecoder().feed(garbage)
    except MalformedResponse:
        return


def test_what_follows_the_last_chunk_is_kept_apart() -> None:
    decoder = ChunkDecoder()
    assert decoder.feed(chunked([b"abc"], trailer=b"x-sum: 1\r\n") + b"HTTP/1.1 200 OK") == b"abc"
    assert decoder.rest == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("data", [b"zz\r\n", b"-1\r\n", b"0x10\r\n", b"\r\n", b"3\r\nabcd\r\n", b"f" * 16 + b"\r\n"])
def test_a_chunk_that_is_not_what_it_says_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedResponse):
        ChunkDecoder().feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b"1;" + b"x" * 4000 + b"\r\ny\r\n",
        b"1\r\nx\r\n" + b"0\r\n" + b"x: y\r\n" * 5000,
        b"5;a\nb\r\nhello\r\n",
    ],
)
def test_what_lies_around_the_chunks_is_bounded(data: bytes) -> None:
    decoder = ChunkDecoder()
    with pytest.raises(MalformedResponse):
        decoder.feed(data * 10)


def test_small_chunks_with_small_extensions_are_read() -> None:
    decoder = ChunkDecoder()
    assert decoder.feed(b"1;ab=c\r\nx\r\n" * 20_000) == b"x" * 20_000


def test_an_endless_chunk_line_is_refused() -> None:
    with pytest.raises(MalformedResponse):
        ChunkDecoder(line_limit_bytes=64).feed(b"1" * 65)


@pytest.mark.parametrize("raw", [b"", b"HTTP", b"ICY 200 OK", b"HTTP/1.1 2", b"HTTP/1.1 20x OK", b"HTTP/1.1 999 No"])
def test_what_has_no_status_line_is_no_response(raw: bytes) -> None:
    with pytest.raises(MalformedResponse):
        Head(raw)


@given(st.binary(max_size=200))
def test_a_garbage_head_is_refused_or_read_and_nothing_else_happens(garbage: bytes) -> None:
    try:
        Head(b"HTTP/1.1 200 OK\r\n" + garbage).body_length()
    except MalformedResponse:
        return


def test_headers_are_found_whatever_their_case() -> None:
    head = Head(b"HTTP/1.1 503 Busy\r\nRETRY-after:  7 \r\nX-Other: no")
    assert head.status == 503
    assert head.get(b"retry-after") == b"7"
    assert head.get(b"etag") is None


@pytest.mark.parametrize(
    ("raw", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12", 12),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", CHUNKED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3", CHUNKED),
        (b"HTTP/1.1 200 OK", CLOSE_DELIMITED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Length: 12", 12),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12, 12", 12),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length:\r\n\t12", 12),
        (b"HTTP/1.1 204 No", 0),
        (b"HTTP/1.1 304 Not\r\nContent-Length: 12", 0),
    ],
)
def test_the_length_of_a_body_is_what_rfc_9112_says(raw: bytes, length: int) -> None:
    assert Head(raw).body_length() == length


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\n X: folded first", b"HTTP/1.x 200 OK"])
def test_a_head_that_is_in_doubt_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedResponse):
        Head(raw)


def test_a_head_request_has_no_body() -> None:
    assert Head(b"HTTP/1.1 200 OK\r\nContent-Length: 12").body_length(to_head=True) == 0


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: -1",
        b"Content-Length: 1x",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: \x0bchunked",
        b"Content-Length : 5",
        b"Content-Length: 5\nX: y",
        b"X: a\rContent-Length: 5",
        b"X: a\0b",
    ],
)
def test_a_length_that_is_in_doubt_is_refused(fields: bytes) -> None:
    with pytest.raises(MalformedResponse):
        Head(b"HTTP/1.1 200 OK\r\n" + fields).body_length()


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive", True),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", True),
    ],
)
def test_a_connection_is_kept_when_both_sides_may(raw: bytes, kept: bool) -> None:
    assert Head(raw).keeps_alive is kept


def test_equal_heads_are_read_once_and_different_ones_apart() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5"
    assert head_of(raw) is head_of(bytes(bytearray(raw)))
    assert head_of(raw).body_length() == 5
    assert head_of(raw).body_length(to_head=True) == 0
    assert head_of(raw + b"0").body_length() == 50
