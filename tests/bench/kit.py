"""Page flows per second on one core: the adapter kit, with recording on, beside Locust's FastHttpUser.

`python -m tests.bench.kit`. The flow: a page with a form, its post with a CSRF token, the redirect, the page it leads
to; cookies are kept. Each side does it twice: with a regular expression for the token, and with both pages parsed by
the same parser. The kit also writes an operation for each flow and a row for each request, as in a rehearsal. Beside
it: what parsing one page costs.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, process_time, time
from typing import TYPE_CHECKING

from tests.bench import rounds

if TYPE_CHECKING:
    from locust.env import Environment

USERS = 50
WARM_UP_S = 1.0
MEASURE_S = 4.0
ROUNDS = 3
HOPS = 3
TOKEN = re.compile(r"name=csrf value=([\w-]+)")
BOUGHT = re.compile(r"id=quantity>(\d+)")
SIDES = {
    "kit": "the kit, a regular expression",
    "fast": "FastHttpUser, a regular expression",
    "kit_parsed": "the kit, both pages parsed",
    "fast_parsed": "FastHttpUser, both pages parsed",
}


def measure(environment: Environment, user_class: type, done: Callable[[], int]) -> dict[str, float]:
    import gevent

    environment.user_classes = [user_class]
    runner = environment.create_local_runner()
    runner.start(USERS, spawn_rate=USERS)
    gevent.sleep(WARM_UP_S)
    before, before_s, begun_cpu_s = done(), monotonic(), process_time()
    gevent.sleep(MEASURE_S)
    flows, seconds, cpu_s = done() - before, monotonic() - before_s, process_time() - begun_cpu_s
    runner.quit()
    return {
        "flows_per_s": round(flows / seconds),
        "requests_per_s": round(HOPS * flows / seconds),
        "cpu_us_per_request": round(cpu_s / flows / HOPS * 1e6, 1),
    }


def kit(url: str, *, parses: bool = True) -> dict[str, float]:
    from locust import User, events, task  # isort: skip - first: it patches the process for gevent

    import gevent
    from locust.env import Environment

    from harness.adapter.kit import Basket, Capability, Shopper, ShopPlatform
    from harness.platform import Addresses, Call, Person
    from harness.record.schema import TABLES, Outcome
    from harness.record.writer import StreamWriter
    from harness.scenario import OwnPlatform
    from harness.swarm.recording.clock import ReleaseInstant
    from harness.swarm.recording.recorder import Recorder, prepare_arrow
    from harness.swarm.recording.request_event import RequestEvent

    flows = [0]

    class Visitor(Shopper):
        def reserve(self, pool: str, quantity: int) -> Basket:
            page = self.browser.get("/tickets")
            if parses:
                basket = self.browser.submit(page.form("#add"), quantity=quantity, pool=pool)
                return Basket(quantity=int(basket.need("#quantity").text))
            basket = self.browser.post("/basket", {"csrf": found(TOKEN, page.text), "pool": pool, "quantity": quantity})
            return Basket(quantity=int(found(BOUGHT, basket.text)))

    class Shop(ShopPlatform):
        capabilities = frozenset({Capability.STOCK})
        shopper = Visitor

    environment = Environment(events=events)
    recorder = Recorder(1, RequestEvent(environment))
    own = OwnPlatform(url=url)
    platform = Shop(Addresses(booking=url, feeds=(), event="", own=own), recorder)

    class Fan(User):
        @task
        def buy(self) -> None:
            session = platform.fan_session(Person(user=1, kind="fan", actor="fan", identity="fan"))
            while True:
                answer = session.hold_stock(Call(t_intended_s=monotonic()), "a", 2)
                assert answer.outcome is Outcome.OK, answer
                flows[0] += 1

    def flush(spools: dict[str, StreamWriter], t0: ReleaseInstant) -> None:
        while True:
            gevent.sleep(1.0)
            for name, batch in recorder.take(t0).items():
                spools[name].append(batch)
                batch.serialize().to_pybytes()

    prepare_arrow()
    with TemporaryDirectory() as folder:
        names = ("requests", "operations")
        spools = {name: StreamWriter(Path(folder) / f"{name}.arrows", TABLES[name]) for name in names}
        flushing = gevent.spawn(flush, spools, ReleaseInstant(monotonic(), time()))
        figures = measure(environment, Fan, lambda: flows[0])
        flushing.kill()
        for spool in spools.values():
            spool.close()
    return figures


def fast(url: str, *, parses: bool = True) -> dict[str, float]:
    from locust import FastHttpUser, events, task
    from locust.env import Environment
    from selectolax.lexbor import LexborHTMLParser

    flows = [0]

    def attribute(text: str) -> str | None:
        return LexborHTMLParser(text).css_first("#add input[name=csrf]").attributes["value"]

    class Fast(FastHttpUser):
        host = url

        @task
        def buy(self) -> None:
            while True:
                text = self.client.get("/tickets").text
                token = attribute(text) if parses else found(TOKEN, text)
                text = self.client.post("/basket", data={"csrf": token, "pool": "a", "quantity": "2"}).text
                bought = LexborHTMLParser(text).css_first("#quantity").text() if parses else found(BOUGHT, text)
                assert int(bought) == 2
                flows[0] += 1

    return measure(Environment(events=events), Fast, lambda: flows[0])


def found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match is not None
    return match[1]


def parsing() -> dict[str, float]:
    """Microseconds to parse the benchmark's page and to take its form out, alone; its size."""
    from harness.adapter.browsing.page import Page
    from harness.swarm.client.types import Response
    from tests.bench.kit_server import _FORM

    body = (_FORM % "s000001").encode()

    def once(work: Callable[[Page], object]) -> float:
        begun_s = perf_counter()
        for _ in range(500):
            work(Page("http://127.0.0.1/tickets", "GET /tickets", Response("ok", "", 0.0, None, body), 1 << 24))
        return (perf_counter() - begun_s) / 500 * 1e6

    return {
        "page_bytes": len(body),
        "parse_us": round(median(once(lambda page: page.tree) for _ in range(9)), 1),
        "form_us": round(median(once(lambda page: page.form("#add")) for _ in range(9)), 1),
    }


