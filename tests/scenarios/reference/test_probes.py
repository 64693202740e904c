"""What the prober tries, and what the history says of it. A real server gives the answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from harness.stack import Addresses
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.probes import Prober
from target.http.tickets import Signer
from tests.harness.swarm.scripted_server import Asked, response, serving

SIGNER = Signer("secret", "game-1")
TICKET = SIGNER.ticket("prober", "prober", 4_000_000_000_000_000, device="d")
PASS, _ = SIGNER.admit("prober", "prober", admission_no=7, limit=4, entered_s=4_000_000_000.0)
EXPIRED, _ = SIGNER.admit("prober", "prober", admission_no=0, limit=4, entered_s=1_000.0)
ELSEWHERE, _ = SIGNER.of_event("game-2").admit("prober", "prober", admission_no=0, limit=4, entered_s=4_000_000_000.0)
WAYS = [
    "no pass",
    "expired pass",
    "pass of another event",
    "ticket for a pass",
    "tampered ticket",
    "tampered pass",
    "shared pass",
    "shared ticket",
]
Said = list[bytes]


def document(status: int, **fields: object) -> Said:
    return [response(json.dumps(fields).encode(), status)]


def trusting(asked: Asked) -> Said:
    """Lets everybody through."""
    if asked.target.endswith("/challenge"):
        return document(200, kind="proof_of_work", challenge="c", bits=4)
    if asked.target.endswith("/queue"):
        return document(201, ticket=TICKET, position=1, epoch="e")
    if asked.target.endswith("/admission"):
        return document(200, **{"pass": PASS, "admission_no": 7})
    if asked.target.endswith("/holds"):
        return document(201, hold_id="h.1", seats=["101-A-1"], ttl_s=8.0)
    return [response(b"", 204)]


def careful(asked: Asked) -> Said:
    """Lets only the prober's own ticket and pass through, and only from the prober's own device."""
    authority, own = asked.header("authorization"), asked.header("device") == "prober-device"
    honest = authority in ("", f"Queue {TICKET}") and own
    if asked.target.endswith("/challenge") or (honest and not asked.target.endswith("/holds")):
        return trusting(asked)
    return document(401, title="no")


def tried(script: Callable[[Asked], Said], status: int | None = None) -> tuple[dict[str, str], list[Asked]]:
    """How each way ended. `status`: what the history says besides of those that got in."""
    recorder = Recorder(1)
    with serving(script) as server:
        addresses = Addresses(booking=server.url, feeds=(), event="game-1")
        Prober(resolve(server.url), addresses, recorder, "101-A-1", expired=EXPIRED, elsewhere=ELSEWHERE).run()
    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    rows = batches["operations"].to_pylist()
    assert {sent["op"] for sent in batches["requests"].to_pylist()} - {None} == {row["op"] for row in rows}
    for row in rows:
        besides = {"status": status} if status and row["outcome"] == "ok" else {}
        assert (row["function"], json.loads(row["value"])) == ("probe", {"seats": ["101-A-1"], **besides})
    return {row["key"]: row["outcome"] for row in rows}, server.asked


def test_a_careful_platform_turns_every_way_down() -> None:
    outcomes, asked = tried(careful)
    assert outcomes == dict.fromkeys(WAYS, "fail")
    assert not [one for one in asked if one.method == "DELETE"]


def test_a_trusting_platform_lets_every_way_through_and_gets_its_seats_back() -> None:
    outcomes, asked = tried(trusting)
    assert outcomes == dict.fromkeys(WAYS, "ok")
    assert len([one for one in asked if one.method == "DELETE"]) == len(WAYS)


@pytest.mark.parametrize(("status", "outcome"), [(409, "ok"), (422, "ok"), (503, "unknown"), (500, "unknown")])
def test_an_answer_about_the_seats_shows_that_the_try_got_in_and_no_answer_shows_nothing(
    status: int, outcome: str
) -> None:
    """The seat may be taken: what counts is who is turned away at the entrance."""

    def sold_out(asked: Asked) -> Said:
        return document(status, title="no") if asked.target.endswith("/holds") else careful(asked)

    outcomes, _ = tried(sold_out, status)
    assert outcomes["no pass"] == outcomes["tampered pass"] == outcomes["expired pass"] == outcome
    assert outcomes["shared ticket"] == "fail"


def test_without_a_ticket_only_the_first_way_is_tried() -> None:
    outcomes, _ = tried(lambda _: document(401, title="no"))
    assert outcomes == {"no pass": "fail", "expired pass": "fail", "pass of another event": "fail"}
