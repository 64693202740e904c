"""A spectator's session with a feed that falls silent and comes back. A real server tells what a test scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from time import monotonic
from urllib.parse import parse_qs, urlsplit

from harness.platform import Call, Person
from harness.record.schema import Outcome
from harness.swarm.client.transport import ClientLimits
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.feed import ReferenceSpectatorSession
from tests.harness.swarm.client.test_websocket import accept, frame
from tests.harness.swarm.scripted_server import Asked, Hang, serving

SPECTATOR = Person(user=5, kind="spectator", actor="spectator-000005", identity="watcher-000005")
SENT_WALL_S = 1_000.0


def told(kind: str, **fields: object) -> bytes:
    return frame(json.dumps({"type": kind, "at": SENT_WALL_S, **fields}).encode())


def seat(seq: int) -> bytes:
    return told("seat", epoch="e", seq=seq, seat=f"S-{seq}", state=1)


def now() -> Call:
    return Call(t_intended_s=monotonic())


def test_a_half_open_feed_is_lost_with_a_word_and_continued_where_it_stopped() -> None:
    """No FIN, no reset, no answer to a ping: the loss is written down, the next connect asks for what was missed."""

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        last = int(parse_qs(urlsplit(asked.target).query).get("last_seq", ["0"])[0])
        return [accept(asked) + b"".join(seat(last + step) for step in (1, 2, 3)), Hang()]

    recorder = Recorder(1)
    with serving(script) as server:
        feed = server.url.replace("http", "ws", 1)
        session = ReferenceSpectatorSession(recorder, SPECTATOR, (feed,), "game-1", ClientLimits(idle_s=0.3))
        for _ in range(2):
            assert session.connect(now()).outcome is Outcome.OK
            assert session.follow() == "timeout"
        session.close()
    assert [one.target for one in server.asked] == ["/feed/game-1", "/feed/game-1?epoch=e&last_seq=3"]

    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    events = batches["events"].to_pylist()
    assert [(row["event"], row["seq"], row["key"]) for row in events] == [
        ("connect", None, ""),
        *(("seat", seq, f"S-{seq}") for seq in (1, 2, 3)),
        ("disconnect", None, "timeout"),
        ("connect", 3, ""),
        *(("seat", seq, f"S-{seq}") for seq in (4, 5, 6)),
        ("disconnect", None, "timeout"),
    ]
    assert {row["t_sent_s"] for row in events if row["event"] == "seat"} == {SENT_WALL_S}
    assert all(one["t_s"] <= two["t_s"] for one, two in pairwise(events))
    assert {(row["kind"], row["actor"]) for row in events} == {(SPECTATOR.kind, SPECTATOR.actor)}
    assert [(row["outcome"], row["actor"], row["op"]) for row in batches["requests"].to_pylist()] == [
        ("ok", SPECTATOR.actor, None)
    ] * 2


def test_a_feed_that_is_silent_from_the_start_is_no_feed() -> None:
    recorder = Recorder(1)
    with serving(lambda _: [Hang()]) as server:
        feed = server.url.replace("http", "ws", 1)
        session = ReferenceSpectatorSession(recorder, SPECTATOR, (feed,), "game-1", ClientLimits(first_byte_s=0.2))
        answer = session.connect(now())
        session.close()
    assert (answer.outcome, answer.error) == (Outcome.UNKNOWN, "timeout")
    assert "events" not in recorder.take(ReleaseInstant(0.0, 0.0))


def test_a_glance_ends_with_the_whole_state_and_is_no_drop() -> None:
    state = told("snapshot", epoch="e", seq=7, seats={"S-1": 1, "S-2": 2})

    def script(asked: Asked) -> Iterable[bytes | Hang]:
        return [accept(asked) + told("score") + state + seat(8), Hang()]

    recorder = Recorder(1)
    with serving(script) as server:
        feed = server.url.replace("http", "ws", 1)
        session = ReferenceSpectatorSession(recorder, SPECTATOR, (feed,), "game-1", ClientLimits(idle_s=30.0))
        assert session.connect(now()).outcome is Outcome.OK
        assert session.glance() == 2
        session.close()
    events = recorder.take(ReleaseInstant(0.0, 0.0))["events"].to_pylist()
    assert [(row["event"], row["seq"], row["value"], row["key"]) for row in events] == [
        ("connect", None, None, ""),
        ("score", None, None, ""),
        ("snapshot", 7, 2, ""),
        ("seat", 7, 1, "S-1"),
        ("seat", 7, 2, "S-2"),
    ]


def test_a_glance_at_a_feed_that_drops_shows_nothing() -> None:
    def script(asked: Asked) -> Iterable[bytes | Hang]:
        return [accept(asked) + seat(1)]

    with serving(script) as server:
        feed = server.url.replace("http", "ws", 1)
        session = ReferenceSpectatorSession(Recorder(1), SPECTATOR, (feed,), "game-1", ClientLimits(idle_s=30.0))
        assert session.connect(now()).outcome is Outcome.OK
        assert session.glance() == 0
        session.close()
