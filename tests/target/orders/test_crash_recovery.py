"""Booking and worker are killed at random instants while fans pay: every saga ends, and the money fits to the cent."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.processes import ADMIN_TOKEN, EVENT, Answer, Server, running
from tests.target.provider_fixture import Provider, StartProvider
from tests.waiting import wait_until

OPERATOR = f"Bearer {ADMIN_TOKEN}"
FANS = 60
KILLS = 3
CARDS = ("ok", "ok", "ok", "declined", "insufficient_funds")
ENDS = {201, 402, 410}


@dataclass
class Shop:
    """Booking and worker on one set of stores; each may be killed and is then started anew."""

    started: ExitStack
    settings: dict[str, object]
    servers: dict[str, Server] = field(default_factory=dict)

    def start(self, role: str) -> None:
        self.servers[role] = self.started.enter_context(running(role, **self.settings))

    def kill(self, role: str) -> None:
        self.servers[role].process.kill()
        self.servers[role].process.wait(timeout=30)
        self.start(role)

    def ask(self, role: str, method: str, path: str, body: object = None, **headers: str) -> Answer | None:
        """None: nobody answered, which says nothing of what was done."""
        try:
            return self.servers[role].ask(method, path, body, **headers)
        except (OSError, http.client.HTTPException):
            return None

    def at_rest(self) -> bool:
        answer = self.ask("worker", "GET", "/admin/pending", Authorization=OPERATOR)
        return (
            answer is not None and answer.status == 200 and not (answer.json["orders_pending"] + answer.json["parked"])
        )


@dataclass
class Fan(threading.Thread):
    """Pays one hold, with one key, until it has an end."""

    shop: Shop
    number: int
    begins_after_s: float
    told: Answer | None = None
    unanswered: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self._authorization = {"Authorization": f"Pass {self._asked('worker', '/admin/passes', 'pass')}"}
        self._hold_id = self._asked("booking", f"/api/events/{EVENT}/holds", "hold_id")
        self._at_s = time.monotonic() + self.begins_after_s

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        threading.Event().wait(max(0.0, self._at_s - time.monotonic()))
        body = {"hold_id": self._hold_id, "card": CARDS[self.number % len(CARDS)]}
        path = f"/api/events/{EVENT}/orders"
        deadline_s = time.monotonic() + 60
        while time.monotonic() < deadline_s:
            told = self.shop.ask("booking", "POST", path, body, Idempotency_Key="k", **self._authorization)
            if told is not None and told.status in ENDS:
                self.told = told
                return
            assert told is None or told.status in {202, 503}, told
            self.unanswered += told is None
            threading.Event().wait(0.05)

    def _asked(self, role: str, path: str, name: str) -> str:
        body = {"fan": f"fan-{self.number}"} if role == "worker" else {"seats": [f"101-{_seat(self.number)}"]}
        headers = {"Authorization": OPERATOR} if role == "worker" else self._authorization
        answer = self.shop.servers[role].ask("POST", path, body, **headers)
        assert answer.status == 201, answer.body
        return str(answer.json[name])


def _seat(number: int) -> str:
    return f"{'ABCDEFGH'[number // 10]}-{number % 10 + 1}"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("flow", ["sale", "authorise"])
def test_killed_at_random_moments_every_saga_ends_and_the_money_reconciles(
    valkey: Valkey, truth: Truth, start_provider: StartProvider, flow: str, seed: int
) -> None:
    chance = random.Random(seed)
    switches = "charge=capture_then_error,charge_ratio=0.1"
    provider = start_provider(300, payment_switches=switches)
    settings = {
        "redis_url": valkey.url,
        "primary_dsn": truth.primary_dsn,
        "replica_dsn": truth.replica_dsn,
        "payments_url": provider.url,
        "payment_flow": flow,
        "hold_ttl_s": 90,
        "dependency_timeout_s": 3,  # a dead process lets go of its orders after six times as long
        "purchase_limit": 0,
    }
    with ExitStack() as started:
        shop = Shop(started, settings)
        shop.start("worker")
        shop.start("booking")
        wait_until(lambda: _loaded(shop), within_s=60, what="the seats")
        fans = [Fan(shop, number, chance.uniform(0.0, 6.0)) for number in range(FANS)]
        for fan in fans:
            fan.start()
        for number in range(KILLS):
            threading.Event().wait(chance.uniform(0.2, 0.8))
            shop.kill(("booking", "worker")[number % 2])
        for fan in fans:
            fan.join(timeout=70)
        wait_until(shop.at_rest, within_s=60, what="rest")
        _audit(shop, provider, fans)


def _audit(shop: Shop, provider: Provider, fans: list[Fan]) -> None:
    answer = shop.ask("worker", "GET", "/admin/orders", Authorization=OPERATOR)
    assert answer is not None
    rows = [json.loads(line) for line in answer.body.splitlines()]
    states = {row["order_id"]: row["state"] for row in rows}
    assert set(states.values()) <= {"confirmed", "declined"}
    entries = Counter((row.order_id, row.entry) for row in provider.ledger())
    assert {order for order, _ in entries} == set(states)
    for order_id, state in states.items():
        assert entries[order_id, "capture"] == (state == "confirmed")
        assert entries[order_id, "decline"] == (state == "declined")
        assert not entries[order_id, "refund"]
    owners = Counter(row["seat"] for row in rows if row["state"] == "confirmed")
    assert set(owners.values()) == {1}
    assert sum(row["amount_cents"] for row in rows if row["state"] == "confirmed") == sum(
        row.amount_cents for row in provider.ledger() if row.entry == "capture"
    )
    assert any(fan.unanswered for fan in fans)
    for fan in fans:
        assert fan.told is not None, f"fan {fan.number} was never told"
        assert fan.told.json["state"] == states[fan.told.json["order_id"]]
        assert fan.told.status == (201 if CARDS[fan.number % len(CARDS)] == "ok" else 402)


def _loaded(shop: Shop) -> bool:
    answer = shop.ask("booking", "GET", f"/api/events/{EVENT}/seats")
    return answer is not None and answer.status == 200 and answer.json["source"] == "redis"
