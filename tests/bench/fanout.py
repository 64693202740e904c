"""How long a seat's change takes to reach everybody who watches, at two feed nodes: `python -m tests.bench.fanout`.

Seats are held and released at a steady rate through the real inventory; every socket gets every change, and the time
runs from the instant in Redis at which the seat changed to the instant its message is read. Everything, the clients
too, runs on this one machine and shares its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil

from target.seats import Inventory, SeatStream, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.bench import rounds
from tests.bench.fanout_client import BIN_S, EVENT
from tests.target.booth import Claimed
from tests.target.conftest import Valkey
from tests.target.processes import Server, running

SOCKETS = (1_000, 5_000, 10_000)
NODES = 2
SOCKETS_PER_CLIENT = 2_500
SECONDS = 20.0
CHANGES_PER_S = 5.0
VENUE = load("arena", EVENT)


@contextmanager
def feed_on(valkey: Valkey) -> Iterator[list[Server]]:
    """Two nodes whose door is wide open: what is measured is the fan-out."""
    with ExitStack() as started:
        yield [
            started.enter_context(
                running("feed", node=f"feed-{n}", event=EVENT, redis_url=valkey.url, feed_opens_per_s=100_000)
            )
            for n in range(1, NODES + 1)
        ]


def clients_of(nodes: list[Server], sockets: int) -> list[subprocess.Popen[str]]:
    """Client processes, evenly over the nodes, each from a loopback address of its own."""
    count = max(NODES, -(-sockets // SOCKETS_PER_CLIENT))
    share, rest = divmod(sockets, count)
    return [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.bench.fanout_client",
                str(nodes[number % NODES].port),
                str(share + (number < rest)),
                f"127.0.0.{number + 2}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]


async def change_seats(url: str, seconds: float, per_s: float) -> int:
    """Holds and releases seats at that rate; the seq of the last change."""
    redis = RedisStore(url, timeout_s=5.0)
    keys = Keys(EVENT)
    inventory = Inventory(redis, keys, VENUE, hold_ttl_s=600.0)
    start_s = time.monotonic()
    try:
        for number in range(int(seconds * per_s / 2)):
            seat = VENUE.seats[number % len(VENUE.seats)]
            claim = Claimed(f"h{number}", "f", "f", (seat,))
            await inventory.hold(claim, limit=0)
            await asyncio.sleep(max(0.0, start_s + (2 * number + 1) / per_s - time.monotonic()))
            await inventory.release(claim.hold_id, fan="f")
            await asyncio.sleep(max(0.0, start_s + (2 * number + 2) / per_s - time.monotonic()))
        newest = await SeatStream(redis, keys).newest()
        return newest[1] if newest else 0
    finally:
        await redis.close()


async def load_seats(url: str) -> None:
    redis = RedisStore(url, timeout_s=5.0)
    try:
        await Inventory(redis, Keys(EVENT), VENUE, hold_ttl_s=600.0).load()
    finally:
        await redis.close()


def percentile(delays: Counter[int], share: float) -> float:
    """In ms."""
    ordered = sorted(delays.items())
    up_to = list(accumulate(count for _, count in ordered))
    return round(ordered[bisect_left(up_to, share * up_to[-1])][0] * BIN_S * 1000, 1)


def memory_kb(nodes: list[Server]) -> float:
    return sum(psutil.Process(node.process.pid).memory_info().rss for node in nodes) / 1024


def measure(valkey: Valkey, sockets: int, seconds: float, per_s: float) -> dict[str, Any]:
    valkey.empty()
    asyncio.run(load_seats(valkey.url))
    with feed_on(valkey) as nodes:
        before_kb, start_s = memory_kb(nodes), time.monotonic()
        clients = clients_of(nodes, sockets)
        try:
            assert all(client.stdout.readline() == "ready\n" for client in clients), "not every socket could be opened"
            opened_s = time.monotonic() - start_s
            last_seq = asyncio.run(change_seats(valkey.url, seconds, per_s))
            after_kb = memory_kb(nodes)
            said = [json.loads(client.communicate(f"{last_seq}\n", timeout=120)[0]) for client in clients]
        finally:
            for client in clients:
                client.kill()
                client.wait()
        delays = sum((Counter({int(bin_): n for bin_, n in one["delays"].items()}) for one in said), Counter())
        return {
            "sockets": sockets,
            "opened_in_s": round(opened_s, 2),
            "changes": last_seq,
            "messages": delays.total(),
            "p50_ms": percentile(delays, 0.50),
            "p99_ms": percentile(delays, 0.99),
            "max_ms": percentile(delays, 1.0),
            **{what: sum(one[what] for one in said) for what in ("gaps", "resyncs", "lost", "behind")},
            "node_memory_per_socket_kb": round((after_kb - before_kb) / sockets, 1),
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fanout")
    parser.add_argument("--sockets", type=int, nargs="+", default=SOCKETS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--changes-per-s", type=float, default=CHANGES_PER_S)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder))
        valkey.start()
        try:
            for sockets in list(asked.sockets) * asked.rounds:
                figures.append(measure(valkey, sockets, asked.seconds, asked.changes_per_s))
                print(f"  {figures[-1]}", file=sys.stderr)
        finally:
            valkey.kill()
    document = {
        "what": f"from a seat's change in Redis to its receipt by every socket, {NODES} feed nodes",
        "changes_per_s": asked.changes_per_s,
        "seconds": asked.seconds,
        "rounds": figures,
    }
    path = rounds.write("fanout", document)
    for one in figures:
        print(f"fan-out to {one['sockets']} sockets: p50 {one['p50_ms']} ms, p99 {one['p99_ms']} ms ({path})")
    return int(any(one["gaps"] or one["behind"] or one["lost"] or one["resyncs"] for one in figures))


if __name__ == "__main__":
    sys.exit(main())
