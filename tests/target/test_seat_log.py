"""What a feed node tells: snapshots, deltas and resyncs always add up to the state."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from target.seat_log import AHEAD_MAX, SNAPSHOT_AGE_MAX, SeatChange, SeatLog

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


def kinds(messages: list[str]) -> list[str]:
    return [msgspec.json.decode(message)["type"] for message in messages]


@given(st.integers(0, 3 * SNAPSHOT_AGE_MAX), st.integers(0, 50), st.integers(0, 50))
def test_whenever_a_client_joins_it_knows_what_a_fresh_snapshot_says(before: int, between: int, after: int) -> None:
    log = log_with(before)
    first, after_seq = log.opening("", None, 0.0)
    missed = [message for seq in range(before + 1, before + between + 1) for message in log.append(change(seq))]
    state, seq = replay([*first, *missed])
    assert seq == before + between >= after_seq
    for number in range(seq + 1, seq + after + 1):
        log.append(change(number))
    delta, _ = log.opening("e1", seq, 0.0)
    assert set(kinds(delta)) <= {"seat"}
    assert replay(delta, state, seq) == replay(log_with(seq + after).opening("", None, 0.0)[0])


def test_a_client_that_missed_nothing_is_sent_nothing() -> None:
    assert log_with(5).opening("e1", 5, 0.0) == ([], 5)


def test_a_client_that_is_ahead_of_this_node_waits_for_what_comes_next() -> None:
    assert log_with(5).opening("e1", 8, 0.0) == ([], 8)
    assert kinds(log_with(5).opening("e1", 6 + AHEAD_MAX, 0.0)[0])[0] == "resync"


def test_another_epoch_or_lost_history_is_a_resync_and_a_snapshot() -> None:
    assert kinds(log_with(5).opening("e0", 3, 0.0)[0])[:2] == ["resync", "snapshot"]
    log = SeatLog(SEATS)
    log.load("e1", 100, b"01200000", [change(99), change(100)], 0.0)
    assert kinds(log.opening("e1", 97, 0.0)[0]) == ["resync", "snapshot"]
    assert kinds(log.opening("e1", 98, 0.0)[0]) == ["seat", "seat"]


def test_a_snapshot_lists_the_seats_that_are_not_free() -> None:
    log = SeatLog(SEATS)
    log.load("e1", 7, b"01200000", [], 12.5)
    (snapshot,), after_seq = log.opening("", None, 13.0)
    assert msgspec.json.decode(snapshot) == {
        "type": "snapshot",
        "epoch": "e1",
        "seq": 7,
        "at": 12.5,
        "seats": {"101-A-2": 1, "101-A-3": 2},
    }
    assert after_seq == 7
