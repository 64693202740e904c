"""The worker's admission as real processes: the opening of a draw, in both modes, and what its metrics say."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import ExitStack

import pytest

from target.http.tickets import Signer
from target.queue import WaitingRoom, rules_of
from target.queue.draw import entry_of
from target.queue.waiting_room import JoinState
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.admission_line import every_mode
from tests.target.conftest import Valkey, eventually
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT, SECRET, EventStream, Server, running
from tests.target.queue.test_queue_over_http import load_event

BASE = f"/api/events/{EVENT}"
FANS = [f"fan-{n}" for n in range(6)]


def metric(worker: Server, name: str) -> float:
    text = worker.ask("GET", "/metrics").body.decode()
    found = re.search(rf'^{name}{{event="{EVENT}"}} (\S+)$', text, re.MULTILINE)
    assert found, f"{name} is not there"
    return float(found[1])


@every_mode
@pytest.mark.parametrize("queue_policy", ["fifo", "shuffle"])
def test_an_event_opens_and_lets_fans_in_by_its_policy(
    valkey: Valkey, truth: Truth, queue_policy: str, mode: str
) -> None:
    settings = {
        "redis_url": valkey.url,
        "primary_dsn": truth.primary_dsn,
        "replica_dsn": truth.replica_dsn,
        "queue_policy": queue_policy,
        "opens_at_s": time.time() + 5,
        "admission": mode,
        "admission_rate_per_s": 4,
        "admission_ceiling_per_s": 10,
        "admission_burst": 1,
    }
    load_event(valkey)
    tickets = asyncio.run(gather(valkey, Settings(secret=SECRET, event=EVENT, **settings)))
    with ExitStack() as stack:
        worker = stack.enter_context(running("worker", **settings))
        booking = stack.enter_context(running("booking", **settings))
        streams = {fan: stack.enter_context(EventStream(booking.port, tickets[fan])) for fan in FANS}
        for stream in streams.values():
            eventually(lambda stream=stream: stream.ended, deadline_s=60, why="everybody's admission")
            assert stream.names()[-1] == "admitted"
        numbers = {fan: enter(booking, ticket) for fan, ticket in tickets.items()}
        assert sorted(numbers.values()) == list(range(1, 7))
        line = sorted(FANS, key=numbers.__getitem__)
        assert line == (FANS if queue_policy == "fifo" else drawn(booking))
        assert 4 <= metric(worker, "target_admission_rate_per_s") <= 10
        assert metric(worker, "target_queue_depth") == 0
        assert metric(worker, "target_abandoned_places_total") == 0
        assert metric(worker, "target_no_shows_total") == 0
        assert metric(worker, "target_conflict_ratio") == 0


async def gather(valkey: Valkey, settings: Settings) -> dict[str, str]:
    """Everybody joins before the opening, which may be past when the processes are there. Returns the tickets."""
    redis = RedisStore(valkey.url, timeout_s=30.0)
    room, signer = WaitingRoom(redis, Keys(EVENT), rules_of(settings)), Signer(SECRET, EVENT)
    places = {fan: await room.join(fan, fan) for fan in FANS}
    await redis.close()
    assert {place.state for place in places.values()} == {JoinState.GATHERING}
    return {fan: signer.ticket(fan, fan, place.joined_us) for fan, place in places.items()}


def enter(booking: Server, ticket: str) -> int:
    return int(booking.ask("POST", f"{BASE}/admission", Authorization=f"Queue {ticket}").json["admission_no"])


def drawn(booking: Server) -> list[str]:
    """The fans in the order of the published lots."""
    entries = [one["entry"] for one in booking.ask("GET", f"{BASE}/draw/entries").json["entries"]]
    return sorted(FANS, key=lambda fan: entries.index(entry_of(fan)))
