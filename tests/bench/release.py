"""How long it takes until every one of 1,000 armed fans has sent its first byte: the barrier against a plain event.

`python -m tests.bench.release`. All connections are open beforehand on both sides. The barrier stamps each send; a
FastHttpUser is stamped just before its call, which flatters it. The server's own view, first to last arrival, is given
for both.
"""

from __future__ import annotations

import argparse
import json
import sys
from time import monotonic, sleep
from urllib.request import urlopen

from tests.bench import rounds, server

FANS = 1000
NOTICE_S = 0.5
ROUNDS = 5


def barrier(url: str) -> dict[str, float]:
    import locust  # noqa: F401  isort: skip - first: it patches the process for gevent

    from time import time

    import gevent

    from harness.platform import Call, Person
    from harness.swarm.barrier import Barrier
    from harness.swarm.clock import ReleaseInstant
    from harness.swarm.http import Endpoint, HttpClient
    from harness.swarm.recorder import Recorder
    from harness.swarm.transport import resolve

    endpoint = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
    origin, recorder, held = resolve(url), Recorder(1), Barrier()
    held.assign({"fan": 0}, FANS)

    def fan() -> float:
        user = held.user_of("fan")
        client = HttpClient(origin, recorder, Person(user=user, kind="fan", actor=f"fan-{user}", identity=f"{user}"))
        with held.arming:
            shot = client.prepare(endpoint, "/release")
        held.arm(shot)
        t0 = held.wait()
        assert client.call(endpoint, "/release", Call(t_intended_s=t0.monotonic_s)).status == 200
        return client.first_send_s - t0.monotonic_s

    fans = [gevent.spawn(fan) for _ in range(FANS)]
    held.complete.wait()
    t0_s = monotonic() + NOTICE_S
    held.release_at(ReleaseInstant(t0_s, time() + NOTICE_S))
    return spread([one.get() for one in fans], arrivals(url))


def fast(url: str) -> dict[str, float]:
    import gevent
    from gevent.event import Event
    from locust import FastHttpUser, task
    from locust.env import Environment

    go, sends, ready, done = Event(), [], [], []

    class Fast(FastHttpUser):
        host = url

        @task
        def first_shot(self) -> None:
            self.client.get("/warm")
            ready.append(1)
            go.wait()
            sends.append(monotonic())
            self.client.get("/release")
            done.append(1)
            Event().wait()

    runner = Environment(user_classes=[Fast]).create_local_runner()
    runner.start(FANS, spawn_rate=FANS)
    while len(ready) < FANS:
        gevent.sleep(0.05)
    gevent.sleep(NOTICE_S)
    t0_s = monotonic()
    go.set()
    while len(done) < FANS:
        gevent.sleep(0.05)
    runner.quit()
    return spread([send_s - t0_s for send_s in sends], arrivals(url))


def arrivals(url: str) -> list[float]:
    with urlopen(f"{url}/arrivals") as answer:
        return json.load(answer)


def spread(sends_s: list[float], arrived_s: list[float]) -> dict[str, float]:
    assert len(sends_s) == len(arrived_s) == FANS
    sends_s, arrived_s = sorted(sends_s), sorted(arrived_s)
    return {
        "skew_p50_ms": round(sends_s[FANS // 2] * 1000, 3),
        "skew_p99_ms": round(sends_s[FANS * 99 // 100] * 1000, 3),
        "skew_max_ms": round(sends_s[-1] * 1000, 3),
        "first_to_last_ms": round((sends_s[-1] - sends_s[0]) * 1000, 3),
        "arrivals_first_to_last_ms": round((arrived_s[-1] - arrived_s[0]) * 1000, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.release")
    parser.add_argument("--side", choices=["barrier", "fast"])
    parser.add_argument("--url")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        rounds.pin(1)
        print(json.dumps({"barrier": barrier, "fast": fast}[asked.side](asked.url)))
        return 0
    with server.running() as url:
        sleep(0.2)
        figures = rounds.paired("tests.bench.release", ["barrier", "fast"], asked.rounds, "--url", url)
    middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
    ratio = middle["fast"]["first_to_last_ms"] / middle["barrier"]["first_to_last_ms"]
    document = {
        "what": f"first to last send of {FANS} armed fans in one worker, against FastHttpUser behind an event",
        "barrier": middle["barrier"],
        "fast_http_user": middle["fast"],
        "ratio": round(ratio, 1),
        "rounds": figures,
    }
    path = rounds.write("release", document)
    print(f"release of {FANS} fans: {middle['barrier']['first_to_last_ms']:.1f} ms, {ratio:.0f} × tighter ({path})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
