"""Checkouts and the operator's endpoints over real HTTP: booking, worker and provider as processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from target.http.tickets import Signer
from tests.target.conftest import Valkey, eventually
from tests.target.postgres_fixture import Truth
from tests.target.processes import ADMIN_TOKEN, EVENT, SECRET, Answer, Server, running
from tests.target.provider_fixture import Provider

BASE = f"/api/events/{EVENT}"
OPERATOR = f"Bearer {ADMIN_TOKEN}"


@dataclass
class Platform:
    booking: Server
    worker: Server

    def fan(self, name: str) -> Fan:
        answer = self.worker.ask("POST", "/admin/passes", {"fan": name}, Authorization=OPERATOR)
        assert answer.status == 201
        return Fan(self.booking, answer.json["pass"])

    def orders(self) -> list[dict[str, object]]:
        answer = self.worker.ask("GET", "/admin/orders", Authorization=OPERATOR)
        return [json.loads(line) for line in answer.body.splitlines()]

    def unrest(self) -> dict[str, int]:
        return dict(self.worker.ask("GET", "/admin/pending", Authorization=OPERATOR).json)


@dataclass
class Fan:
    booking: Server
    admission: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        return self.booking.ask(method, path, body, Authorization=f"Pass {self.admission}", **headers)

    def hold(self, *seats: str) -> str:
        answer = self.ask("POST", f"{BASE}/holds", {"seats": seats})
        assert answer.status == 201, answer.body
        return str(answer.json["hold_id"])

    def pay(self, hold_id: str, key: str, card: str = "ok") -> Answer:
        return self.ask("POST", f"{BASE}/orders", {"hold_id": hold_id, "card": card}, Idempotency_Key=key)


@pytest.fixture
def platform(valkey: Valkey, truth: Truth, provider: Provider) -> Iterator[Platform]:
    settings = {
        "redis_url": valkey.url,
        "primary_dsn": truth.primary_dsn,
        "replica_dsn": truth.replica_dsn,
        "payments_url": provider.url,
        "hold_ttl_s": 60,
    }
    with running("worker", **settings) as worker, running("booking", **settings) as booking:
        eventually(lambda: booking.ask("GET", f"{BASE}/seats").json["source"] == "redis", why="the seats")
        yield Platform(booking, worker)


def test_a_fan_buys_seats_and_finds_the_order_again(platform: Platform, provider: Provider) -> None:
    fan = platform.fan("http-buyer")
    hold_id = fan.hold("104-C-12", "104-C-11")
    paid = fan.pay(hold_id, "k1")
    assert paid.status == 201
    assert paid.json["state"] == "confirmed"
    assert paid.json["seats"] == ["104-C-12", "104-C-11"]
    assert fan.pay(hold_id, "k1").json["order_id"] == paid.json["order_id"]
    found = fan.ask("GET", f"/api/orders/{paid.json['order_id']}")
    assert (found.status, found.json["state"], found.json["stale"]) == (200, "confirmed", False)
    assert found.json["amount_cents"] == paid.json["amount_cents"]
    assert platform.fan("stranger").ask("GET", f"/api/orders/{paid.json['order_id']}").status == 404
    rows = platform.orders()
    assert sorted(str(row["seat"]) for row in rows) == ["104-C-11", "104-C-12"]
    assert {(row["order_id"], row["fan"], row["state"], row["idempotency_key"]) for row in rows} == {
        (paid.json["order_id"], "http-buyer", "confirmed", "k1")
    }
    assert [row.amount_cents for row in provider.ledger() if row.order_id == paid.json["order_id"]] == [
        paid.json["amount_cents"]
    ]
    eventually(lambda: platform.unrest() == {"orders_pending": 0, "holds": 0, "parked": 0}, why="rest")


def test_a_declined_card_is_402_and_the_key_keeps_its_meaning(platform: Platform) -> None:
    fan = platform.fan("http-declined")
    hold_id = fan.hold("101-A-1")
    declined = fan.pay(hold_id, "k1", card="declined")
    assert (declined.status, declined.json["state"]) == (402, "declined")
    assert fan.pay(hold_id, "k1", card="declined").status == 402
    assert fan.pay(hold_id, "k1").status == 422
    assert fan.pay(hold_id, "k2").status == 201


def test_what_cannot_be_paid_is_refused(platform: Platform) -> None:
    fan, other = platform.fan("http-refused"), platform.fan("http-other")
    hold_id = fan.hold("101-A-1")
    assert fan.pay(hold_id, "").status == 422
    assert fan.pay("not-a-hold", "k1").status == 422
    assert fan.pay(hold_id[:-2] + "xx", "k1").status == 422
    assert fan.pay(hold_id, "k1", card="amex").status == 422
    assert other.pay(hold_id, "k1").status == 410
    assert fan.ask("DELETE", f"{BASE}/holds/{hold_id}").status == 204
    assert fan.pay(hold_id, "k1").status == 410
    assert fan.ask("GET", "/api/orders/unknown").status == 404
    assert platform.booking.ask("POST", f"{BASE}/orders", {}).status == 401
    assert platform.orders() == []


def test_the_operators_endpoints_are_for_the_operator(platform: Platform) -> None:
    admission = Signer(SECRET, EVENT).admit("f", "f", admission_no=1, limit=0, entered_s=2e9)[0]
    for authorization in ("", "Bearer wrong", f"Pass {admission}"):
        for method, path in (("GET", "/admin/orders"), ("GET", "/admin/pending"), ("POST", "/admin/passes")):
            assert platform.worker.ask(method, path, Authorization=authorization).status == 401
