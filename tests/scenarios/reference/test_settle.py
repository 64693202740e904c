"""What the operator does at rest, and what the history says of it. A real server gives the answers."""

from __future__ import annotations

import json

from harness.platform import AckedOrder
from harness.stack import Addresses
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.settle import Operator
from tests.harness.swarm.scripted_server import Asked, serving
from tests.scenarios.reference.test_platform import Said, document


def test_every_acknowledged_order_is_looked_up_in_its_fans_name_until_the_answer_is_definite() -> None:
    turned_away: set[str] = set()

    def script(asked: Asked) -> Said:
        if asked.target == "/admin/passes":
            return document(201, **{"pass": f"of {json.loads(asked.body)['fan']}"})
        if asked.target == "/admin/pending":
            return document(200, orders_pending=0, holds=0, parked=0)
        if asked.target == "/api/orders/there" and asked.header("authorization") == "Pass of fan-1":
            if asked.target not in turned_away:
                turned_away.add(asked.target)
                return document(503)
            return document(200, order_id="there", state="confirmed", seats=["s"], amount_cents=7)
        return document(404)

    recorder = Recorder(1)
    with serving(script) as server:
        addresses = Addresses(booking=server.url, feeds=(), event="e", admin=server.url, admin_token="t")
        acked = [AckedOrder(order_id=name, actor=f"fan-{n}", identity="i") for n, name in enumerate(("gone", "there"))]
        Operator(addresses, recorder).read(acked, 0.0)
    rows = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    looks = [(row["key"], row["outcome"], row["error"]) for row in rows if row["function"] == "order"]
    assert sorted(looks) == [("gone", "fail", "missing"), ("there", "fail", "status"), ("there", "ok", "")]


def test_a_used_key_that_was_taken_in_to_be_looked_at_later_is_unrest() -> None:
    """The database is stopped: the platform parks the payment, and nobody can say yet what comes of it."""
    parked: list[str] = []

    def script(asked: Asked) -> Said:
        match asked.method, asked.target:
            case _, "/admin/passes":
                return document(201, **{"pass": "p"})
            case _, "/admin/pending":
                return document(200, orders_pending=0, holds=0, parked=len(parked))
            case _, "/admin/orders":
                order = {"order_id": "o1", "fan": "fan-1", "seat": "1-A-1", "state": "confirmed"}
                return document(200, **order, amount_cents=7, idempotency_key="k1")
            case _, "/api/events/e/venue":
                layout = [{"id": "1", "rows": [{"id": "A", "seats": 2, "price": "p"}]}]
                return document(200, capacity=2, prices_cents={"p": 7}, sections=layout)
            case _, "/api/events/e/seats":
                return document(200, epoch="e1", seq=1, stale=False, states={"1": "20"})
            case "POST", "/api/events/e/holds":
                return document(201, hold_id="h", seats=["1-A-2"], ttl_s=4.0)
            case "POST", "/api/events/e/orders":
                parked.append(asked.header("idempotency-key"))
                return document(202, order_id="o1", state="pending", seats=["1-A-2"])
        return document(404)

    with serving(script) as server:
        addresses = Addresses(booking=server.url, feeds=(), event="e", admin=server.url, admin_token="t")
        reads = Operator(addresses, Recorder(1)).read([], 0.0)
    assert parked == ["k1"]
    assert not reads.at_rest
    assert "parked=1" in reads.notes[-1]
