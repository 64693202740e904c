"""Requests per second on one core: the lean client with recording on, beside FastHttpUser and other load generators.

`python -m tests.bench.client`. The lean client and FastHttpUser run as Locust users under Locust's own runner and
statistics; the lean one also writes every request as a row, batched once a second as in a run, and once more with
nothing recorded: the difference is what recording costs; and once with the same connections only, without HTTP. All
drive the same server, each on one core. Beside the rates stands the processor time that a request cost its generator:
it says more where the server is the limit.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time, time
from typing import TYPE_CHECKING

from tests.bench import peers, rounds, server

if TYPE_CHECKING:
    from locust.env import Environment

USERS = 50
GROWTH = (1, 3, 10)
WARM_UP_S = 1.0
MEASURE_S = 4.0
ROUNDS = 3
OURS = ("lean", "unrecorded", "bare", "fast")


def measure(
    environment: Environment, user_class: type, users: int, done: Callable[[], int] | None = None
) -> dict[str, float]:
    """`done`: how many requests there were so far; null: Locust's own count."""
    import gevent

    environment.user_classes = [user_class]
    runner = environment.create_local_runner()
    count = done or (lambda: environment.stats.total.num_requests)
    runner.start(users, spawn_rate=users)
    gevent.sleep(WARM_UP_S)
    before, before_s, begun_cpu_s, begun_kernel_s = count(), monotonic(), process_time(), kernel_s()
    gevent.sleep(MEASURE_S)
    requests, seconds = count() - before, monotonic() - before_s
    cpu_s, in_kernel_s = process_time() - begun_cpu_s, kernel_s() - begun_kernel_s
    failed = environment.stats.total.num_failures
    runner.quit()
    return {
        "requests_per_s": round(requests / seconds),
        "cpu_us_per_request": round(cpu_s / requests * 1e6, 1),
        "kernel_us_per_request": round(in_kernel_s / requests * 1e6, 1),
        "failures": failed,
    }


def kernel_s() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


def fast(url: str, users: int) -> dict[str, float]:
    from locust import FastHttpUser, events, task
    from locust.env import Environment

    class Fast(FastHttpUser):
        host = url

        @task
        def get(self) -> None:
            while True:
                self.client.get("/seats")

    return measure(Environment(events=events), Fast, users)


def lean(url: str, users: int) -> dict[str, float]:
    from locust import events  # isort: skip - first: it patches the process for gevent

    import gevent
    from locust.env import Environment

    from harness.record.schema import TABLES
    from harness.record.writer import StreamWriter
    from harness.swarm.recording.clock import ReleaseInstant
    from harness.swarm.recording.recorder import Recorder, prepare_arrow
    from harness.swarm.recording.request_event import RequestEvent

    environment = Environment(events=events)
    t0 = ReleaseInstant(monotonic(), time())
    recorder = Recorder(1, RequestEvent(environment))

    def flush(spool: StreamWriter) -> None:
        while True:
            gevent.sleep(1.0)
            for batch in recorder.take(t0).values():
                spool.append(batch)
                batch.serialize().to_pybytes()

    prepare_arrow()
    with TemporaryDirectory() as folder, StreamWriter(Path(folder) / "requests.arrows", TABLES["requests"]) as spool:
        flushing = gevent.spawn(flush, spool)
        figures = measure(environment, lean_user(url, recorder), users)
        flushing.kill()
    assert recorder.samples_recorded == recorder.requests_sent
    return figures


def unrecorded(url: str, users: int) -> dict[str, float]:
    """The same without rows, batches and Locust's statistics."""
    from locust.env import Environment  # isort: skip - first: it patches the process for gevent

    from harness.swarm.recording.recorder import Recorder
    from harness.swarm.recording.rows import RequestRow

    class Deaf(Recorder):
        def request(self, _row: RequestRow) -> None:
            self.samples_recorded += 1

    recorder = Deaf(1)
    return measure(Environment(), lean_user(url, recorder), users, lambda: recorder.samples_recorded)


def lean_user(url: str, recorder: object) -> type:
    from locust import User, task

    from harness.platform import Call, Person
    from harness.swarm.client.http import Endpoint, HttpClient
    from harness.swarm.client.transport import resolve

    origin = resolve(url)
    endpoint = Endpoint("seats", "GET", frozenset({200}), idempotent=True)

    class Lean(User):
        @task
        def get(self) -> None:
            client = HttpClient(origin, recorder, Person(user=1, kind="fan", actor="fan", identity="fan"))
            while True:
                client.call(endpoint, "/seats", Call(t_intended_s=monotonic()))

    return Lean


