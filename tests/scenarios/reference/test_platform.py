"""What the adapter writes into the history for each answer of the platform. A real server gives the answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

import msgspec
import pytest

from harness.platform import (
    Answer,
    Call,
    FanSession,
    HasTabs,
    Hold,
    Person,
    QueueNewsKind,
    ShowsTicket,
    TriesWithoutPass,
)
from harness.record.schema import Outcome
from harness.stack import Addresses
from harness.swarm.client.http import HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.api import card_of
from scenarios.reference.draw import look_at_draw
from scenarios.reference.platform import ReferencePlatform
from tests.harness.swarm.client.test_sse import HEAD, chunk
from tests.harness.swarm.client.test_websocket import accept, frame
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, ScriptedServer, response, serving

FAN = Person(user=3, kind="fan", actor="fan-000003", identity="person-000003")
HELD = Hold(hold_id="h.1", seats=("101-A-1", "101-A-2"), ttl_s=8.0)
Said = Iterable[bytes | Hang]


@contextmanager
def fan_of(script: Callable[[Asked], Said]) -> Iterator[tuple[FanSession, Recorder, ScriptedServer]]:
    recorder = Recorder(1)

    def said(asked: Asked) -> Said:
        return document(200, kind="none") if asked.target.endswith("/challenge") else script(asked)

    with serving(said) as server:
        platform = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="game-1"), recorder)
        session = platform.fan_session(FAN)
        yield session, recorder, server
        session.close()


def now() -> Call:
    return Call(t_intended_s=monotonic())


def document(status: int, **fields: object) -> list[bytes]:
    return [response(json.dumps(fields).encode(), status, "Content-Type: application/json")]


def operation(recorder: Recorder) -> dict[str, object]:
    (row,) = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    return {**row, "value": json.loads(row["value"])}


def pay(session: FanSession) -> Answer[object]:
    return session.pay(now(), HELD, key="k1", declined_on_purpose=False)


PAID = {"order_id": "o1", "seats": list(HELD.seats), "amount_cents": 5000}
TRIED = {"hold_id": "h.1", "seats": list(HELD.seats), "declined_on_purpose": False, "card": card_of(FAN.actor)}


@pytest.mark.parametrize(
    ("verb", "said", "outcome", "error", "value", "final"),
    [
        (
            lambda s: s.join(now()),
            document(201, ticket="t", position=4, epoch="e1", joined_at=1.0, state="queued"),
            "ok",
            "",
            {"position": 4, "epoch": "e1", "parked": False},
            False,
        ),
        (
            lambda s: s.join(now()),
            document(202, ticket="t", position=None, epoch="", joined_at=1.0, state="paused"),
            "ok",
            "",
            {"epoch": "", "parked": True},
            False,
        ),
        (lambda s: s.join(now()), document(503, title="busy"), "fail", "status", {}, False),
        (lambda s: s.join(now()), document(500, title="oops"), "unknown", "status", {}, False),
        (lambda s: s.join(now()), [CLOSE], "unknown", "reset", {}, False),
        (
            lambda s: s.enter(now()),
            document(200, **{"pass": "p", "admission_no": 9, "expires_at": 1.0, "epoch": "e1"}),
            "ok",
            "",
            {"admission_no": 9, "epoch": "e1"},
            False,
        ),
        (lambda s: s.enter(now()), document(425), "fail", "waiting", {}, False),
        (lambda s: s.enter(now()), document(409), "fail", "used", {}, True),
        (lambda s: s.enter(now()), document(410), "fail", "expired", {}, True),
        (
            lambda s: s.hold(now(), HELD.seats),
            document(201, hold_id="h.1", seats=HELD.seats, ttl_s=8.0, expires_at=1.0),
            "ok",
            "",
            {"seats": list(HELD.seats), "ttl_s": 8.0, "asked": list(HELD.seats)},
            False,
        ),
        (
            lambda s: s.hold(now(), HELD.seats),
            document(409, seats_taken=["101-A-1"]),
            "fail",
            "conflict",
            {"seats": list(HELD.seats)},
            True,
        ),
        (lambda s: s.hold(now(), HELD.seats), [Hang()], "unknown", "timeout", {"seats": list(HELD.seats)}, False),
        (lambda s: s.release(now(), HELD), [response(b"", 204)], "ok", "", {"seats": list(HELD.seats)}, False),
        (lambda s: s.release(now(), HELD), document(410), "fail", "expired", {"seats": list(HELD.seats)}, True),
        (lambda s: s.release(now(), HELD), document(503), "unknown", "status", {"seats": list(HELD.seats)}, False),
        (pay, document(201, state="confirmed", **PAID), "ok", "", {**TRIED, **PAID, "state": "confirmed"}, False),
        (pay, document(202, state="pending", **PAID), "ok", "", {**TRIED, **PAID, "state": "pending"}, False),
        (pay, document(402, state="declined", order_id="o1"), "fail", "declined", TRIED, True),
        (pay, document(410), "fail", "expired", TRIED, True),
        (pay, document(503), "unknown", "status", TRIED, False),
        (
            lambda s: s.order(now(), "o1"),
            document(200, state="confirmed", stale=False, **PAID),
            "ok",
            "",
            {"state": "confirmed", "seats": list(HELD.seats), "amount_cents": 5000},
            False,
        ),
        (
            lambda s: s.order(now(), "o1"),
            document(200, state="pending", stale=True, **PAID),
            "ok",
            "",
            {"state": "pending", "seats": list(HELD.seats), "amount_cents": 5000, "stale": True},
            False,
        ),
        (lambda s: s.order(now(), "o1"), document(404), "fail", "missing", {}, False),
        (lambda s: s.order(now(), "o1"), document(401), "fail", "status", {}, True),
        (
            lambda s: s.hold(now(), HELD.seats),
            document(422, limit=4),
            "fail",
            "limit",
            {"seats": list(HELD.seats)},
            True,
        ),
        (
            lambda s: s.hold(now(), HELD.seats),
            document(422, seats_withheld=["101-A-1"]),
            "fail",
            "accessible",
            {"seats": list(HELD.seats)},
            True,
        ),
        (lambda s: s.hold(now(), HELD.seats), document(422), "fail", "status", {"seats": list(HELD.seats)}, True),
        (pay, document(422, limit=4), "fail", "limit", TRIED, True),
    ],
)
def test_each_answer_is_written_as_what_it_means(
    verb: Callable[[FanSession], Answer[object]],
    said: list[bytes | Hang],
    outcome: str,
    error: str,
    value: dict[str, object],
    final: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fan_of(lambda _: said) as (session, recorder, _):
        if error == "timeout":
            session._client._limits = type(session._client._limits)(first_byte_s=0.2)
        answer = verb(session)
        batches = recorder.take(ReleaseInstant(0.0, 0.0))
    (row,) = batches["operations"].to_pylist()
    assert (row["outcome"], row["error"], json.loads(row["value"])) == (outcome, error, value)
    assert {(sent["actor"], sent["op"]) for sent in batches["requests"].to_pylist()} == {(FAN.actor, row["op"])}
    assert (row["actor"], row["identity"]) == (FAN.actor, FAN.identity)
    assert (answer.outcome, answer.error, answer.final, answer.op) == (outcome, error, final, row["op"])
    assert (row["t_complete_s"] is None) == (outcome == "unknown")
    assert (answer.value is not None) == (outcome == "ok" and row["function"] != "release")


def test_an_answer_that_cannot_be_read_is_unknown() -> None:
    with fan_of(lambda _: [response(b"<html>", 201)]) as (session, recorder, _):
        assert session.hold(now(), HELD.seats).outcome is Outcome.UNKNOWN
        assert operation(recorder)["error"] == "protocol"


def test_what_is_sent_carries_the_tokens_and_the_key() -> None:
    def script(asked: Asked) -> Said:
        if asked.target.endswith("/queue"):
            return document(201, ticket="T", position=1, epoch="e", joined_at=1.0, state="queued")
        if asked.target.endswith("/admission"):
            return document(200, **{"pass": "P", "admission_no": 1, "expires_at": 1.0})
        return document(201, state="confirmed", **PAID)

    with fan_of(script) as (session, _, server):
        session.join(now())
        session.enter(now())
        pay(session)
    _, joined, entered, paid = server.asked
    assert (joined.target, json.loads(joined.body)) == (
        "/api/events/game-1/queue",
        {"fan": FAN.actor, "identity": FAN.identity.upper()},  # every other fan writes it so
    )
    assert {each.header("device") for each in (joined, entered, paid)} == {FAN.actor}
    assert joined.header("challenge") == ""
    assert entered.header("authorization") == "Queue T"
    assert (paid.header("authorization"), paid.header("idempotency-key")) == ("Pass P", "k1")
    assert json.loads(paid.body) == {"hold_id": "h.1", "card": card_of(FAN.actor)}


def test_a_fan_solves_what_is_asked_before_joining() -> None:
    def script(asked: Asked) -> Said:
        if asked.target.endswith("/challenge"):
            return document(200, kind="proof_of_work", challenge="c", bits=7)
        return document(201, ticket="T", position=1, epoch="e", joined_at=1.0, state="queued")

    with serving(script) as server:
        platform = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="game-1"), Recorder(1))
        session = platform.fan_session(FAN)
        assert session.join(now()).outcome is Outcome.OK
        session.close()
    challenge, nonce = server.asked[1].header("challenge").split(":")
    assert challenge == "c"
    assert hashlib.sha256(f"c|{FAN.actor}|{nonce}".encode()).digest()[0] < 2


@pytest.mark.parametrize(
    ("said", "error"), [(document(503), "status"), ([CLOSE], "reset"), (document(200), "protocol")]
)
def test_without_an_answer_to_what_is_asked_nobody_joins(said: Said, error: str) -> None:
    with serving(lambda _: said) as server:
        recorder = Recorder(1)
        platform = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="game-1"), recorder)
        answer = platform.fan_session(FAN).join(now())
    assert (answer.outcome, answer.error, answer.final, answer.op) == (Outcome.FAIL, error, False, 0)
    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    (join,) = batches["operations"].to_pylist()
    assert (join["function"], join["outcome"], join["error"]) == ("join", "fail", error)
    assert [(row["step"], row["op"]) for row in batches["requests"].to_pylist()] == [("challenge", 0)]


def test_a_device_waits_for_an_answer_as_long_as_the_scenario_says() -> None:
    with serving(lambda _: [Hang()]) as server:
        addresses = Addresses(booking=server.url, feeds=(), event="game-1", answer_timeout_s=0.2)
        session = ReferencePlatform(addresses, Recorder(1)).fan_session(FAN)
        begun_s = monotonic()
        answer = session.queue_page(now())
        session.close()
        assert answer.error == "timeout"
        assert monotonic() - begun_s < addresses.answer_timeout_s + 5


@pytest.mark.parametrize(("status", "outcome"), [(401, "fail"), (503, "unknown"), (409, "ok"), (201, "ok")])
def test_a_try_without_a_pass_is_a_probe_and_no_hold_of_anybody(status: int, outcome: str) -> None:
    """Else the figures of holds, and what is expected of them under a fault, would be about our own tries."""

    def script(asked: Asked) -> Said:
        return document(status, hold_id="h.1", seats=["101-A-1"], expires_in_s=8.0) if asked.method == "POST" else []

    with fan_of(script) as (session, recorder, _):
        assert isinstance(session, TriesWithoutPass)
        session.try_to_hold(now(), ("101-A-1",))
        batches = recorder.take(ReleaseInstant(0.0, 0.0))
    (row,) = batches["operations"].to_pylist()
    assert (row["function"], row["key"], row["outcome"]) == ("probe", "no pass", outcome)
    assert batches["requests"].to_pylist()[0]["step"] == "settle"


def test_a_position_stream_goes_on_after_the_last_event_seen() -> None:
    def script(asked: Asked) -> Said:
        if not asked.header("last-event-id"):
            return [
                HEAD + chunk(b'id: e1:1\nevent: position\ndata: {"position":5,"epoch":"e1","at":10.5}\n\n'),
                chunk(b"retry: 750\n\n"),
                CLOSE,
            ]
        return [HEAD + chunk(b'id: e1:2\nevent: admitted\ndata: {"at":12.0}\n\n') + b"0\r\n\r\n"]

    with fan_of(script) as (session, recorder, server):
        first = session.positions(now()).value
        assert first is not None
        assert [(news.kind, news.position) for news in first] == [(QueueNewsKind.POSITION, 5)]
        assert first.reconnect_s == 0.75
        first.close()
        again = session.positions(now()).value
        assert again is not None
        assert [news.kind for news in again] == [QueueNewsKind.ADMITTED]
        rows = recorder.take(ReleaseInstant(0.0, 10.0))["events"].to_pylist()
    assert server.asked[1].header("last-event-id") == "e1:1"
    seen = [(row["event"], row["epoch"], row["seq"], row["value"], row["key"], row["t_sent_s"]) for row in rows]
    assert seen == [
        ("connect", "", None, None, "", None),
        ("position", "e1", 1, 5, "", 0.5),
        ("disconnect", "", None, None, "reset", None),
        ("connect", "e1", 1, None, "", None),
        ("admitted", "e1", 2, None, "", 2.0),
        ("disconnect", "", None, None, "", None),
    ]


def test_who_leaves_the_stream_before_being_called_in_is_noted_to_have_gone_once() -> None:
    def script(asked: Asked) -> Said:
        return [HEAD + chunk(b'id: e1:1\nevent: position\ndata: {"position":5,"epoch":"e1","at":10.5}\n\n'), Hang()]

    with fan_of(script) as (session, recorder, _):
        stream = session.positions(now()).value
        assert stream is not None
        assert next(iter(stream)).position == 5
        stream.close()
        stream.close()
        rows = recorder.take(ReleaseInstant(0.0, 10.0))["events"].to_pylist()
    assert [(row["event"], row["key"]) for row in rows] == [("connect", ""), ("position", ""), ("disconnect", "")]


def test_a_spectator_notes_the_feed_and_continues_where_it_stopped() -> None:
    def script(asked: Asked) -> Said:
        if "last_seq" not in asked.target:
            snapshot = {"type": "snapshot", "epoch": "e1", "seq": 4, "at": 10.0, "seats": {"1-A-1": 2}}
            change = {"type": "seat", "epoch": "e1", "seq": 5, "seat": "1-A-2", "state": 1, "at": 11.0}
            return [accept(asked) + frame(json.dumps(snapshot).encode()) + frame(json.dumps(change).encode()), CLOSE]
        resync = {"type": "resync", "epoch": "e2", "seq": 1, "at": 12.0}
        score = {"type": "score", "at": 12.5, "home": 1, "away": 0}
        return [accept(asked) + frame(json.dumps(resync).encode()) + frame(json.dumps(score).encode()), CLOSE]

    recorder = Recorder(1)
    with serving(script) as server:
        feed = server.url.replace("http", "ws", 1)
        platform = ReferencePlatform(Addresses(booking=server.url, feeds=(feed,), event="game-1"), recorder)
        session = platform.spectator_session(FAN)
        for _ in range(2):
            assert session.connect(now()).outcome is Outcome.OK
            assert session.follow() == "reset"
    rows = recorder.take(ReleaseInstant(0.0, 10.0))["events"].to_pylist()
    seen = [(row["event"], row["epoch"], row["seq"], row["value"], row["key"], row["t_sent_s"]) for row in rows]
    assert seen == [
        ("connect", "", None, None, "", None),
        ("snapshot", "e1", 4, 1, "", 0.0),
        ("seat", "e1", 4, 2, "1-A-1", 0.0),
        ("seat", "e1", 5, 1, "1-A-2", 1.0),
        ("disconnect", "", None, None, "reset", None),
        ("connect", "e1", 5, None, "", None),
        ("resync", "e2", 1, None, "", 2.0),
        ("score", "", None, None, "", 2.5),
        ("disconnect", "", None, None, "reset", None),
    ]


def test_capabilities_are_what_the_addresses_allow() -> None:
    bare = Addresses(booking="http://127.0.0.1:1", feeds=(), event="e")
    assert ReferencePlatform(bare, Recorder(1)).capabilities == {
        "queue",
        "seats",
        "hold_release",
        "lookup",
        "same_key",
    }
    kept = msgspec.structs.replace(bare, keeps_accessible=True)
    assert "accessible" in ReferencePlatform(kept, Recorder(1)).capabilities
    full = Addresses(
        booking="http://127.0.0.1:1",
        feeds=("ws://127.0.0.1:2",),
        event="e",
        admin="http://127.0.0.1:3",
        ledger="http://127.0.0.1:4",
    )
    assert ReferencePlatform(full, Recorder(1)).capabilities == {
        "queue",
        "seats",
        "hold_release",
        "lookup",
        "probes",
        "feed",
        "order_export",
        "ledger_export",
        "same_key",
        "sweep",
    }


def test_a_sweep_is_the_hold_and_its_release() -> None:
    def script(asked: Asked) -> Said:
        if asked.target.endswith("/passes"):
            return document(201, **{"pass": "P"})
        if asked.target.endswith("/holds"):
            return document(201, hold_id="h.1", seats=["101-A-1"], ttl_s=8.0)
        return [response(b"", 204)]

    with serving(script) as server:
        recorder = Recorder(1)
        addresses = Addresses(booking=server.url, feeds=(), event="game-1", admin=server.url)
        ReferencePlatform(addresses, recorder).sweep(("101-A-1", "101-A-2"))
    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    sent = [(row["method"], row["op"]) for row in batches["requests"].to_pylist() if row["op"] is not None]
    swept = [row["op"] for row in batches["operations"].to_pylist()]
    assert sorted(sent) == sorted((method, op) for method in ("DELETE", "POST") for op in swept)
    assert len(swept) == 2


def test_a_fan_who_gathers_looks_at_the_draw() -> None:
    commitment = hashlib.sha256(b"seed").hexdigest()

    def script(asked: Asked) -> Said:
        if asked.target.endswith("/draw"):
            return document(200, opens_at=9.5, commitment=commitment, seed=None, policy="shuffle")
        return document(201, ticket="t", position=None, epoch="e1", joined_at=1.0, state="gathering", opens_at=9.5)

    with fan_of(script) as (session, recorder, _):
        assert session.join(now()).value is not None
        batches = recorder.take(ReleaseInstant(0.0, 0.0))
    join, draw = batches["operations"].to_pylist()
    served = [row["op"] for row in batches["requests"].to_pylist()]
    assert served == [join["op"], join["op"], draw["op"]]
    assert json.loads(join["value"]) == {"epoch": "e1", "parked": False}
    assert (draw["function"], draw["outcome"]) == ("draw", "ok")
    assert json.loads(draw["value"]) == {"commitment": commitment, "opens_at": 9.5, "seed": None}


def test_where_no_lots_are_drawn_the_look_fails() -> None:
    with serving(lambda _: document(404, title="no lots are drawn")) as server:
        recorder = Recorder(1)
        client = HttpClient(resolve(server.url), recorder, FAN)
        look_at_draw(client, recorder, FAN, "/api/events/game-1", now())
        client.close()
    found = operation(recorder)
    assert (found["outcome"], found["error"]) == ("fail", "status")


def test_the_published_draw_is_read_page_by_page() -> None:
    pages = {"first=0": ["a", "b"], "first=2": ["c"]}

    def script(asked: Asked) -> Said:
        if asked.target.endswith("/draw"):
            return document(200, opens_at=9.5, commitment="c", seed="s", policy="shuffle")
        entries = pages[asked.target.partition("?")[2]]
        return document(200, seed="s", commitment="c", total=3, entries=[{"entry": e, "number": 1} for e in entries])

    with serving(script) as server:
        recorder = Recorder(1)
        client = HttpClient(resolve(server.url), recorder, FAN)
        look_at_draw(client, recorder, FAN, "/api/events/game-1", now())
        client.close()
    assert operation(recorder)["value"] == {
        "commitment": "c", "opens_at": 9.5, "seed": "s", "entries": ["a", "b", "c"],
    }  # fmt: skip


VENUE = {
    "capacity": 3,
    "prices_cents": {"near": 9000, "far": 4000},
    "sections": [
        {"id": "101", "rows": [{"id": "A", "seats": 2, "price": "near"}, {"id": "B", "seats": 1, "price": "far"}]}
    ],
}


@pytest.mark.parametrize(("looked", "shown"), [(True, 13_000), (False, None)])
def test_a_payment_says_at_what_price_its_seats_were_shown(*, looked: bool, shown: int | None) -> None:
    seats = ("101-A-2", "101-B-1")

    def script(asked: Asked) -> list[bytes]:
        if asked.target.endswith("/venue"):
            return document(200, **VENUE)
        if asked.target.endswith("/holds"):
            return document(201, hold_id="h.1", seats=seats, ttl_s=8.0, expires_at=1.0)
        return document(201, state="confirmed", order_id="o1", seats=seats, amount_cents=13_150)

    with fan_of(script) as (session, recorder, _):
        if looked:
            session.venue(now())
        hold = session.hold(now(), seats).value
        assert hold is not None
        session.pay(now(), hold, key="k1", declined_on_purpose=False)
        _, paid = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert json.loads(paid["value"]).get("shown_cents") == hold.shown_cents == shown


def test_another_tab_shows_the_same_ticket_and_notes_nothing() -> None:
    def script(asked: Asked) -> Said:
        if asked.method == "POST":
            return document(201, ticket="t1", position=4, epoch="e1", joined_at=1.0, state="queued")
        return [HEAD + chunk(b'id: e1:1\nevent: admitted\ndata: {"at":12.0}\n\n') + b"0\r\n\r\n"]

    with fan_of(script) as (session, recorder, server):
        session.join(now())
        recorder.take(ReleaseInstant(0.0, 0.0))
        assert isinstance(session, HasTabs)
        tab = session.tab()
        stream = tab.positions(now()).value
        assert stream is not None
        assert [news.kind for news in stream] == [QueueNewsKind.ADMITTED]
        tab.close()
        assert "events" not in recorder.take(ReleaseInstant(0.0, 0.0))
    assert server.asked[-1].header("authorization") == "Queue t1"
    assert server.asked[-1].connection != server.asked[-2].connection


def test_who_joins_again_with_the_ticket_needs_no_new_proof() -> None:
    def script(asked: Asked) -> Said:
        if asked.method == "POST":
            return document(201, ticket="t1", position=4, epoch="e1", joined_at=1.0, state="queued")
        return document(200, kind="none")

    with fan_of(script) as (session, recorder, server):
        assert isinstance(session, ShowsTicket)
        session.join(now())
        answer = session.join_again(now())
        first, again = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert answer.value is not None
    assert [asked.header("authorization") for asked in server.asked if asked.method == "POST"] == ["", "Queue t1"]
    assert [asked.method for asked in server.asked] == ["GET", "POST", "POST"]
    assert ("again" in json.loads(first["value"]), json.loads(again["value"])["again"]) == (False, True)


@pytest.mark.parametrize(("code", "shown"), [("FAN-1", "FAN-1"), ("", "")])
def test_a_fan_shows_the_access_code_and_is_turned_away_when_it_is_used(code: str, shown: str) -> None:
    person = msgspec.structs.replace(FAN, code=code)
    recorder = Recorder(1)

    def script(asked: Asked) -> Said:
        return document(200, kind="none") if asked.target.endswith("/challenge") else document(409, title="used")

    with serving(script) as server:
        session = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="e"), recorder).fan_session(person)
        answer = session.join(now())
        session.close()
    assert (answer.outcome, answer.error, answer.final) == (Outcome.FAIL, "turned_away", True)
    assert server.asked[-1].header("access-code") == shown
    value = operation(recorder)["value"]
    assert isinstance(value, dict)
    assert ("code" in value) is bool(code)
    assert code not in value.values() or not code


@pytest.mark.parametrize("needs", [True, False])
def test_a_fan_declares_the_need_when_joining_and_holds_say_so(*, needs: bool) -> None:
    person, recorder = msgspec.structs.replace(FAN, needs_accessible=needs), Recorder(1)

    def script(asked: Asked) -> Said:
        if asked.target.endswith("/challenge"):
            return document(200, kind="none")
        if asked.target.endswith("/queue"):
            return document(201, ticket="T", position=1, epoch="e", joined_at=1.0, state="queued")
        return document(201, hold_id="h", seats=["A-1"], ttl_s=8.0, expires_at=1.0)

    with serving(script) as server:
        session = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="e"), recorder).fan_session(person)
        session.join(now())
        session.hold(now(), ("A-1",))
        session.close()
    assert ("accessible" in json.loads(server.asked[1].body)) is needs
    *_, hold = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert json.loads(hold["value"]).get("declared", False) is needs
