"""The entrance over real HTTP: proof of work, devices, tickets bound to them, and the purchase limit behind it all."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest

from target.http.tickets import Signer, Ticket, device_digest
from tests.target.conftest import Valkey, eventually, free_port
from tests.target.processes import EVENT, SECRET, Answer, Server, running
from tests.target.queue.test_entrance import solve
from tests.target.queue.test_queue_over_http import QUEUE, admit, load_event

BASE = f"/api/events/{EVENT}"
BITS = 6
DEVICES_MAX = 3


def booking_on(valkey: Valkey, **settings: object) -> dict[str, object]:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
    asked = {"challenge": "proof_of_work", "challenge_bits": BITS, "joins_per_device": DEVICES_MAX}
    return {"redis_url": valkey.url, "primary_dsn": nowhere, "replica_dsn": nowhere, **asked, **settings}


@pytest.fixture
def booking(mortal_valkey: Valkey) -> Iterator[Server]:
    """A booking process whose entrance is guarded."""
    load_event(mortal_valkey)
    with running("booking", **booking_on(mortal_valkey)) as server:
        yield server


def proof(booking: Server, fan: str) -> str:
    offer = booking.ask("GET", f"{BASE}/challenge").json
    return solve(offer["challenge"], fan, offer["bits"])


def join(booking: Server, fan: str, **headers: str) -> Answer:
    return booking.ask("POST", QUEUE, {"fan": fan, "identity": fan}, **headers)


def ticket_of(booking: Server, fan: str, device: str) -> str:
    answer = join(booking, fan, Challenge=proof(booking, fan), Device=device)
    assert answer.status == 201, answer.body
    return str(answer.json["ticket"])


def test_the_challenge_says_what_to_do_and_may_be_cached(booking: Server) -> None:
    answer = booking.ask("GET", f"{BASE}/challenge")
    assert (answer.status, answer.json["kind"], answer.json["bits"]) == (200, "proof_of_work", BITS)
    assert 60 < answer.json["expires_at"] - time.time() < 300
    assert answer.headers["cache-control"].startswith("public, max-age=")


def test_without_its_proof_a_join_is_refused(booking: Server) -> None:
    others = proof(booking, "b")
    for header in ({}, {"Challenge": "x:1"}, {"Challenge": Signer(SECRET, "e2").challenge(1, 4e9) + ":1"}):
        answer = join(booking, "a", Device="d", **header)
        assert (answer.status, answer.json["title"]) == (403, "the challenge is not solved")
        assert answer.headers["content-type"] == "application/problem+json"
    hashes = 2**BITS
    statuses = {join(booking, f"a{number}", Device=f"d{number}", Challenge=others).status for number in range(4)}
    assert 403 in statuses, f"another's proof does for one fan in {hashes}"
    assert join(booking, "a", Device="d", Challenge=proof(booking, "a")).status == 201


def test_one_device_brings_a_few_fans_and_is_told_when_to_come_back(booking: Server) -> None:
    statuses = [
        join(booking, fan, Challenge=proof(booking, fan), Device="phone").status for fan in ("a", "b", "a", "c", "d")
    ]
    assert statuses == [201, 201, 200, 201, 429]
    refused = join(booking, "d", Challenge=proof(booking, "d"), Device="phone")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert join(booking, "d", Challenge=proof(booking, "d"), Device="tablet").status == 201


def test_a_device_is_named_and_not_longer_than_it_may_be(booking: Server) -> None:
    assert join(booking, "a", Challenge=proof(booking, "a")).status == 403
    assert join(booking, "a", Challenge=proof(booking, "a"), Device="x" * 129).status == 400
    assert join(booking, "a", Challenge=proof(booking, "a"), Device="x" * 128).status == 201


def test_a_ticket_serves_the_device_it_was_given_to_and_no_other(booking: Server, mortal_valkey: Valkey) -> None:
    ticket = ticket_of(booking, "a", "phone")
    admit(mortal_valkey, 1)
    for method, path in (("POST", QUEUE), ("GET", f"{QUEUE}/positions"), ("POST", f"{BASE}/admission")):
        for headers in ({}, {"Device": "other"}):
            answer = booking.ask(method, path, Authorization=f"Queue {ticket}", **headers)
            assert (answer.status, answer.json["detail"]) == (401, "the ticket was given to another device")
    again = booking.ask("POST", QUEUE, Authorization=f"Queue {ticket}", Device="phone")
    assert (again.status, again.json["ticket"]) == (200, ticket)
    entered = booking.ask("POST", f"{BASE}/admission", Authorization=f"Queue {ticket}", Device="phone")
    assert entered.status == 200
    admission = f"Pass {entered.json['pass']}"
    for headers in ({}, {"Device": "other"}):
        answer = booking.ask("POST", f"{BASE}/holds", {"seats": ["101-A-1"]}, Authorization=admission, **headers)
        assert (answer.status, answer.json["detail"]) == (401, "the pass was given to another device")
    held = booking.ask("POST", f"{BASE}/holds", {"seats": ["101-A-1"]}, Authorization=admission, Device="phone")
    assert held.status == 201
    metrics = booking.ask("GET", "/metrics").body.decode()
    assert 'target_bot_checks_total{control="ticket",outcome="refused"} 6.0' in metrics
    assert 'target_bot_checks_total{control="ticket",outcome="passed"} 2.0' in metrics


def test_whoever_knows_a_fans_name_gets_neither_the_place_nor_the_pass(booking: Server, mortal_valkey: Valkey) -> None:
    ticket = ticket_of(booking, "a", "phone")
    stolen = join(booking, "a", Challenge=proof(booking, "a"), Device="thief")
    assert (stolen.status, stolen.json["title"]) == (403, "joined from another device")
    paused = Signer(SECRET, EVENT).ticket("a", "a", time.time_ns() // 1000, device=device_digest("thief"))
    admit(mortal_valkey, 1)
    for path in (QUEUE, f"{BASE}/admission"):
        answer = booking.ask("POST", path, Authorization=f"Queue {paused}", Device="thief")
        assert (answer.status, answer.json["title"]) == (401, "not authorised")
    entered = booking.ask("POST", f"{BASE}/admission", Authorization=f"Queue {ticket}", Device="phone")
    assert entered.status == 200


def test_while_redis_is_away_a_proof_is_still_asked_for_and_devices_go_uncounted(
    booking: Server, mortal_valkey: Valkey
) -> None:
    mortal_valkey.kill()
    eventually(lambda: booking.ask("GET", "/status").json["breakers"]["redis"] == "open", why="the breaker")
    assert join(booking, "a", Device="phone").status == 403
    places = [join(booking, f"f{n}", Challenge=proof(booking, f"f{n}"), Device="phone") for n in range(2 * DEVICES_MAX)]
    assert {place.status for place in places} == {202}
    mortal_valkey.start()
    load_event(mortal_valkey)
    eventually(lambda: booking.ask("GET", "/status").json["breakers"]["redis"] == "closed", why="the breaker")
    given = [f"Queue {place.json['ticket']}" for place in places]
    assert {booking.ask("POST", QUEUE, Authorization=one, Device="tablet").status for one in given} == {401}
    queued = [booking.ask("POST", QUEUE, Authorization=one, Device="phone") for one in given]
    assert [answer.json["position"] for answer in queued] == list(range(1, 2 * DEVICES_MAX + 1))
    metrics = booking.ask("GET", "/metrics").body.decode()
    assert f'target_bot_checks_total{{control="device",outcome="uncounted"}} {2 * DEVICES_MAX}.0' in metrics


def hold(booking: Server, fan: str, identity: str, seats: list[str], *, limit: int) -> int:
    """From a session of its own: every one has a pass of its own, from a device of its own."""
    given, _ = Signer(SECRET, EVENT).admit(fan, identity, admission_no=1, limit=limit, entered_s=time.time())
    return booking.ask("POST", f"{BASE}/holds", {"seats": seats}, Authorization=f"Pass {given}").status


@pytest.mark.parametrize("holds", ["lua", "watch"])
def test_the_purchase_limit_is_the_identitys_over_all_its_sessions(mortal_valkey: Valkey, holds: str) -> None:
    load_event(mortal_valkey)
    with running("booking", **booking_on(mortal_valkey, holds=holds)) as booking:
        assert hold(booking, "s1", "me", ["101-A-1", "101-A-2"], limit=4) == 201
        assert hold(booking, "s2", "me", ["101-A-3"], limit=4) == 201
        assert hold(booking, "s3", "me", ["101-A-4", "101-A-5"], limit=4) == 422
        assert hold(booking, "s4", "me", ["101-A-4"], limit=4) == 201
        assert hold(booking, "s1", "me", ["101-A-5"], limit=4) == 422
        assert hold(booking, "s1", "you", ["101-A-5"], limit=4) == 201


def test_an_identity_is_the_same_however_it_is_spelled(booking: Server) -> None:
    known_as = set()
    for number, identity in enumerate(("ann@example.org", "Ann@Example.ORG", "\uff41nn@example.org")):
        fan = f"f{number}"
        headers = {"Challenge": proof(booking, fan), "Device": fan}
        answer = booking.ask("POST", QUEUE, {"fan": fan, "identity": identity}, **headers)
        known_as.add(Signer(SECRET, EVENT).read(Ticket, answer.json["ticket"]).identity)
    assert known_as == {"ann@example.org"}


def test_without_a_limit_a_pass_is_good_for_any_number(mortal_valkey: Valkey) -> None:
    load_event(mortal_valkey)
    with running("booking", **booking_on(mortal_valkey, purchase_limit=0, challenge="none")) as booking:
        assert booking.ask("GET", f"{BASE}/challenge").json["kind"] == "none"
        fan = secrets.token_hex(4)
        ticket = join(booking, fan, Device="d").json["ticket"]
        admit(mortal_valkey, 1)
        entered = booking.ask("POST", f"{BASE}/admission", Authorization=f"Queue {ticket}", Device="d")
        authority = {"Authorization": f"Pass {entered.json['pass']}", "Device": "d"}
        for row in ("A", "B"):
            seats = [f"101-{row}-{number}" for number in range(1, 9)]
            assert booking.ask("POST", f"{BASE}/holds", {"seats": seats}, **authority).status == 201
