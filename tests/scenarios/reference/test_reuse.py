"""The used key: which orders are tried, and what each answer of the platform is in the history."""

from __future__ import annotations

import json

import pytest

from harness.platform import FinalOrder
from harness.stack import Addresses
from harness.swarm.client.http import HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.api import card_of
from scenarios.reference.reuse import STRANGER, TRIES, reuse_key, reused_orders
from tests.harness.swarm.scripted_server import CLOSE, Asked, response, serving
from tests.scenarios.reference.test_platform import FAN, Said, document

BASE = "/api/events/game-1"


def order(number: int, fan: str, state: str = "confirmed") -> FinalOrder:
    return FinalOrder(
        order_id=f"o{number}", fan=fan, seat=f"A-{number}", state=state, amount_cents=1, idempotency_key=f"k{number}"
    )


def test_one_order_each_of_the_fans_with_the_fewest_seats_is_tried() -> None:
    orders = [order(n, "greedy") for n in range(4)] + [order(9, "declined", "declined")]
    orders += [order(10 + n, f"fan-{n}") for n in range(TRIES)]
    assert [one.fan for one in reused_orders(orders)] == [f"fan-{n}" for n in range(TRIES)]
    assert [one.fan for one in reused_orders(orders[:5])] == ["greedy"]
    assert reused_orders([]) == ()


@pytest.mark.parametrize(
    ("said", "outcome", "answered"),
    [
        (document(422, title="the key was used"), "fail", {}),
        (document(201, order_id="o7", state="confirmed", seats=["B-2"]), "ok",
         {"answered_id": "o7", "answered_seats": ["B-2"]}),
        ([CLOSE], "unknown", {}),
        (document(500, title="no"), "unknown", {}),
    ],
)  # fmt: skip
def test_the_answer_is_an_operation_and_the_seat_goes_back(
    said: Said, outcome: str, answered: dict[str, object]
) -> None:
    asked_for: list[str] = []

    def script(asked: Asked) -> Said:
        asked_for.append(f"{asked.method} {asked.target}")
        if asked.target.endswith("/holds"):
            return document(201, hold_id="h7", seats=["B-2"], ttl_s=4.0)
        return said if asked.target.endswith("/orders") else [response(b"", 204)]

    with serving(script) as server:
        recorder = Recorder(1)
        client = HttpClient(resolve(Addresses(booking=server.url, feeds=(), event="e").booking), recorder, FAN)
        reuse_key(client, recorder, BASE, order(1, "fan-1"), "B-2", lambda fan: f"Authorization: {fan}\r\n".encode())
        client.close()
    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    (row,) = batches["operations"].to_pylist()
    assert [sent["op"] for sent in batches["requests"].to_pylist()] == [None, row["op"], row["op"]]
    assert (row["function"], row["actor"], row["key"], row["outcome"]) == ("reuse", "fan-1", "k1", outcome)
    assert json.loads(row["value"]) == {"order_id": "o1", "seats": ["B-2"], **answered}
    assert asked_for[-1] == f"DELETE {BASE}/holds/h7"


@pytest.mark.parametrize(
    ("fan", "said", "read"), [("", "confirmed", None), (STRANGER, "confirmed", "confirmed"), (STRANGER, "", None)]
)
def test_a_stranger_asks_for_the_order_too(fan: str, said: str, read: str | None) -> None:
    def script(asked: Asked) -> Said:
        if asked.target == "/api/orders/o1":
            shown = {"order_id": "o1", "state": said, "seats": ["A-1"], "amount_cents": 1, "stale": False}
            return document(200, **shown) if said else document(404, title="no such order")
        held = asked.target.endswith("/holds")
        return document(201, hold_id="h7", seats=["B-2"], ttl_s=4.0) if held else document(422, title="it was used")

    with serving(script) as server:
        recorder = Recorder(1)
        client = HttpClient(resolve(Addresses(booking=server.url, feeds=(), event="e").booking), recorder, FAN)
        reuse_key(client, recorder, BASE, order(1, "fan-1"), "B-2", lambda of: f"Authorization: {of}\r\n".encode(), fan)
        client.close()
    (row,) = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert json.loads(row["value"]).get("read") == read
    looks = [asked for asked in server.asked if asked.target == "/api/orders/o1"]
    assert [asked.header("authorization") for asked in looks] == ([STRANGER] if fan else [])


@pytest.mark.parametrize(("fan", "shown", "card"), [("", "fan-1", card_of("fan-1")), (STRANGER, STRANGER, "declined")])
def test_a_stranger_buys_nothing_with_the_key(fan: str, shown: str, card: str) -> None:
    def script(asked: Asked) -> Said:
        held = asked.target.endswith("/holds")
        return document(201, hold_id="h7", seats=["B-2"], ttl_s=4.0) if held else document(422, title="it was used")

    with serving(script) as server:
        recorder = Recorder(1)
        client = HttpClient(resolve(Addresses(booking=server.url, feeds=(), event="e").booking), recorder, FAN)
        passes = lambda of: f"Authorization: {of}\r\n".encode()  # noqa: E731
        reuse_key(client, recorder, BASE, order(1, "fan-1"), "B-2", passes, fan)
        client.close()
    (row,) = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert (row["actor"], row["key"], row["outcome"], row["error"]) == (shown, "k1", "fail", "used")
    paid = next(asked for asked in server.asked if asked.target.endswith("/orders"))
    assert (paid.header("authorization"), json.loads(paid.body)["card"]) == (shown, card)