@contextmanager
def running() -> Iterator[str]:
    from harness.processes.ports import free_ports

    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.bench.kit_server", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--side", choices=list(SIDES))
    parser.add_argument("--url", default="")
    arguments = parser.parse_args()
    if arguments.side:
        rounds.pin(0)
        side = kit if arguments.side.startswith("kit") else fast
        print(json.dumps(side(arguments.url, parses=arguments.side.endswith("parsed"))))
        return 0
    with rounds.on_core(1), running() as url:
        figures = rounds.paired("tests.bench.kit", tuple(SIDES), arguments.rounds, "--url", url)
    middle = {side: rounds.medians(found) for side, found in figures.items()}
    parse = parsing()
    rounds.write("kit", {"rounds": figures, "medians": middle, "parsing": parse})
    rounds.publish("kit", table(middle, parse))
    return 0


def table(middle: dict[str, dict[str, float]], parse: dict[str, float]) -> list[str]:
    lines = [
        f"One core, {USERS} users; a flow is {HOPS} requests: form page, post with token, redirect to a page; medians.",
        "",
        "| Load generator | Flows per second | Requests per second | Its processor time per request | Beside it |",
        "|---|---|---|---|---|",
    ]
    for side, name in SIDES.items():
        one, slow = middle[side], middle[side.replace("kit", "fast")]
        figures = (f"{one['flows_per_s']:,.0f}", f"{one['requests_per_s']:,.0f}", f"{one['cpu_us_per_request']} µs")
        ratio = slow["cpu_us_per_request"] / one["cpu_us_per_request"]
        beside = f"{one['flows_per_s'] / slow['flows_per_s']:.1f} × FastHttpUser, by processor time {ratio:.1f} ×"
        lines.append(f"| {name} | {' | '.join(figures)} | {'–' if one is slow else beside} |")
    lines += [
        "",
        f"A page of {parse['page_bytes']:,} bytes: parsed in {parse['parse_us']} µs, its form taken out in "
        f"{parse['form_us']} µs, parsing included.",
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
