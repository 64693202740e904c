"""Requests per second on one core: the lean client with recording on, against Locust's FastHttpUser.

`python -m tests.bench.client`. Both run as Locust users under Locust's own runner and statistics, against the same
server; both counts are Locust's. The lean side also writes every request as a row, batched once a second as in a run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, time

from tests.bench import rounds, server

USERS = 50
WARM_UP_S = 1.0
MEASURE_S = 4.0
ROUNDS = 5


def measure(user_class: type) -> dict[str, float]:
    import gevent
    import locust
    from locust.env import Environment

    environment = Environment(user_classes=[user_class], events=locust.events)
    runner = environment.create_local_runner()
    runner.start(USERS, spawn_rate=USERS)
    gevent.sleep(WARM_UP_S)
    before = environment.stats.total.num_requests
    gevent.sleep(MEASURE_S)
    done = environment.stats.total.num_requests - before
    failed = environment.stats.total.num_failures
    runner.quit()
    return {"requests_per_s": round(done / MEASURE_S), "failures": failed}


def fast(url: str) -> dict[str, float]:
    from locust import FastHttpUser, task

    class Fast(FastHttpUser):
        host = url

        @task
        def get(self) -> None:
            while True:
                self.client.get("/seats")

    return measure(Fast)


def lean(url: str) -> dict[str, float]:
    from locust import User, events, task  # isort: skip - first: it patches the process for gevent

    import gevent

    from harness.platform import Call, Person
    from harness.record.schema import TABLES
    from harness.record.writer import StreamWriter
    from harness.swarm.clock import ReleaseInstant
    from harness.swarm.http import Endpoint, HttpClient
    from harness.swarm.recorder import Recorder, prepare_arrow
    from harness.swarm.transport import resolve

    origin = resolve(url)
    endpoint = Endpoint("seats", "GET", frozenset({200}), idempotent=True)
    t0 = ReleaseInstant(monotonic(), time())
    recorder = Recorder(1, events.request.fire)

    class Lean(User):
        @task
        def get(self) -> None:
            client = HttpClient(origin, recorder, Person(user=1, kind="fan", actor="fan", identity="fan"))
            while True:
                client.call(endpoint, "/seats", Call(t_intended_s=monotonic()))

    def flush(spool: StreamWriter) -> None:
        while True:
            gevent.sleep(1.0)
            for batch in recorder.take(t0).values():
                spool.append(batch)
                batch.serialize().to_pybytes()

    prepare_arrow()
    with TemporaryDirectory() as folder, StreamWriter(Path(folder) / "requests.arrows", TABLES["requests"]) as spool:
        flushing = gevent.spawn(flush, spool)
        figures = measure(Lean)
        flushing.kill()
    assert recorder.samples_recorded == recorder.requests_sent
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client")
    parser.add_argument("--side", choices=["lean", "fast"])
    parser.add_argument("--url")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        rounds.pin(1)
        print(json.dumps({"lean": lean, "fast": fast}[asked.side](asked.url)))
        return 0
    with server.running() as url:
        figures = rounds.paired("tests.bench.client", ["lean", "fast"], asked.rounds, "--url", url)
    middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
    ratio = middle["lean"]["requests_per_s"] / middle["fast"]["requests_per_s"]
    document = {
        "what": "requests per second on one core, recording on, against FastHttpUser; same server, 50 users",
        "lean_requests_per_s": middle["lean"]["requests_per_s"],
        "fast_http_user_requests_per_s": middle["fast"]["requests_per_s"],
        "ratio": round(ratio, 2),
        "rounds": figures,
    }
    path = rounds.write("client", document)
    print(f"lean client: {ratio:.1f} × FastHttpUser ({path})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
