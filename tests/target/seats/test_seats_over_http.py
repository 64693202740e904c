"""Venue, map, counts and holds over real HTTP, before, during and after a loss of all data in Valkey."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from target.http.tickets import Signer
from target.seats import load
from tests.target.conftest import Valkey, eventually
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT, SECRET, Answer, EventStream, Server, running
from tests.target.provider_fixture import Provider

BASE = f"/api/events/{EVENT}"
HOLD_TTL_S = 6.0
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Desk:
    """A booking process with its worker."""

    booking: Server
    valkey: Valkey

    def ask(self, method: str, path: str, body: object = None, *, fan: str = "fan", **headers: str) -> Answer:
        given, _ = Signer(SECRET, EVENT).admit(fan, fan, admission_no=1, limit=4, entered_s=time.time())
        return self.booking.ask(method, f"{BASE}{path}", body, Authorization=f"Pass {given}", **headers)

    def hold(self, *seats: str, fan: str = "fan") -> Answer:
        return self.ask("POST", "/holds", {"seats": seats}, fan=fan)

    def states(self, section: str) -> str:
        return str(self.ask("GET", "/seats").json["states"][section])


@pytest.fixture
def desk(mortal_valkey: Valkey, truth: Truth, provider: Provider) -> Iterator[Desk]:
    settings = {
        "redis_url": mortal_valkey.url,
        "primary_dsn": truth.primary_dsn,
        "replica_dsn": truth.replica_dsn,
        "payments_url": provider.url,
        "hold_ttl_s": HOLD_TTL_S,
        "dependency_timeout_s": TIMEOUT_S,
    }
    with running("worker", node="worker", **settings), running("booking", **settings) as booking:
        desk = Desk(booking, mortal_valkey)
        eventually(lambda: not desk.ask("GET", "/seats").json["stale"], why="the event to be loaded")
        yield desk


def test_the_venue_is_cacheable(desk: Desk) -> None:
    venue = desk.ask("GET", "/venue")
    assert (venue.status, venue.json["capacity"]) == (200, load("arena", EVENT).capacity)
    assert "max-age" in venue.headers["cache-control"]
    again = desk.ask("GET", "/venue", If_None_Match=venue.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    weakly = desk.ask("GET", "/venue", If_None_Match=f'"older", W/{venue.headers["etag"]}')
    assert (weakly.status, weakly.headers["etag"]) == (304, venue.headers["etag"])
    assert desk.ask("GET", "/venue", If_None_Match="*").status == 304
    assert desk.ask("GET", "/venue", If_None_Match='"older"').status == 200


def test_a_hold_shows_on_the_map_and_in_the_counts_and_comes_back(desk: Desk) -> None:
    held = desk.hold("101-A-1", "101-A-3")
    assert held.status == 201
    assert held.json["ttl_s"] == HOLD_TTL_S
    eventually(lambda: desk.states("101").startswith("1010"), why="the map to show the hold")
    eventually(lambda: desk.ask("GET", "/sections").json["counts"]["101"] == len(desk.states("101")) - 2)
    taken = desk.hold("101-A-2", "101-A-3", fan="other")
    assert (taken.status, taken.json["seats_taken"]) == (409, ["101-A-3"])
    eventually(lambda: "1" not in desk.states("101"), why="the hold to expire")
    assert time.time() >= held.json["expires_at"]
    assert desk.ask("DELETE", f"/holds/{held.json['hold_id']}").status == 410


def test_a_fan_gives_a_hold_back(desk: Desk) -> None:
    hold_id = desk.hold("101-A-1").json["hold_id"]
    assert desk.ask("DELETE", f"/holds/{hold_id}", fan="other").status == 404
    assert desk.ask("DELETE", f"/holds/{hold_id}").status == 204
    assert desk.hold("101-A-1", fan="other").status == 201


@pytest.mark.parametrize(
    "seats",
    [[], ["999-Z-1"], ["101-A-1", "101-A-1"], [f"101-A-{n}" for n in range(1, 6)], ["101-A-1"] * 17, [7], "101-A-1"],
)
def test_impossible_holds_are_refused(desk: Desk, seats: object) -> None:
    assert desk.ask("POST", "/holds", {"seats": seats}).status == 422
    assert desk.booking.ask("POST", f"{BASE}/holds", {"seats": ["101-A-1"]}).status == 401


def test_sold_seats_survive_the_loss_of_all_data(desk: Desk) -> None:
    sold = desk.hold("101-A-1", "101-A-2").json["hold_id"]
    order = {"hold_id": sold, "card": "ok"}
    paid = desk.ask("POST", "/orders", order, Idempotency_Key=f"k{time.time_ns()}")
    assert paid.json["state"] == "confirmed"
    epoch = desk.ask("GET", "/seats").json["epoch"]

    desk.valkey.kill()
    eventually(lambda: desk.ask("GET", "/seats").json["stale"], why="the replica to serve the map")
    assert desk.states("101").startswith("220")
    refused = desk.hold("101-A-3")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    eventually(lambda: desk.booking.ask("GET", "/status").json["breakers"]["redis"] == "open", why="the breaker")

    desk.valkey.start()
    eventually(lambda: not desk.ask("GET", "/seats").json["stale"], why="the event to be loaded again")
    assert desk.states("101").startswith("220")
    assert desk.ask("GET", "/seats").json["epoch"] != epoch
    eventually(lambda: desk.hold("101-A-3", fan="other").status == 201, why="holds to go on")
    assert desk.hold("101-A-2", fan="third").status == 409


def test_a_hang_opens_the_breaker_and_joins_go_on(desk: Desk) -> None:
    assert desk.valkey.process is not None
    desk.valkey.process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: desk.booking.ask("GET", "/status").json["breakers"]["redis"] == "open", why="the breaker")
        began_s = time.monotonic()
        assert desk.hold("101-A-1").status == 503
        assert desk.ask("GET", "/seats").json["source"] == "orders"
        joined = desk.booking.ask("POST", f"{BASE}/queue", {"fan": "a", "identity": "a"})
        assert (joined.status, joined.json["state"]) == (202, "paused")
        assert time.monotonic() - began_s < 3 * TIMEOUT_S, "without a breaker each would have waited"
    finally:
        desk.valkey.process.send_signal(signal.SIGCONT)
    eventually(lambda: desk.hold("101-A-1").status == 201, why="holds to go on")


def test_a_stop_does_not_wait_for_open_streams(desk: Desk) -> None:
    ticket = Signer(SECRET, EVENT).ticket("a", "a", time.time_ns() // 1000)
    with EventStream(desk.booking.port, ticket) as stream:
        eventually(lambda: bool(stream.events), why="the stream to speak")
        desk.booking.process.terminate()
        assert desk.booking.process.wait(timeout=30) == 0
        eventually(lambda: stream.ended, why="the stream to end")
