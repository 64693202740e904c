"""A locustfile that knows nothing of gatecrash in a rehearsal of the little shop: barrier, rows, a fault, no audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.processes.ports import HOST, free_ports
from harness.record.verdict import UNAUDITED, Decision, Status, Verdict
from tests.e2e import rehearsals
from tests.e2e.rehearsals import Rehearsed
from tests.target.little_shop import shops

pytestmark = pytest.mark.e2e
FANS = 30
LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, between, task

class Looker(HttpUser):
    weight = 2
    wait_time = between(0.2, 0.5)

    @task
    def look(self):
        self.client.get("/", name="front page")

class Hurried(FastHttpUser):
    wait_time = between(0.2, 0.5)

    def on_start(self):
        self.client.get("/", name="arrive")

    @task
    def basket(self):
        self.client.get("/basket", name="basket")
"""


def scenario(folder: Path, url: str, edge: int, upstream: int) -> Path:
    (folder / "locustfile.py").write_text(LOCUSTFILE)
    document = {
        "name": "ours",
        "description": "The users of a locustfile, and a fault on the way to the shop.",
        "duration_s": 26,
        "audit": "none",
        "load": {"fans": FANS},
        "journeys": {"locustfile": "locustfile.py"},
        "platform": {
            "url": url,
            "edges": {
                "front": {
                    "listen": f"{HOST}:{edge}",
                    "upstream": f"{HOST}:{upstream}",
                    "probe": "http",
                    "path": "/healthz",
                }
            },
        },
        "faults": [{"experiment": "cut", "edge": "front", "start_s": 8, "length_s": 3}],
        "objectives": {
            "error_ratio": {"target": 0.4, "worst": 0.8},
            "request_response_p99_ms": {"target": 5000, "worst": 20000},
        },
    }
    file = folder / "ours.yaml"
    file.write_text(json.dumps(document))
    return file


@pytest.fixture(scope="module")
def rehearsed(room: Path) -> Iterator[Rehearsed]:
    web, edge = free_ports(2)
    with shops.running("target.little_shop", "--base-path", "/onsale", "--queue", "none", port=web):
        file = scenario(room, f"http://{HOST}:{edge}/onsale", edge, web)
        yield rehearsals.rehearse(room, str(file))


@pytest.fixture(scope="module")
def verdict(rehearsed: Rehearsed) -> Verdict:
    return rehearsals.verdict(rehearsed.run)


def test_every_request_event_is_a_row_of_the_user_who_sent_it(rehearsed: Rehearsed) -> None:
    requests = pq.read_table(rehearsed.run / "requests.parquet").to_pandas()
    assert set(requests["kind"]) == {"locust"}
    assert set(requests["step"]) == {"front page", "arrive", "basket"}
    assert set(requests["user"]) == set(range(FANS))
    load = rehearsals.document(rehearsed.run).load
    assert load is not None
    assert load.requests_sent == load.samples_recorded == len(requests)


def test_nobody_sends_before_the_release_and_all_are_let_go(rehearsed: Rehearsed, verdict: Verdict) -> None:
    requests = pq.read_table(rehearsed.run / "requests.parquet").to_pandas()
    assert requests["t_start_s"].min() >= 0.0
    assert verdict.load is not None
    assert verdict.load.users_released == FANS


def test_the_fault_is_proven_and_its_expectations_are_told_from_requests(verdict: Verdict) -> None:
    (fault,) = verdict.faults
    assert fault.proven, fault.error
    assert {one.status for one in fault.expectations} == {"met"}


def test_the_verdict_is_of_what_was_seen_and_says_everywhere_that_nothing_was_audited(
    rehearsed: Rehearsed, verdict: Verdict
) -> None:
    assert (verdict.verdict, verdict.grade) == (Decision.READY, "B"), verdict.reason
    assert rehearsed.done.returncode == 0
    assert {result.status for result in verdict.invariants} == {Status.NOT_OBSERVABLE}
    assert verdict.unaudited == UNAUDITED
    assert UNAUDITED in rehearsed.done.stdout
    for report in ("report.md", "report.html"):
        assert UNAUDITED in (rehearsed.run / report).read_text(encoding="utf-8")


def test_a_locustfile_whose_tasks_raise_gets_no_verdict(tmp_path: Path) -> None:
    file = tmp_path / "raises.py"
    file.write_text(LOCUSTFILE + "\n    @task\n    def wrong(self):\n        self.client.get('/').json()['id']\n")
    ours = scenario(tmp_path, "http://127.0.0.1:1/onsale", *free_ports(2))
    with shops.running("target.little_shop", "--base-path", "/onsale", "--queue", "none") as url:
        short = ["--set", "duration_s=3", "--no-chaos", "--set", "platform.edges={}"]
        options = [*short, "--stack", url, "--locustfile", str(file)]
        done = rehearsals.rehearse(tmp_path, str(ours), *options).done
    assert done.returncode == 3, done.stdout
    assert "journeys crashed: JSONDecodeError" in done.stdout
    assert "raises.py:" in done.stdout
