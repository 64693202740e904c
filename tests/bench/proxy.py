"""The fault proxy without toxics, against a real Toxiproxy and against no proxy at all.

`python -m tests.bench.proxy [--rounds N] [--share R]`. One Valkey, one upstream for bulk and ping-pong; each round asks
the same of every side, one right after the other, the order alternating; ratios are of one round, and their median is
told. The CPU time is the proxy's own, all threads. A real server is taken from GATECRASH_TOXIPROXY_BIN or PATH,
redis-benchmark from PATH (Debian: redis-tools); what is missing is said and left out. `--share` of the work makes a
trial quick.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack

import psutil

from tests.bench import proxy_page, proxy_upstream, rounds
from tests.bench.proxy_load import REDIS_BENCHMARK, SHAPES, Requests, Route, Shape
from tests.bench.proxy_page import NONE, OURS, REAL
from tests.chaos import servers
from tests.chaos.servers import HOST, ProxyServer, Valkey

ROUNDS = 9


def route(server: ProxyServer, redis: int, echo: int, pour: int) -> Route:
    """The same upstreams through this server."""
    ports = [server.create(f"to-{port}", f"{HOST}:{port}")[1] for port in (redis, echo, pour)]
    return Route(*ports, server.process.pid)


def open_routes(stack: ExitStack) -> dict[str, Route]:
    """Every side there is, for as long as the stack is open."""
    valkey = Valkey()
    valkey.start()
    stack.callback(valkey.kill)
    upstreams = (valkey.port, *stack.enter_context(proxy_upstream.running()))
    routes = {NONE: Route(*upstreams, None), OURS: route(stack.enter_context(servers.embedded()), *upstreams)}
    if (binary := servers.real_toxiproxy()) is None:
        print("no toxiproxy-server in PATH and no GATECRASH_TOXIPROXY_BIN: compared with no proxy only")
    else:
        routes[REAL] = route(stack.enter_context(servers.real(binary)), *upstreams)
    return routes


def cpu_s(pid: int | None) -> float:
    """The CPU time that a process has used."""
    used = None if pid is None else psutil.Process(pid).cpu_times()
    return 0.0 if used is None else used.user + used.system


def one(shape: Shape, way: Route, share: float) -> dict[str, float]:
    """One measurement, with the proxy's CPU time for each request, MB or round trip."""
    before_s = cpu_s(way.proxy_pid)
    figures = shape.measure(way, share)
    figures["proxy_cpu_us"] = (cpu_s(way.proxy_pid) - before_s) * 1e6 / figures["count"]
    return {name: round(value, 2) for name, value in figures.items()}


def ratio(figures: dict[str, Sequence[dict[str, float]]], figure: str, peer: str) -> float:
    """Ours to a peer's, the median over the rounds."""
    return round(statistics.median(a[figure] / b[figure] for a, b in zip(figures[OURS], figures[peer], strict=True)), 3)


def summary(figures: dict[str, Sequence[dict[str, float]]]) -> dict[str, object]:
    """The medians of each side, and how ours compares: `per_s` above 1 and `p50_us` below 1 beat the peer."""
    compared = {}
    for peer in (side for side in figures if side != OURS):
        names = [name for name in ("per_s", "p50_us", "p99_us") if name in figures[OURS][0]]
        compared[f"to_{peer}"] = {name: ratio(figures, name, peer) for name in names}
    added = {
        side: {
            name: round(statistics.median(a[name] - b[name] for a, b in zip(mine, figures[NONE], strict=True)), 1)
            for name in ("p50_us", "p99_us")
            if name in mine[0]
        }
        for side, mine in figures.items()
        if side != NONE
    }
    middle = {side: rounds.medians(mine) for side, mine in figures.items()}
    return {"medians": middle, "ratios": compared, "added": added, "rounds": figures}


def line(name: str, document: dict) -> str:
    """One row for people."""
    texts = []
    for side, middle in document["medians"].items():
        speed = f"{middle['per_s']:,.0f}/s " if "per_s" in middle else ""
        delay = f"p50 {middle['p50_us']:.0f} p99 {middle['p99_us']:.0f} µs " if "p50_us" in middle else ""
        texts.append(f"{side} {speed}{delay}cpu {middle['proxy_cpu_us']:.1f} µs")
    return f"{name}: {' · '.join(texts)} · ratios {document['ratios']}"


def measure(count: int, share: float) -> dict[str, dict[str, object]]:
    """Every shape over every side."""
    shapes = {name: shape for name, shape in SHAPES.items() if REDIS_BENCHMARK or not isinstance(shape, Requests)}
    if len(shapes) < len(SHAPES):
        print("no redis-benchmark in PATH (Debian: redis-tools): bulk and ping-pong only")
    with ExitStack() as stack:
        routes = open_routes(stack)
        figures: dict[str, dict[str, list[dict[str, float]]]] = {name: {side: [] for side in routes} for name in shapes}
        for number in range(count):
            print(f"  round {number + 1} of {count}", file=sys.stderr)
            for name, shape in shapes.items():
                for side in list(routes)[:: 1 if number % 2 == 0 else -1]:
                    figures[name][side].append(one(shape, routes[side], share))
    return {name: summary(mine) for name, mine in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.proxy")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--share", type=float, default=1.0, help="of the work; below 1 a trial that writes no page")
    asked = parser.parse_args()
    shapes = measure(asked.rounds, asked.share)
    path = rounds.write("proxy", {"what": "the fault proxy without toxics, against peers", "shapes": shapes})
    for name, document in shapes.items():
        print(line(name, document))
    print(path if asked.share < 1 else f"{path}; {proxy_page.write(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
