"""What the master and its workers say is wrapped: nobody else can say it, and nobody can say it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.swarm.messaging.envelope import Envelope, MasterEnd, worker_end


def ends() -> tuple[MasterEnd, Envelope]:
    master = MasterEnd()
    return master, worker_end(master.key_of(1), 1)


def test_both_ends_understand_each_other() -> None:
    master, worker = ends()
    for content in (b"", b"hello", bytes(100_000)):
        assert master.unwrap([b"box_1", worker.wrap(content)]) == content
        assert worker.unwrap(master.wrap(b"box_1", content)) == content
    assert master.worker_of(b"box_1") == 1
    assert master.dropped == 0


def test_what_was_said_once_is_not_heard_again_nor_sent_back_to_who_said_it() -> None:
    master, worker = ends()
    first, second = worker.wrap(b"first"), worker.wrap(b"second")
    assert master.unwrap([b"box_1", second]) == b"second"
    assert master.unwrap([b"box_1", second]) is None
    assert master.unwrap([b"box_1", first]) is None
    assert worker.unwrap(first) is None
    assert master.dropped == 2


def test_a_worker_speaks_under_its_own_number_and_name_only() -> None:
    master, one = ends()
    two = worker_end(master.key_of(2), 2)
    master.unwrap([b"box_1", one.wrap(b"hello")])
    assert master.unwrap([b"box_1", two.wrap(b"as the first")]) is None
    assert master.unwrap([b"box_9", one.wrap(b"under another name")]) is None
    assert master.unwrap([b"box_2", two.wrap(b"hello")]) == b"hello"
    assert master.unwrap([b"box_1", worker_end(master.key_of(1), 2).wrap(b"with its own key")]) is None
    assert master.dropped == 3


def test_two_runs_share_no_key() -> None:
    assert MasterEnd().key_of(1) != MasterEnd().key_of(1)
    assert len(MasterEnd().key_of(1)) * 8 >= 128
    master, _ = ends()
    assert master.unwrap([b"box_1", worker_end(MasterEnd().key_of(1), 1).wrap(b"from yesterday")]) is None


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_whatever_a_stranger_says_is_dropped_and_counted(frames: list[bytes]) -> None:
    master, worker = ends()
    assert master.unwrap(frames) is None
    assert worker.unwrap(b"".join(frames)) is None
    assert master.dropped == 1


@given(st.binary(max_size=40), st.data())
def test_a_flipped_bit_anywhere_is_seen(content: bytes, data: st.DataObject) -> None:
    master, worker = ends()
    wrapped = bytearray(worker.wrap(content))
    bit = data.draw(st.integers(0, len(wrapped) * 8 - 1))
    wrapped[bit // 8] ^= 1 << bit % 8
    assert master.unwrap([b"box_1", bytes(wrapped)]) is None


def test_to_a_worker_that_never_spoke_nothing_can_be_said() -> None:
    master, _ = ends()
    with pytest.raises(KeyError):
        master.wrap(b"box_1", b"hello")
