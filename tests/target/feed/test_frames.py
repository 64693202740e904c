"""Frames as another implementation reads them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket import ABNF
from websocket._abnf import frame_buffer

from target.feed.frames import TRY_AGAIN_LATER, close_frame, text_frames


def read(data: bytes) -> list[tuple[int, bytes]]:
    """All frames in `data`, as websocket-client takes them apart."""
    at = 0

    def receive(size: int) -> bytes:
        nonlocal at
        piece = data[at : at + size]
        at += size
        return piece

    buffer, found = frame_buffer(receive, skip_utf8_validation=False), []
    while at < len(data):
        frame = buffer.recv_frame()
        assert frame.fin
        assert frame.mask_value in (0, None)
        found.append((frame.opcode, bytes(frame.data)))
    return found


@given(st.lists(st.text(), max_size=5))
def test_texts_come_back_in_order(texts: list[str]) -> None:
    assert read(text_frames(texts)) == [(ABNF.OPCODE_TEXT, text.encode()) for text in texts]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 70_000])
def test_every_form_of_length(size: int) -> None:
    assert read(text_frames(["x" * size])) == [(ABNF.OPCODE_TEXT, b"x" * size)]


def test_a_close_says_when_to_come_back() -> None:
    [(opcode, payload)] = read(close_frame(TRY_AGAIN_LATER, retry_after_s=1.5))
    assert opcode == ABNF.OPCODE_CLOSE
    assert struct.unpack("!H", payload[:2]) == (TRY_AGAIN_LATER,)
    assert payload[2:] == b"retry_after_s=1.500"