def bare(url: str, users: int) -> dict[str, float]:
    """The lean client's connections without its HTTP: send some bytes, receive some."""
    from locust import User, task  # isort: skip - first: it patches the process for gevent
    from locust.env import Environment

    from harness.swarm.client.transport import ClientLimits, Connection, resolve

    origin = resolve(url)
    request = f"GET /seats HTTP/1.1\r\nHost: {origin.authority}\r\nAccept-Encoding: identity\r\n\r\n".encode()
    answered = [0]

    class Bare(User):
        @task
        def get(self) -> None:
            connection = Connection(origin, ClientLimits())
            while True:
                connection.send(request)
                connection.receive()
                answered[0] += 1

    return measure(Environment(), Bare, users, lambda: answered[0])


def growth(url: str) -> list[dict[str, float]]:
    """The lean client's figures with 1, 3 and 10 times as many users."""
    sizes = [factor * USERS for factor in GROWTH]
    return [
        {"users": users, **rounds.one_side("tests.bench.client", "lean", "--url", url, "--users", str(users))}
        for users in sizes
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.client")
    parser.add_argument("--side", choices=OURS)
    parser.add_argument("--url")
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        rounds.pin(peers.CORE)
        print(
            json.dumps(
                {"lean": lean, "unrecorded": unrecorded, "bare": bare, "fast": fast}[asked.side](asked.url, asked.users)
            )
        )
        return 0
    others, missing = peers.found()
    if missing:
        print(f"not found on PATH: {', '.join(missing)}", file=sys.stderr)
    with server.fastest() as (served_by, url):
        figures: dict[str, list[dict[str, float]]] = {side: [] for side in (*OURS, *others)}
        for number in range(asked.rounds):
            for name in figures if number % 2 == 0 else reversed(figures):
                figures[name].append(one(name, url))
                print(f"  round {number + 1} {name}: {figures[name][-1]}", file=sys.stderr)
        grown = growth(url)
    middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
    document = {
        "what": f"requests per second on one core, {USERS} users; lean: the whole client, recording on",
        "server": served_by,
        **middle,
        "ratios": {name: ratio(middle, name) for name in middle if name != "lean"},
        "missing": missing,
        "growth": grown,
        "growth_slope": rounds.slope([(one["users"], one["requests_per_s"]) for one in grown]),
        "rounds": figures,
    }
    path = rounds.write("client", document)
    rounds.publish("client", table(document, figures))
    print(f"lean client: {document['ratios']['fast']} × FastHttpUser ({path})")
    return 0


def one(name: str, url: str) -> dict[str, float]:
    if name in OURS:
        return rounds.one_side("tests.bench.client", name, "--url", url)
    return peers.measure(name, f"{url}/seats", USERS, MEASURE_S)


def ratio(middle: dict[str, dict[str, float]], name: str) -> float:
    return round(middle["lean"]["requests_per_s"] / middle[name]["requests_per_s"], 2)


def table(document: dict[str, object], figures: dict[str, list[dict[str, float]]]) -> list[str]:
    names = {
        "lean": "gatecrash, recording on",
        "unrecorded": "gatecrash, nothing recorded",
        "bare": "its connections alone, without HTTP",
        "fast": "FastHttpUser",
    }
    lines = [
        f"One core, {USERS} connections, {document['server']} on the other core; medians of "
        f"{len(figures['lean'])} rounds (lowest to highest).",
        "",
        "| Load generator | Requests per second | Its processor time per request | gatecrash beside it |",
        "|---|---|---|---|",
    ]
    for name, all_rounds in figures.items():
        rates = [one["requests_per_s"] for one in all_rounds]
        middle = document[name]
        beside = "–" if name == "lean" else f"{document['ratios'][name]} ×"
        lines.append(
            f"| {names.get(name, name)} | {middle['requests_per_s']:,.0f} ({min(rates):,} to {max(rates):,}) "
            f"| {middle['cpu_us_per_request']:.1f} µs | {beside} |"
        )
    grown = " · ".join(f"{one['users']} users: {one['requests_per_s']:,}" for one in document["growth"])
    lines += ["", f"With more users: {grown} per second; slope {document['growth_slope']} (0: as fast with more)."]
    lines += ["", "What a request costs: " + " · ".join(pieces(document)) + "."]
    if document["missing"]:
        lines += ["", f"Not installed there: {', '.join(document['missing'])}."]
    return lines


def pieces(document: dict[str, dict[str, float]]) -> list[str]:
    """Where the processor time of one request goes, from what the sides differ by."""
    whole, without, alone = (document[side]["cpu_us_per_request"] for side in ("lean", "unrecorded", "bare"))
    kernel = document["bare"]["kernel_us_per_request"]
    parts = {
        "the kernel (send, receive, poll)": kernel,
        "gevent's loop and switches": alone - kernel,
        "HTTP": without - alone,
        "recording and Locust's statistics": whole - without,
    }
    return [f"{name} {us:.1f} µs" for name, us in parts.items()]


if __name__ == "__main__":
    sys.exit(main())
