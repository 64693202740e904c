"""The pre-queue over real HTTP: what fans and the public are told before the opening and after it."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest

from target.queue.draw import draw_of
from tests.target.conftest import Valkey, eventually, free_port
from tests.target.processes import EVENT, ROOT, SECRET, EventStream, Server, running, starting_takes_s
from tests.target.queue.test_queue_over_http import load_event

QUEUE = f"/api/events/{EVENT}/queue"
DRAW = f"/api/events/{EVENT}/draw"
FANS = [f"fan-{n}" for n in range(12)]


def documented_check() -> str:
    """The recomputation that the target's README shows."""
    readme = (ROOT / "target" / "README.md").read_text()
    (found,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    return textwrap.dedent(found)


@pytest.fixture
def opens_at_s() -> float:
    return time.time() + 600


@pytest.fixture
def gathering(valkey: Valkey, opens_at_s: float, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A booking process of an event that opens later."""
    load_event(valkey)
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
    settings = {"redis_url": valkey.url, "primary_dsn": nowhere, "replica_dsn": nowhere, "opens_at_s": opens_at_s}
    with running("booking", queue_policy=getattr(request, "param", "shuffle"), **settings) as server:
        yield server


def join(booking: Server, fan: str) -> dict[str, Any]:
    return dict(booking.ask("POST", QUEUE, {"fan": fan, "identity": fan}).json)


def test_before_the_opening_only_the_commitment_is_public(gathering: Server, opens_at_s: float) -> None:
    place = join(gathering, "a")
    assert (place["state"], place["position"]) == ("gathering", None)
    assert place["opens_at"] == pytest.approx(opens_at_s, abs=1e-3)
    published = gathering.ask("GET", DRAW).json
    draw = draw_of(SECRET, EVENT, round(opens_at_s * 1e6))
    assert (published["commitment"], published["seed"]) == (draw.commitment, None)
    refused = gathering.ask("GET", f"{DRAW}/entries")
    assert (refused.status, refused.headers["content-type"]) == (425, "application/problem+json")
    assert draw.seed.encode() not in refused.body
    with EventStream(gathering.port, str(place["ticket"])) as stream:
        eventually(lambda: bool(stream.events), why="the first event")
        _, name, told = stream.events[0]
    assert name == "waiting"
    assert told["opens_at"] == pytest.approx(opens_at_s, abs=1e-3)
    assert "position" not in told


@pytest.mark.parametrize("gathering", ["fifo"], indirect=True)
def test_without_a_draw_the_position_is_told_before_the_opening(gathering: Server) -> None:
    assert gathering.ask("GET", DRAW).status == 404
    assert gathering.ask("GET", f"{DRAW}/entries").status == 404
    places = [join(gathering, fan) for fan in "ab"]
    assert [(place["state"], place["position"]) for place in places] == [("gathering", 1), ("gathering", 2)]
    with EventStream(gathering.port, str(places[1]["ticket"])) as stream:
        eventually(lambda: bool(stream.events), why="the first event")
        assert stream.events[0][1:2] == ("waiting",)
        assert (stream.events[0][2]["position"], stream.events[0][2]["epoch"]) == (2, places[1]["epoch"])


@pytest.mark.parametrize("query", ["first=-1", "first=x", "count=0", "count=1001", "first=99999999999", "seed=1"])
def test_bad_queries_are_refused(gathering: Server, query: str) -> None:
    answer = gathering.ask("GET", f"{DRAW}/entries?{query}")
    assert (answer.status, answer.json["status"]) == (422, 422)


@pytest.mark.parametrize("last_event_id", ["0" * 5000, "e:" + "9" * 5000, "²", "-1", "e:", ":"])
def test_a_strange_last_event_id_only_begins_the_count_again(gathering: Server, last_event_id: str) -> None:
    ticket = str(join(gathering, "a")["ticket"])
    with EventStream(gathering.port, ticket, last_event_id=last_event_id) as stream:
        eventually(lambda: bool(stream.events), why="the first event")
        assert stream.events[0][0].endswith(":1")


class TestOpening:
    """An event that opens while fans wait."""

    @pytest.fixture
    def opens_at_s(self, valkey: Valkey) -> float:
        """The process has to be there before: by how long one takes to start on this machine now."""
        nowhere = f"postgresql://127.0.0.1:{free_port()}/none"
        takes_s = starting_takes_s("booking", redis_url=valkey.url, primary_dsn=nowhere, replica_dsn=nowhere)
        return time.time() + 5 + 2 * takes_s

    def test_the_draw_is_what_anyone_recomputes_from_what_is_published(self, gathering: Server) -> None:
        commitment = gathering.ask("GET", DRAW).json["commitment"]
        tickets = {fan: str(join(gathering, fan)["ticket"]) for fan in FANS}
        with EventStream(gathering.port, tickets[FANS[0]]) as stream:
            eventually(lambda: "position" in stream.names(), deadline_s=150, why="the opening")
            opening = stream.names().index("position")
            assert set(stream.names()[:opening]) == {"waiting"}
            first_position = stream.events[opening][2]["position"]
        late = join(gathering, "late")
        assert (late["state"], late["position"], late["opens_at"]) == ("queued", 13, None)

        published = gathering.ask("GET", f"{DRAW}/entries").json
        seed, entries = published["seed"], [one["entry"] for one in published["entries"]]
        assert commitment == sha256(seed.encode()).hexdigest()
        assert set(entries) == {sha256(fan.encode()).hexdigest() for fan in FANS}
        numbers = [int(sha256(f"{seed}:{entry}".encode()).hexdigest()[:13], 16) for entry in entries]
        assert numbers == sorted(numbers) == [one["number"] for one in published["entries"]]
        assert gathering.ask("GET", DRAW).json["seed"] == seed

        check = {"sha256": sha256, "seed": seed, "commitment": commitment, "fans": FANS, "fan": FANS[0]}
        exec(documented_check(), check)
        assert (check["line"], check["place"]) == (entries, first_position)

        told = {fan: gathering.ask("POST", QUEUE, Authorization=f"Queue {tickets[fan]}").json for fan in FANS}
        assert [entries.index(sha256(fan.encode()).hexdigest()) + 1 for fan in FANS] == [
            told[fan]["position"] for fan in FANS
        ]
        assert told[FANS[0]]["position"] == first_position
        pages = [gathering.ask("GET", f"{DRAW}/entries?first={n}&count=5").json["entries"] for n in (0, 5, 10)]
        assert [one["entry"] for page in pages for one in page] == entries
