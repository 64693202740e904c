"""How exact toxics are, ours and a real Toxiproxy's: measured distributions, not single times.

`python -m tests.bench.accuracy [--rounds N] [--share R]`. Each side in turn, the order alternating, on a proxy of its
own for each part:

latency    8 s on CONNECTIONS connections, which send at moments spread over a second, so that 8 s later as many
           answers are due; error: round trip − 8 s. `control` is the round trip of the same crowd without the toxic:
           what client, upstream and machine add by themselves.
jitter     100 ± 50 ms on many connections, one message on its way at a time: the greatest distance between the
           measured distribution and U[50, 150) (Kolmogorov-Smirnov), where 1.63 / √n is the bound that chance passes
           once in a hundred times.
bandwidth  so many KB/s, MEASURED_S seconds' worth, each on a connection of its own: how far the time taken is off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import cast

import uvloop

from tests.bench import proxy_page, proxy_upstream, rounds
from tests.bench.proxy_page import OURS, REAL
from tests.chaos import servers
from tests.chaos.servers import HOST, ProxyServer

ROUNDS = 3
CONNECTIONS = 500
LATENCY_MS = 8000
JITTER_MS = (100, 50)
JITTER_CONNECTIONS = 50
JITTER_MESSAGES = 20  # on each connection
RATES_KB_PER_S = (100, 1_000, 10_000)
MEASURED_S = 3.0


class Asker(asyncio.Protocol):
    """A connection to the echo. One message on its way at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._answered.set_result(monotonic())

    async def round_trip_ms(self) -> float:
        """There and back."""
        self._answered = asyncio.get_running_loop().create_future()
        sent_s = monotonic()
        self._transport.write(b"x")
        return (await self._answered - sent_s) * 1000

    def close(self) -> None:
        """Drops it."""
        self._transport.abort()


async def askers(port: int, count: int) -> list[Asker]:
    """So many connections, each known to be carried through."""
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _, asker = await loop.create_connection(Asker, HOST, port)
        await asker.round_trip_ms()
        made.append(asker)
    return made


async def crowd_ms(crowd: Sequence[Asker]) -> list[float]:
    """One round trip of each, begun at moments spread over a second."""

    async def later(number: int, asker: Asker) -> float:
        await asyncio.sleep(number / len(crowd))
        return await asker.round_trip_ms()

    return await asyncio.gather(*(later(number, asker) for number, asker in enumerate(crowd)))


async def latency(server: ProxyServer, echo: int, share: float) -> dict[str, float]:
    """Errors of an 8 s latency."""
    _, port = server.create("latency", f"{HOST}:{echo}")
    crowd = await askers(port, max(10, int(CONNECTIONS * share)))
    control_ms = await crowd_ms(crowd)
    due_ms = max(200, int(LATENCY_MS * share))
    server.toxic("latency", "latency", latency=due_ms)
    errors_ms = [took_ms - due_ms for took_ms in await crowd_ms(crowd)]
    for asker in crowd:
        asker.close()
    return {
        "error_ms_p50": statistics.median(errors_ms),
        "error_ms_p99": percentile_99(list(map(abs, errors_ms))),
        "error_ms_min": min(errors_ms),
        "control_ms_p99": percentile_99(control_ms),
        "samples": len(errors_ms),
    }


async def jitter(server: ProxyServer, echo: int, share: float) -> dict[str, float]:
    """How far from uniform."""
    _, port = server.create("jitter", f"{HOST}:{echo}")
    crowd = await askers(port, JITTER_CONNECTIONS)
    middle_ms, spread_ms = JITTER_MS
    server.toxic("jitter", "latency", latency=middle_ms, jitter=spread_ms)
    times_ms: list[float] = []
    for _ in range(max(2, int(JITTER_MESSAGES * share))):
        times_ms += await asyncio.gather(*(asker.round_trip_ms() for asker in crowd))
    for asker in crowd:
        asker.close()
    return {
        "distance": distance_from_uniform(times_ms, middle_ms - spread_ms, middle_ms + spread_ms),
        "distance_by_chance": 1.63 / math.sqrt(len(times_ms)),
        "mean_ms": statistics.fmean(times_ms),
        "samples": len(times_ms),
    }


async def bandwidth(server: ProxyServer, pour: int, share: float) -> dict[str, float]:
    """How far off each rate is, in percent of the time that it should take; above 0: too slow."""

    async def one(rate: int) -> float:
        name = f"rate-{rate}"
        _, port = server.create(name, f"{HOST}:{pour}")
        server.toxic(name, "bandwidth", rate=rate)
        due_s = max(0.2, MEASURED_S * share)
        left = int(rate * 1000 * due_s)
        reader, writer = await asyncio.open_connection(HOST, port)
        started_s = monotonic()
        writer.write(left.to_bytes(8, "big"))
        while left:
            left -= len(await reader.read(1 << 20))
        took_s = monotonic() - started_s
        writer.close()
        return 100 * (took_s / due_s - 1)

    off = await asyncio.gather(*map(one, RATES_KB_PER_S))
    return {f"off_percent_at_{rate}_kb_per_s": value for rate, value in zip(RATES_KB_PER_S, off, strict=True)}


def percentile_99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


def distance_from_uniform(values: Sequence[float], low: float, high: float) -> float:
    """Kolmogorov-Smirnov: the greatest distance between the two distribution functions."""
    ordered = sorted(values)
    count = len(ordered)
    due = [min(1.0, max(0.0, (value - low) / (high - low))) for value in ordered]
    return max(max(at - n / count, (n + 1) / count - at) for n, at in enumerate(due))


PARTS = {"latency": latency, "jitter": jitter, "bandwidth": bandwidth}


@contextlib.contextmanager
def sides() -> Iterator[dict[str, ProxyServer]]:
    """Ours, and a real server where there is one."""
    with contextlib.ExitStack() as stack:
        found = {OURS: stack.enter_context(servers.embedded())}
        if (binary := servers.real_toxiproxy()) is None:
            print("no toxiproxy-server in PATH and no GATECRASH_TOXIPROXY_BIN: ours alone")
        else:
            found[REAL] = stack.enter_context(servers.real(binary))
        yield found


def measure(count: int, share: float) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Part → side → rounds."""
    figures: dict[str, dict[str, list[dict[str, float]]]] = {}
    with proxy_upstream.running() as (echo, pour), sides() as found:
        for number in range(count):
            for part, run in PARTS.items():
                for side in list(found)[:: 1 if number % 2 == 0 else -1]:
                    found[side].clear()
                    measured = uvloop.run(run(found[side], pour if part == "bandwidth" else echo, share))
                    rounded = {name: round(value, 3) for name, value in measured.items()}
                    figures.setdefault(part, {}).setdefault(side, []).append(rounded)
                    print(f"  round {number + 1} {part} {side}: {rounded}", file=sys.stderr)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        help="of the work; below 1 a trial that writes no page",
    )
    asked = parser.parse_args()
    figures = measure(asked.rounds, asked.share)
    parts = {
        part: {side: {**rounds.medians(mine), "rounds": mine} for side, mine in by_side.items()}
        for part, by_side in figures.items()
    }
    path = rounds.write("accuracy", {"what": "errors of toxics; medians over the rounds", **parts})
    for part, by_side in figures.items():
        for side, mine in by_side.items():
            print(f"{part} {side}: {rounds.medians(mine)}")
    print(path if asked.share < 1 else f"{path}; {proxy_page.write(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
