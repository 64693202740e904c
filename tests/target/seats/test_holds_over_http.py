"""Holds over real HTTP, as fans ask for them who do not always hear the answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from target.http.tickets import Access, Signer
from tests.target.conftest import Valkey, eventually, free_port
from tests.target.processes import EVENT, SECRET, Answer, Server, running
from tests.target.queue.test_queue_over_http import load_event

HOLDS = f"/api/events/{EVENT}/holds"
LIMIT = 4


@pytest.fixture(params=["lua", "watch"])
def booking(request: pytest.FixtureRequest, mortal_valkey: Valkey) -> Iterator[Server]:
    """A booking process of either backend, without Postgres."""
    load_event(mortal_valkey)
    with running("booking", holds=request.param, **stores_on(mortal_valkey)) as server:
        yield server


def stores_on(valkey: Valkey) -> dict[str, str]:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
    return {"redis_url": valkey.url, "primary_dsn": nowhere, "replica_dsn": nowhere}


def pass_of(fan: str, access: Access = Access.NONE) -> str:
    signer = Signer(SECRET, EVENT)
    given, _ = signer.admit(fan, fan, admission_no=1, limit=LIMIT, entered_s=time.time(), access=access)
    return f"Pass {given}"


def hold(booking: Server, *seats: str, fan: str = "fan", access: Access = Access.NONE) -> Answer:
    return booking.ask("POST", HOLDS, {"seats": seats}, Authorization=pass_of(fan, access))


def release(booking: Server, hold_id: str, fan: str = "fan") -> int:
    return booking.ask("DELETE", f"{HOLDS}/{hold_id}", Authorization=pass_of(fan)).status


def test_a_fan_who_did_not_hear_of_a_hold_asks_again_and_has_it(booking: Server) -> None:
    first = hold(booking, "101-A-1", "101-A-2", "101-A-3")
    again = hold(booking, "101-A-2", "101-A-1", "101-A-3")
    assert (first.status, again.status) == (201, 201)
    assert (again.json["hold_id"], again.json["expires_at"]) == (first.json["hold_id"], first.json["expires_at"])
    assert again.json["ttl_s"] <= first.json["ttl_s"]
    full = hold(booking, "101-B-1", "101-B-2", "101-B-3", "101-B-4", fan="greedy")
    assert hold(booking, *full.json["seats"], fan="greedy").json["hold_id"] == full.json["hold_id"]


def test_a_hold_whose_time_is_over_is_not_granted_again(mortal_valkey: Valkey) -> None:
    """As after an outage of Redis: no reconciler has ended it yet."""
    load_event(mortal_valkey)
    with running("booking", hold_ttl_s=0.3, **stores_on(mortal_valkey)) as booking:
        first = hold(booking, "101-A-1")
        eventually(lambda: time.time() > first.json["expires_at"], why="the hold's time to be over")
        again = hold(booking, "101-A-1")
    assert (first.status, again.status, again.json["seats_taken"]) == (201, 409, ["101-A-1"])


def test_only_the_same_seats_for_the_same_fan_are_the_same_hold(booking: Server) -> None:
    assert hold(booking, "101-A-1", "101-A-2").status == 201
    for other in (hold(booking, "101-A-1"), hold(booking, "101-A-1", "101-A-4"), hold(booking, "101-A-1", fan="rival")):
        assert (other.status, other.json["seats_taken"]) == (409, ["101-A-1"])
    rival = hold(booking, "101-A-1", "101-A-2", fan="rival")
    assert (rival.status, rival.json["seats_taken"]) == (409, ["101-A-1", "101-A-2"])
    assert hold(booking, "101-A-1", "101-A-4", "101-A-5").status == 422, "with those that are held it is too many"


def test_a_hold_that_redis_has_lost_with_its_data_can_be_given_back(booking: Server, mortal_valkey: Valkey) -> None:
    hold_id = hold(booking, "101-A-1").json["hold_id"]
    mortal_valkey.empty()
    load_event(mortal_valkey)
    assert release(booking, hold_id, fan="rival") == 404
    assert release(booking, f"{hold_id[:-8]}{'AB'[hold_id[-8] == 'A']}{hold_id[-7:]}") == 404
    assert release(booking, hold_id) == 204
    given_back = hold(booking, "101-A-1").json["hold_id"]
    assert [release(booking, given_back), release(booking, given_back)] == [204, 410]


def test_accessible_seats_are_shown_to_all_and_granted_for_a_declared_need(mortal_valkey: Valkey) -> None:
    load_event(mortal_valkey)
    with running("booking", accessible_pairs=1, **stores_on(mortal_valkey)) as booking:
        last = booking.ask("GET", f"/api/events/{EVENT}/venue").json["sections"][0]["rows"][-1]
        place, companion = (f"101-{last['id']}-{number}" for number in last["accessible"][0])
        for asked in ((place, companion), (companion,), ("101-A-1", place)):
            refused = hold(booking, *asked)
            assert (refused.status, refused.json["title"]) == (422, "kept for those who need it")
            assert refused.json["seats_withheld"] == [seat for seat in asked if seat != "101-A-1"]
        assert hold(booking, companion, access=Access.DECLARED).json["seats_withheld"] == [companion]
        assert hold(booking, place, companion, access=Access.DECLARED).status == 201
        assert hold(booking, place, companion, fan="rival", access=Access.DECLARED).status == 409
