"""How long it takes until every armed fan has sent its first byte.

`python -m tests.bench.release`. 2,000 fans in one worker: the barrier beside FastHttpUsers behind an event, and the
barrier with fewer fans, to see how it grows. Then 10,000 fans over two workers, by a whole swarm: master, workers,
announced T0. All connections are open beforehand. The barrier stamps each send; a FastHttpUser is stamped just before
its call, which flatters it. The server's own view, first to last arrival, is given for all. Beside them as many
requests are sent by a loop of nothing but `send`: what the system itself takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from urllib.request import urlopen

import msgspec

from tests.bench import rounds, server

FANS = 2000
GROWTH = (200, 600, 2000)
SWARM_FANS = 10_000
SWARM_WORKERS = 2
NOTICE_S = 0.5
ARM_S = 90.0
ROUNDS = 5
SWARM_ROUNDS = 3
GROWTH_ROUNDS = 3
CUSTOMER = f"{Path(__file__).with_name('one_shot.py')}"


def barrier(url: str, fans: int) -> dict[str, float]:
    import locust  # noqa: F401  isort: skip - first: it patches the process for gevent

    from time import time

    import gevent

    from harness.platform import Call, Person
    from harness.swarm.client.http import Endpoint, HttpClient
    from harness.swarm.client.transport import resolve
    from harness.swarm.recording.clock import ReleaseInstant
    from harness.swarm.recording.recorder import Recorder
    from harness.swarm.users.barrier import Barrier

    endpoint = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)
    origin, recorder, held = resolve(url), Recorder(1), Barrier()
    held.assign({"fan": 0}, fans)

    def fan() -> float:
        user = held.user_of("fan")
        client = HttpClient(origin, recorder, Person(user=user, kind="fan", actor=f"fan-{user}", identity=f"{user}"))
        with held.arming:
            prepared = client.prepare(endpoint, "/release")
        held.arm(prepared)
        t0 = held.wait()
        assert client.call(endpoint, "/release", Call(t_intended_s=t0.monotonic_s)).status == 200
        return client.first_send_s - t0.monotonic_s

    armed = [gevent.spawn(fan) for _ in range(fans)]
    held.complete.wait()
    t0_s = monotonic() + NOTICE_S
    held.release_at(ReleaseInstant(t0_s, time() + NOTICE_S))
    return spread([one.get() for one in armed], arrivals(url))


def fast(url: str, fans: int) -> dict[str, float]:
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
    runner.start(fans, spawn_rate=fans)
    while len(ready) < fans:
        gevent.sleep(0.05)
    gevent.sleep(NOTICE_S)
    t0_s = monotonic()
    go.set()
    while len(done) < fans:
        gevent.sleep(0.05)
    runner.quit()
    return spread([send_s - t0_s for send_s in sends], arrivals(url))


def sends(url: str, fans: int) -> dict[str, float]:
    """No fans, no swarm: sockets, and the shortest loop over them that stamps each send."""
    host, port = url.removeprefix("http://").split(":")
    request = f"GET /release HTTP/1.1\r\nHost: {host}:{port}\r\nAccept-Encoding: identity\r\n\r\n".encode()
    connections = [socket.create_connection((host, int(port))) for _ in range(fans)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ready, sent_s = [connection.send for connection in connections], []
    sleep(NOTICE_S)
    gc.disable()
    t0_s = monotonic()
    for send in ready:
        sent_s.append(monotonic())
        send(request)
    gc.enable()
    for connection in connections:
        connection.recv(4096)
    return spread([send_s - t0_s for send_s in sent_s], arrivals(url))


def swarm(number: int) -> dict[str, float]:
    """A whole swarm's release, every fan's send as the record has it."""
    from harness.swarm.messaging.protocol import Armed, Finished, Quit, ReleaseCommand, Settle, Settled
    from tests.harness.swarm.swarm_process import running, shop_spec

    with server.running(f"127.0.2.{number + 1}") as url, TemporaryDirectory() as folder:
        spec = shop_spec(url, Path(folder), fans=SWARM_FANS, workers=SWARM_WORKERS, duration_s=8.0, arm_timeout_s=ARM_S)
        ours = type(spec.journeys)(fan=f"{CUSTOMER}:OneShot")
        with running(msgspec.structs.replace(spec, platform=f"{CUSTOMER}:NoPlatform", journeys=ours)) as master:
            armed = master.expect(Armed, ARM_S + 30)
            assert armed.armed == SWARM_FANS, armed.failures
            master.tell(ReleaseCommand())
            load = master.expect(Finished, 60).load
            master.tell(Settle())
            master.expect(Settled, 60)
            master.tell(Quit())
            master.ended()
            sends_s = master.table("requests")["t_start_s"].to_pylist()
        figures = spread(sends_s, arrivals(url))
    figures["clock_uncertainty_ms"] = round(max(worker.clock_uncertainty_ms for worker in load.workers), 3)
    return figures


def arrivals(url: str) -> list[float]:
    with urlopen(f"{url}/arrivals") as answer:
        return json.load(answer)


def spread(sends_s: list[float], arrived_s: list[float]) -> dict[str, float]:
    fans = len(sends_s)
    assert len(arrived_s) == fans
    sends_s, arrived_s = sorted(sends_s), sorted(arrived_s)
    return {
        "skew_first_ms": round(sends_s[0] * 1000, 3),
        "skew_p50_ms": round(sends_s[fans // 2] * 1000, 3),
        "skew_p99_ms": round(sends_s[fans * 99 // 100] * 1000, 3),
        "skew_max_ms": round(sends_s[-1] * 1000, 3),
        "first_to_last_ms": round((sends_s[-1] - sends_s[0]) * 1000, 3),
        "arrivals_first_to_last_ms": round((arrived_s[-1] - arrived_s[0]) * 1000, 3),
    }


ONE_WORKER = {"barrier": barrier, "fast": fast, "sends": sends}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.release")
    parser.add_argument("--side", choices=list(ONE_WORKER))
    parser.add_argument("--url")
    parser.add_argument("--fans", type=int, default=FANS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        rounds.pin(1)
        print(json.dumps(ONE_WORKER[asked.side](asked.url, asked.fans)))
        return 0
    with server.running() as url:
        sleep(0.2)
        figures = rounds.paired("tests.bench.release", list(ONE_WORKER), asked.rounds, "--url", url)
        grown = [(fans, middle_of(url, fans, min(asked.rounds, GROWTH_ROUNDS))) for fans in GROWTH]
    swarms = []
    for number in range(min(asked.rounds, SWARM_ROUNDS)):
        swarms.append(swarm(number))
        print(f"  round {number + 1} swarm: {swarms[-1]}", file=sys.stderr)
    middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
    document = {
        "what": f"first to last send of {FANS} armed fans in one worker, against FastHttpUser behind an event; and of "
        f"{SWARM_FANS} over {SWARM_WORKERS} workers of a whole swarm",
        "barrier": middle["barrier"],
        "fast_http_user": middle["fast"],
        "bare_sends": middle["sends"],
        "swarm": rounds.medians(swarms),
        "ratio": round(middle["fast"]["first_to_last_ms"] / middle["barrier"]["first_to_last_ms"], 1),
        "growth": [{"fans": fans, "first_to_last_ms": ms} for fans, ms in grown],
        "growth_slope": rounds.slope(grown),
        "rounds": {**figures, "swarm": swarms},
    }
    path = rounds.write("release", document)
    rounds.publish("release", table(document))
    print(f"release of {FANS} fans: {middle['barrier']['first_to_last_ms']:.1f} ms ({path})")
    return 0


def middle_of(url: str, fans: int, times: int) -> float:
    options = ("--url", url, "--fans", str(fans))
    return rounds.medians([rounds.one_side("tests.bench.release", "barrier", *options) for _ in range(times)])[
        "first_to_last_ms"
    ]


def table(document: dict[str, object]) -> list[str]:
    lines = [
        "| Release | First send after T0 | p50 | p99 | Last | First to last send | First to last arrival |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, key in (
        (f"{FANS:,} fans in one worker", "barrier"),
        (f"{FANS:,} bare sends in a loop", "bare_sends"),
        (f"{FANS:,} FastHttpUsers behind an event", "fast_http_user"),
        (f"{SWARM_FANS:,} fans over {SWARM_WORKERS} workers of a whole swarm", "swarm"),
    ):
        one = document[key]
        cells = ("skew_first", "skew_p50", "skew_p99", "skew_max", "first_to_last", "arrivals_first_to_last")
        lines.append(f"| {name} | " + " | ".join(f"{one[f'{cell}_ms']:.1f} ms" for cell in cells) + " |")
    grown = " · ".join(f"{one['fans']:,} fans: {one['first_to_last_ms']:.1f} ms" for one in document["growth"])
    slope = f"slope {document['growth_slope']} (1: in proportion)"
    return [*lines, "", f"First to last send in one worker: {grown}; {slope}."]


if __name__ == "__main__":
    sys.exit(main())
