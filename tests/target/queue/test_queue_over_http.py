"""The waiting room over real HTTP: joining, streams that pause and go on, admission, tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from target.http.tickets import Access, Pass, Signer, Ticket
from target.queue import WaitingRoom
from target.queue.access_codes import AccessCodes
from target.seats import Inventory, load
from target.settings import SettingsError
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.conftest import Valkey, eventually, free_port
from tests.target.processes import EVENT, SECRET, Answer, EventStream, Server, running

QUEUE = f"/api/events/{EVENT}/queue"
KEYS = Keys(EVENT)


def load_event(valkey: Valkey) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        await Inventory(redis, KEYS, load("arena", EVENT), hold_ttl_s=60).load()
        await redis.close()

    asyncio.run(main())


def admit(valkey: Valkey, count: int) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        room, left = WaitingRoom(redis, KEYS), count
        while left:
            left -= (await room.admit(rate_per_s=1e6, burst=left)).count
        await redis.close()

    asyncio.run(main())


def pass_over(valkey: Valkey, fan: str) -> None:
    """The fan was last heard of long ago, and admission has gone on since."""

    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        soon_us = time.time_ns() // 1000 + 60_000_000  # no gap, however slow the test is
        await redis.command("ZADD", KEYS.seen, 1, fan)
        await redis.command("HSET", KEYS.admission_bucket, "tokens", 0, "at_us", soon_us, "deaf_us", 1)
        await redis.close()

    asyncio.run(main())


@pytest.fixture
def booking(mortal_valkey: Valkey) -> Iterator[Server]:
    """A booking process on a Valkey of its own, without Postgres."""
    load_event(mortal_valkey)
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
    with running("booking", redis_url=mortal_valkey.url, primary_dsn=nowhere, replica_dsn=nowhere) as server:
        yield server


def join(booking: Server, fan: str) -> dict[str, object]:
    answer = booking.ask("POST", QUEUE, {"fan": fan, "identity": fan})
    assert answer.status in {200, 201, 202}, answer.body
    return dict(answer.json)


def ask_in(booking: Server, ticket: object) -> Answer:
    return booking.ask("POST", f"/api/events/{EVENT}/admission", Authorization=f"Queue {ticket}")


def enter(booking: Server, ticket: object) -> int:
    return ask_in(booking, ticket).status


def test_a_fan_joins_waits_is_admitted_and_enters(booking: Server, mortal_valkey: Valkey) -> None:
    assert b"<!doctype html>" in booking.ask("GET", f"/queue/{EVENT}").body
    first, second = join(booking, "a"), join(booking, "b")
    assert (first["position"], second["position"], second["state"]) == (1, 2, "queued")
    assert booking.ask("POST", QUEUE, {"fan": "a", "identity": "a"}).status == 200
    assert enter(booking, second["ticket"]) == 425
    with EventStream(booking.port, str(second["ticket"])) as stream:
        eventually(lambda: bool(stream.events), why="the first position")
        assert stream.events[0][2]["position"] == 2
        admit(mortal_valkey, 1)
        eventually(lambda: stream.events[-1][2].get("position") == 1, why="the next position")
        admit(mortal_valkey, 1)
        eventually(lambda: stream.ended, why="the end of the stream")
        assert stream.names() == ["position", "position", "admitted"]
    entered = booking.ask("POST", f"/api/events/{EVENT}/admission", Authorization=f"Queue {second['ticket']}")
    assert (entered.status, entered.json["admission_no"]) == (200, 2)
    again = booking.ask("POST", f"/api/events/{EVENT}/admission", Authorization=f"Queue {second['ticket']}")
    assert again.json == entered.json


def test_a_reconnect_keeps_the_place_and_the_count(booking: Server) -> None:
    ticket = str(join(booking, "a")["ticket"])
    with EventStream(booking.port, ticket) as stream:
        eventually(lambda: bool(stream.events), why="the first position")
        last_id, _, first = stream.events[-1]
    with EventStream(booking.port, ticket, last_event_id=last_id) as stream:
        eventually(lambda: bool(stream.events), why="the position again")
        event_id, _, again = stream.events[-1]
    assert (again["position"], again["epoch"]) == (first["position"], first["epoch"])
    assert int(event_id.rpartition(":")[2]) == int(last_id.rpartition(":")[2]) + 1


def test_streams_pause_while_redis_is_away_and_tickets_of_that_time_take_their_place(
    booking: Server, mortal_valkey: Valkey
) -> None:
    before = join(booking, "before")
    with EventStream(booking.port, str(before["ticket"])) as stream:
        eventually(lambda: stream.names() == ["position"], why="the first position")
        mortal_valkey.kill()
        eventually(lambda: stream.names() == ["position", "paused"], why="the pause")
        parked = [join(booking, f"parked-{n}") for n in range(3)]
        assert {place["state"] for place in parked} == {"paused"}
        assert {place["position"] for place in parked} == {None}
        eventually(lambda: booking.ask("GET", "/status").json["breakers"]["redis"] == "open", why="the breaker")
        with EventStream(booking.port, str(parked[2]["ticket"])) as last:
            eventually(lambda: last.names() == ["paused"], why="the pause")
            mortal_valkey.start()
            load_event(mortal_valkey)
            eventually(lambda: last.names()[-1] == "position", why="the place of the parked ticket")
            eventually(lambda: stream.names()[-1] == "position", why="the position again")
            assert not stream.ended
            rejoined = [
                booking.ask("POST", QUEUE, Authorization=f"Queue {place['ticket']}").json["position"]
                for place in parked
            ]
            assert rejoined[:2] == [2, 3]
            eventually(lambda: last.events[-1][2]["position"] == 4, why="the place behind older tickets")
            assert stream.events[-1][2]["position"] == 1


def test_who_was_passed_over_comes_back_to_the_old_place_by_following_the_stream(
    booking: Server, mortal_valkey: Valkey
) -> None:
    tickets = {fan: str(join(booking, fan)["ticket"]) for fan in ("silent", "here", "later")}
    pass_over(mortal_valkey, "silent")
    admit(mortal_valkey, 1)
    assert [enter(booking, tickets[fan]) for fan in ("silent", "here")] == [425, 200]
    with EventStream(booking.port, tickets["later"]) as later, EventStream(booking.port, tickets["silent"]) as back:
        eventually(lambda: bool(back.events), why="the old place")
        assert back.events[-1][2]["position"] == 1
        eventually(lambda: bool(later.events) and later.events[-1][2]["position"] == 2, why="the place behind")
        assert later.events[-1][2]["epoch"] == back.events[-1][2]["epoch"]
        admit(mortal_valkey, 1)
        eventually(lambda: back.ended, why="the end of the stream")
    assert enter(booking, tickets["silent"]) == 200


def test_numbers_that_begin_again_are_of_another_epoch_and_a_lost_admission_gives_the_place_back(
    booking: Server, mortal_valkey: Valkey
) -> None:
    tickets = {fan: join(booking, fan)["ticket"] for fan in ("first", "called", "later")}
    admit(mortal_valkey, 2)
    before = ask_in(booking, tickets["first"])
    assert (before.status, before.json["admission_no"]) == (200, 1)
    mortal_valkey.kill()
    mortal_valkey.start()
    load_event(mortal_valkey)
    eventually(lambda: ask_in(booking, tickets["later"]).status == 425, why="Redis again")
    assert ask_in(booking, tickets["called"]).status == 425
    place = booking.ask("POST", QUEUE, Authorization=f"Queue {tickets['called']}").json
    assert (place["position"], place["state"]) == (1, "queued")
    admit(mortal_valkey, 1)
    after = ask_in(booking, tickets["called"])
    assert (after.status, after.json["admission_no"]) == (200, 1)
    assert after.json["epoch"] != before.json["epoch"]
    assert place["epoch"].startswith(f"{after.json['epoch']}.")


def test_a_declared_need_stays_with_ticket_and_pass_also_while_redis_is_away(
    booking: Server, mortal_valkey: Valkey
) -> None:
    signer = Signer(SECRET, EVENT)
    joins = {fan: {"fan": fan, "identity": fan, "accessible": fan == "needs"} for fan in ("needs", "other")}
    tickets = {fan: booking.ask("POST", QUEUE, body).json["ticket"] for fan, body in joins.items()}
    again = booking.ask("POST", QUEUE, Authorization=f"Queue {tickets['needs']}").json["ticket"]
    admit(mortal_valkey, 2)
    passes = {fan: ask_in(booking, ticket).json["pass"] for fan, ticket in tickets.items()}
    mortal_valkey.kill()
    paused = booking.ask("POST", QUEUE, joins["needs"]).json["ticket"]
    declared = [signer.read(Ticket, ticket).access for ticket in (tickets["needs"], again, paused)]
    assert declared == [Access.DECLARED] * 3
    assert signer.read(Pass, passes["needs"]).access is Access.DECLARED
    assert signer.read(Pass, passes["other"]).access is Access.NONE


@pytest.mark.parametrize("path", [QUEUE, f"{QUEUE}/positions", f"/api/events/{EVENT}/admission"])
def test_bad_tickets_are_refused(booking: Server, path: str) -> None:
    good = str(join(booking, "a")["ticket"])
    other_event = Signer(SECRET, "e2").ticket("a", "a", 1_700_000_000_000_000)
    other_kind, _ = Signer(SECRET, EVENT).admit("a", "a", admission_no=1, limit=4, entered_s=4e9)
    expired = Signer(SECRET, EVENT).ticket("a", "a", 1_000_000)
    tampered = good[:10] + ("A" if good[10] != "A" else "B") + good[11:]
    method = "GET" if path.endswith("positions") else "POST"
    for bad in (tampered, good[:-4], "", "nonsense", "ü", other_event, other_kind, expired):
        answer = booking.ask(method, path, Authorization=f"Queue {bad}".encode().decode("latin-1"))
        assert answer.status == 401, bad
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"fan": "a"}, 422),
        ({"fan": "", "identity": "a"}, 422),
        ({"fan": "a", "identity": "a", "vip": True}, 422),
        (b'{"fan": "' + b"a" * 20_000 + b'"}', 413),
    ],
)
def test_bad_bodies_are_refused(booking: Server, body: object, status: int) -> None:
    answer = booking.ask("POST", QUEUE, body)
    assert answer.status == status
    assert answer.json["status"] == status
    assert booking.ask("GET", "/nothing/here").headers["content-type"] == "application/problem+json"


def test_an_access_code_is_asked_for_and_lets_one_fan_in(mortal_valkey: Valkey, tmp_path: Path) -> None:
    load_event(mortal_valkey)
    (tmp_path / "codes").write_text("ONE-1\nTWO-2\n")
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"

    with running(
        "booking", redis_url=mortal_valkey.url, primary_dsn=nowhere, replica_dsn=nowhere, codes=tmp_path / "codes"
    ) as booking:

        def shows(fan: str, **code: str) -> Answer:
            return booking.ask("POST", QUEUE, {"fan": fan, "identity": fan}, **code)

        assert [shows("a").status, shows("a", **{"Access-Code": "NONE"}).status] == [403, 403]
        first = shows("a", **{"Access-Code": "one-1"})
        assert (first.status, first.json["position"]) == (201, 1)
        assert [shows(fan, **{"Access-Code": "ONE-1"}).status for fan in ("b", "a")] == [409, 200]
        mortal_valkey.kill()
        parked = [shows(fan, **{"Access-Code": "TWO-2"}) for fan in ("c", "d")]
        assert [place.status for place in parked] == [202, 202]
        mortal_valkey.start()
        load_event(mortal_valkey)
        with EventStream(booking.port, str(parked[0].json["ticket"])) as stream:
            eventually(lambda: "position" in stream.names(), why="the place of the first")
        with EventStream(booking.port, str(parked[1].json["ticket"])) as stream:
            eventually(lambda: stream.ended, why="the end of the other's stream")
            assert stream.names()[-1] == "refused"


def test_a_file_of_codes_that_cannot_be_used_ends_the_process_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "codes").write_text("\n")
    with pytest.raises(SettingsError, match="it has no codes"):
        AccessCodes.of_file(str(tmp_path / "codes"))
    with pytest.raises(SettingsError, match="TARGET_CODES"):
        AccessCodes.of_file(str(tmp_path / "none"))
