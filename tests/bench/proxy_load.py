"""What the benchmark of the fault proxy asks of a way to a server: redis-benchmark's requests, bulk, a ping-pong."""

from __future__ import annotations

import csv
import shutil
import socket
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

REDIS_BENCHMARK = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")


@dataclass(frozen=True)
class Route:
    """One side of the benchmark: the ports by which each upstream is reached, and the process that stands between."""

    redis: int
    echo: int
    pour: int
    proxy_pid: int | None


@dataclass(frozen=True)
class Requests:
    """`count` SETs by redis-benchmark. `keep_alive` off: each on a connection of its own."""

    clients: int
    count: int
    pipeline: int = 1
    keep_alive: bool = True

    def measure(self, route: Route, share: float) -> dict[str, float]:
        """Requests per second, and their p50 and p99 as redis-benchmark tells them."""
        count = max(self.clients * self.pipeline, int(self.count * share))
        sizes = ["-c", self.clients, "-P", self.pipeline, "-k", int(self.keep_alive), "-n", count]
        command = [REDIS_BENCHMARK, "-p", route.redis, "-t", "set", "--csv", *sizes]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, timeout=300)
        row = next(row for row in csv.DictReader(done.stdout.splitlines()) if row["test"] == "SET")
        return {
            "per_s": float(row["rps"]),
            "p50_us": 1000 * float(row["p50_latency_ms"]),
            "p99_us": 1000 * float(row["p99_latency_ms"]),
            "count": count,
        }


@dataclass(frozen=True)
class Bulk:
    """So many MB (of 1,000,000 bytes) from the upstream to one client."""

    mb: int

    def measure(self, route: Route, share: float) -> dict[str, float]:
        """MB per second."""
        mb = max(1, int(self.mb * share))
        left = mb * 1_000_000
        into = bytearray(1 << 20)
        with socket.create_connection(("127.0.0.1", route.pour)) as link:
            started_s = perf_counter()
            link.sendall(left.to_bytes(8, "big"))
            while left and (got := link.recv_into(into)):
                left -= got
            took_s = perf_counter() - started_s
        assert not left
        return {"per_s": mb / took_s, "count": mb}


@dataclass(frozen=True)
class PingPong:
    """64 bytes there and back, so many times, over one connection."""

    rounds: int

    def measure(self, route: Route, share: float) -> dict[str, float]:
        """The round trip's p50 and p99."""
        message = bytes(64)
        times_us = []
        with socket.create_connection(("127.0.0.1", route.echo)) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(max(100, int(self.rounds * share))):
                started_s = perf_counter()
                link.sendall(message)
                assert len(link.recv(64)) == 64
                times_us.append((perf_counter() - started_s) * 1e6)
        return {**percentiles_us(times_us), "count": len(times_us)}


Shape = Requests | Bulk | PingPong

SHAPES: dict[str, Shape] = {
    "1 client": Requests(1, 20_000),
    "50 clients": Requests(50, 60_000),
    "1 client, pipelines of 16": Requests(1, 160_000, pipeline=16),
    "50 clients, pipelines of 16": Requests(50, 500_000, pipeline=16),
    "a connection per request, 50 at once": Requests(50, 4_000, keep_alive=False),
    "bulk, MB": Bulk(1_000),
    "ping-pong of 64 bytes": PingPong(8_000),
}


def percentiles_us(times_us: Sequence[float]) -> dict[str, float]:
    """The median and the 99th percentile."""
    cuts = statistics.quantiles(times_us, n=100)
    return {"p50_us": statistics.median(times_us), "p99_us": cuts[98]}
