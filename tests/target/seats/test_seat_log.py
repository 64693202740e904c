"""What a feed node tells: snapshots, deltas and resyncs always add up to the state."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from target.seats import SeatLog
from target.seats.seat_log import AHEAD_MAX, SNAPSHOT_AGE_MAX, SeatChange

SEATS = [f"101-A-{n}" for n in range(1, 9)]


def log_with(changes: int, *, epoch: str = "e1") -> SeatLog:
    log = SeatLog(SEATS)
    log.load(epoch, 0, b"0" * len(SEATS), [], 0.0)
    for seq in range(1, changes + 1):
        log.append(change(seq, epoch=epoch))
    return log


def change(seq: int, *, epoch: str = "e1") -> SeatChange:
    return SeatChange(epoch, seq, SEATS[seq % len(SEATS)], seq % 3, float(seq))


def replay(messages: list[str], state: dict[str, int] | None = None, seq: int = -1) -> tuple[dict[str, int], int]:
    """A client: what it believes after these messages. Fails on a gap."""
    state = dict(state or {})
    for message in map(msgspec.json.decode, messages):
        match message["type"]:
            case "snapshot":
                state, seq = dict(message["seats"]), message["seq"]
            case "seat":
                assert message["seq"] == seq + 1
                state[message["seat"]], seq = message["state"], message["seq"]
    return {seat: value for seat, value in state.items() if value}, seq


def told(log: SeatLog, epoch: str = "", last_seq: int | None = None, *, chunk: int = 7) -> tuple[list[str], int]:
    """All that a client is told when it comes now, and the seq that it then has."""
    opening = log.opening(epoch, last_seq, 0.0)
    messages, seq = list(opening.messages), opening.seq
    while changes := log.after(seq, chunk):
        messages += changes
        seq += len(changes)
    return messages, seq


def kinds(messages: list[str]) -> list[str]:
    return [msgspec.json.decode(message)["type"] for message in messages]


@given(st.integers(0, 3 * SNAPSHOT_AGE_MAX), st.integers(0, 50), st.integers(0, 50))
def test_whenever_a_client_joins_it_knows_what_a_fresh_snapshot_says(before: int, between: int, after: int) -> None:
    log = log_with(before)
    first, after_seq = told(log)
    missed = [message for seq in range(before + 1, before + between + 1) for message in log.append(change(seq))]
    state, seq = replay([*first, *missed])
    assert seq == before + between >= after_seq
    for number in range(seq + 1, seq + after + 1):
        log.append(change(number))
    delta, _ = told(log, "e1", seq)
    assert set(kinds(delta)) <= {"seat"}
    assert replay(delta, state, seq) == replay(told(log_with(seq + after))[0])


def test_a_client_that_missed_nothing_is_sent_nothing() -> None:
    assert told(log_with(5), "e1", 5) == ([], 5)


def test_a_client_that_is_ahead_of_this_node_waits_for_what_comes_next() -> None:
    assert told(log_with(5), "e1", 8) == ([], 8)
    assert kinds(told(log_with(5), "e1", 6 + AHEAD_MAX)[0])[0] == "resync"


def test_another_epoch_or_lost_history_is_a_resync_and_a_snapshot() -> None:
    assert kinds(told(log_with(5), "e0", 3)[0])[:2] == ["resync", "snapshot"]
    log = SeatLog(SEATS)
    log.load("e1", 100, b"01200000", [change(99), change(100)], 0.0)
    assert kinds(told(log, "e1", 97)[0]) == ["resync", "snapshot"]
    assert kinds(told(log, "e1", 98)[0]) == ["seat", "seat"]


def test_who_falls_out_of_the_history_is_told_so() -> None:
    log = SeatLog(SEATS)
    log.load("e1", 100, b"01200000", [change(99), change(100)], 0.0)
    assert log.after(97, 10) is None
    assert log.after(100, 10) == []
    assert kinds(log.after(98, 1) or []) == ["seat"]


def test_a_snapshot_lists_the_seats_that_are_not_free() -> None:
    log = SeatLog(SEATS)
    log.load("e1", 7, b"01200000", [], 12.5)
    (snapshot,), after_seq = told(log)
    assert msgspec.json.decode(snapshot) == {
        "type": "snapshot",
        "epoch": "e1",
        "seq": 7,
        "at": 12.5,
        "seats": {"101-A-2": 1, "101-A-3": 2},
    }
    assert after_seq == 7
