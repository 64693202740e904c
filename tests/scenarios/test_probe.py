"""Probes: what they ask a platform for, when, and what they never do. A real server gives the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic, time

import gevent
import pytest

from harness.audit.holds.granted import TOLD_OFF_MAX_S
from harness.record.schema import PROBE_ACTOR
from harness.stack import Addresses
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.barrier import Barrier
from harness.swarm.users.plan import probe_plan
from scenarios.probe import Probe
from scenarios.reference.platform import ReferencePlatform
from tests.harness.swarm.client.test_websocket import accept, frame
from tests.harness.swarm.scripted_server import Asked, ScriptedServer, response, serving

ALWAYS: tuple[tuple[float, float], ...] = ((-60.0, 600.0),)
VENUE = {
    "capacity": 4,
    "prices_cents": {"p1": 9000, "p2": 1000},
    "sections": [
        {"id": "1", "rows": [{"id": "A", "seats": 2, "price": "p1"}]},
        {"id": "9", "rows": [{"id": "A", "seats": 2, "price": "p2"}]},
    ],
}
SEATS = {"epoch": "e", "seq": 1, "stale": True, "states": {"1": "00", "9": "20"}}


def said(status: int, fields: dict[str, object]) -> list[bytes]:
    return [response(json.dumps(fields).encode(), status, "Content-Type: application/json")]


def shop(hold: Callable[[], list[bytes]]) -> Callable[[Asked], Iterable[bytes]]:
    """A platform with four seats, two of them free, that answers a hold as `hold` says."""

    def script(asked: Asked) -> Iterable[bytes]:
        if asked.target == "/admin/passes":
            return said(201, {"pass": "p"}) if asked.header("Authorization") == "Bearer secret" else said(401, {})
        by_end: dict[str, Callable[[], list[bytes]]] = {
            "/venue": lambda: said(200, VENUE),
            "/seats": lambda: said(200, SEATS),
            "/sections": lambda: said(200, {"counts": {"1": 2, "9": 1}}),
            "/holds": hold,
            "/orders": lambda: said(410, {"title": "the hold is over"}),
            "/h.1": lambda: [response(b"", 204)],
        }
        return next(answer for end, answer in by_end.items() if asked.target.endswith(end))()

    return script


@contextmanager
def probing(
    script: Callable[[Asked], Iterable[bytes]],
    *,
    refused_s: tuple[tuple[float, float], ...] = (),
    admin: bool = True,
    pays_late: bool = False,
    gives_back: int = 0,
    comes_anew: bool = False,
    meddles: bool = False,
) -> Iterator[tuple[ScriptedServer, Recorder, gevent.Greenlet]]:
    """A probe that is let go at once."""
    with serving(script) as server:
        recorder, barrier = Recorder(1), Barrier()
        own = {"admin": server.url, "admin_token": "secret"} if admin else {}
        feeds = tuple(f"{server.url.replace('http', 'ws', 1)}/{node}" for node in ("one", "two"))
        platform = ReferencePlatform(Addresses(booking=server.url, feeds=feeds, event="game-1", **own), recorder)
        plan = probe_plan(
            7, 1, 100, refused_s, pays_late=pays_late, gives_back=gives_back, comes_anew=comes_anew, meddles=meddles
        )
        going = gevent.spawn(Probe(platform, barrier, plan).go)
        barrier.release_at(ReleaseInstant(monotonic(), time()))
        try:
            yield server, recorder, going
        finally:
            going.kill()


def until(condition: Callable[[], bool]) -> None:
    """As `tests.waiting`, for greenlets of this thread."""
    deadline_s = monotonic() + 30
    while not condition():
        assert monotonic() < deadline_s
        gevent.sleep(0.01)


def count(server: ScriptedServer, method: str, end: str) -> int:
    return sum(asked.method == method and asked.target.endswith(end) for asked in list(server.asked))


def rows(recorder: Recorder, table: str) -> list[dict[str, object]]:
    return recorder.take(ReleaseInstant(0.0, 0.0), 1000)[table].to_pylist()  # type: ignore[no-any-return]


def test_it_looks_once_a_period_and_holds_nothing() -> None:
    with probing(shop(lambda: said(201, {}))) as (server, recorder, _):
        until(lambda: count(server, "GET", "/sections") == 2)
    assert count(server, "GET", "/seats") == 2
    assert count(server, "POST", "/holds") == 0
    assert not any("/queue" in asked.target or "/orders" in asked.target for asked in server.asked)
    requests = [row for row in rows(recorder, "requests") if row["kind"] == "probe"]
    assert {row["user"] for row in requests} == {-2}
    looks = [row["t_intended_s"] for row in requests if row["step"] == "seat_map"]
    assert looks[1] - looks[0] == pytest.approx(1.0)  # type: ignore[operator]


def test_its_looks_are_operations_of_a_probe() -> None:
    with probing(shop(lambda: said(201, {}))) as (server, recorder, _):
        until(lambda: count(server, "GET", "/sections") == 1)
        until(lambda: bool(recorder.buffers["operations"].rows))
    look, *counts = rows(recorder, "operations")
    assert {row["function"] for row in counts} <= {"count"}
    assert (look["function"], look["actor"], look["outcome"]) == ("look", f"{PROBE_ACTOR}1", "ok")
    assert json.loads(str(look["value"]))["stale"] is True


def test_it_tries_to_hold_the_seat_that_is_wanted_least_while_holds_are_refused() -> None:
    with probing(shop(lambda: said(503, {"title": "busy"})), refused_s=ALWAYS) as (server, _recorder, _):
        until(lambda: count(server, "POST", "/holds") >= 1)
    tried = next(asked for asked in server.asked if asked.target.endswith("/holds"))
    assert json.loads(tried.body) == {"seats": ["9-A-2"]}
    assert tried.header("Authorization") == "Pass p"
    assert count(server, "DELETE", "/h.1") == 0


def test_a_hold_that_is_granted_is_given_back_at_once() -> None:
    granted = {"hold_id": "h.1", "seats": ["9-A-2"], "ttl_s": 8.0}
    with probing(shop(lambda: said(201, granted)), refused_s=ALWAYS) as (server, recorder, _):
        until(lambda: len(recorder.buffers["operations"].rows) >= 4)
    done = [(row["function"], row["outcome"]) for row in rows(recorder, "operations") if row["function"] != "count"]
    assert done[:3] == [("look", "ok"), ("hold", "ok"), ("release", "ok")]
    assert count(server, "DELETE", "/h.1") >= 1


@pytest.mark.parametrize("window_s", [(0.0, 0.6), (-5.0, 0.2), (3.0, 9.0)])
def test_at_the_edges_of_the_fault_and_outside_it_holds_nothing(window_s: tuple[float, float]) -> None:
    with probing(shop(lambda: said(503, {})), refused_s=(window_s,)) as (server, _, _going):
        until(lambda: count(server, "GET", "/seats") == 2)
    assert count(server, "POST", "/holds") == 0


def test_a_late_payer_pays_for_a_hold_that_is_over_while_the_next_one_has_the_seat() -> None:
    granted = {"hold_id": "h.1", "seats": ["9-A-2"], "ttl_s": 0.2}
    with probing(shop(lambda: said(201, granted)), pays_late=True) as (server, _, _going):
        until(lambda: count(server, "DELETE", "/h.1") == 1)
    asked = [one for one in server.asked if one.method in ("POST", "DELETE") and "/api/" in one.target]
    assert [one.target.rpartition("/")[2] for one in asked] == ["holds", "holds", "orders", "h.1"]
    assert json.loads(asked[2].body)["hold_id"] == "h.1"
    assert asked[2].header("Idempotency-Key")


def test_a_returner_asks_for_as_many_again_after_it_gave_them_back_did_not_pay_and_let_them_run_out() -> None:
    granted = {"hold_id": "h.1", "seats": ["9-A-2"], "ttl_s": 0.2}
    with probing(shop(lambda: said(201, granted)), gives_back=1) as (server, _, _going):
        until(lambda: count(server, "POST", "/holds") == 4)
    passes = [json.loads(asked.body) for asked in server.asked if asked.target == "/admin/passes"]
    assert [asked.get("limit") for asked in passes] == [None, 1]
    asked = [one for one in server.asked if one.method in ("POST", "DELETE") and "/api/" in one.target]
    done = [one.target.rpartition("/")[2] for one in asked]
    assert done[:7] == ["holds", "h.1", "holds", "orders", "h.1", "holds", "holds"]
    assert json.loads(asked[3].body)["card"] == "declined"


def test_a_newcomer_opens_the_feed_anew_at_each_node_in_turn() -> None:
    def script(asked: Asked) -> Iterable[bytes]:
        if not asked.target.startswith(("/one/", "/two/")):
            return shop(lambda: said(503, {}))(asked)
        told = {"type": "snapshot", "at": 1.0, "epoch": "e", "seq": 7, "seats": {"9-A-2": 2}}
        return [accept(asked) + frame(json.dumps(told).encode())]

    with probing(script, comes_anew=True) as (server, recorder, _):
        until(lambda: sum("/feed/" in asked.target for asked in list(server.asked)) == 2)
        until(lambda: len(recorder.buffers["events"].rows) >= 6)
    followed = [asked.target for asked in server.asked if "/feed/" in asked.target]
    assert sorted(followed) == ["/one/feed/game-1", "/two/feed/game-1"]
    seen = [(row["actor"], row["event"], row["seq"]) for row in rows(recorder, "events")]
    assert seen == [
        (f"{PROBE_ACTOR}1-new", event, seq) for event, seq in 2 * (("connect", None), ("snapshot", 7), ("seat", 7))
    ]


def test_without_an_operators_access_there_is_no_probe() -> None:
    with probing(shop(lambda: said(503, {})), admin=False) as (server, _, going):
        going.get(timeout=30)
        assert server.asked == []


@pytest.mark.parametrize(("status", "outcome"), [(404, "fail"), (204, "ok"), (503, "unknown")])
def test_a_stranger_tries_to_end_what_another_holds_and_the_owner_gives_it_back(status: int, outcome: str) -> None:
    held = said(201, {"hold_id": "h.1", "seats": ["9-A-2"], "ttl_s": 60.0, "expires_at": 9e9})
    as_ever = shop(lambda: held)
    deleted: list[Asked] = []

    def script(asked: Asked) -> Iterable[bytes]:
        if asked.target.endswith("/holds") and not asked.header("Authorization"):
            return said(401, {})  # the intruder
        if asked.method == "DELETE":
            deleted.append(asked)
            return [response(b"", status if len(deleted) == 1 else 204)]
        return as_ever(asked)

    with probing(script, meddles=True) as (server, recorder, _):
        until(lambda: count(server, "DELETE", "/h.1") >= 2)
        until(lambda: any(row.function == "release" for row in list(recorder.buffers["operations"].rows)))
    seen = rows(recorder, "operations")
    asked_s = [row["t_invoke_s"] for row in seen if (row["actor"], row["function"]) == ("probe-1-owner", "hold")]
    assert asked_s[1] - asked_s[0] > TOLD_OFF_MAX_S  # asked for again, late enough to see whether it lasts longer
    done = [(row["actor"], row["function"], row["key"], row["outcome"]) for row in seen]
    told = [one for one in done if one[1] in {"probe", "release"} and one[2] != "no pass"][:3]
    assert told == [
        ("probe-1-stranger", "probe", "release of another's hold", outcome),
        ("probe-1-stranger", "probe", "purchase of another's hold", "fail"),
        ("probe-1-owner", "release", "h.1", "ok"),
    ]


@pytest.mark.parametrize(
    ("status", "outcome", "value"),
    [
        (401, "fail", {}),
        (403, "fail", {}),
        (503, "unknown", {}),
        (409, "ok", {"status": 409}),
        (422, "ok", {"status": 422}),
        (201, "ok", {}),
    ],
)
def test_an_intruder_asks_for_a_seat_without_a_pass_all_the_time(
    status: int, outcome: str, value: dict[str, object]
) -> None:
    held = {"hold_id": "h.1", "seats": ["1-A-1"], "ttl_s": 60.0, "expires_at": 9e9}
    as_ever = shop(lambda: said(503, {}))

    def script(asked: Asked) -> Iterable[bytes]:
        without = asked.target.endswith("/holds") and not asked.header("Authorization")
        return said(status, held if status == 201 else {}) if without else as_ever(asked)

    def tries() -> list[dict[str, object]]:
        return [row for row in rows(recorder, "operations") if row["key"] == "no pass"]

    with probing(script, meddles=True) as (server, recorder, _):
        until(lambda: sum(a.target.endswith("/holds") and not a.header("Authorization") for a in server.asked) >= 3)
    found = tries()
    assert {(row["actor"], row["function"], row["outcome"]) for row in found[:2]} == {
        ("probe-1-intruder", "probe", outcome)
    }
    assert json.loads(str(found[0]["value"])) == {"seats": ["1-A-1"], **value}
    assert any(a.method == "DELETE" and not a.header("Authorization") for a in server.asked) == (status == 201)
