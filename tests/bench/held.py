"""Held connections: how many event streams and WebSockets, how fast they open, and what each costs in memory.

`python -m tests.bench.held --connections 200000`. Descriptors are limited per process and local ports per address, so
the connections are spread over pairs of processes: a server on a loopback address of its own, and a client that opens
and holds with the swarm's real clients, recording on, one parked greenlet for each connection, as in a rehearsal. In
the same run as many raw sockets are opened by the same processes: the share of their rate is what the clients cost.
Each kind has a time limit: what is open by then is what is reported.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, time

from tests.bench import rounds
from tests.bench.openers import OPENERS

SIDES = ("raw", "sse", "ws")
CONNECTIONS = 20_000
OPENING = 32  # at once, in each client: more would only wait in the servers' backlogs, and run into time-outs
SPARE_FDS = 200
WARM_UP = 32  # opened first, in each client, and not counted
OPENING_S = 240.0  # at most, for each kind
ANSWER_S = 60.0


def most_per_process() -> int:
    """What its descriptors allow; and half of the local ports to one address: from there on the kernel tries thousands
    of ports that are in use for each connect, since it looks at the even ones first."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return min(fds() - SPARE_FDS, (last - first + 1) // 2 - 2 * WARM_UP)


def require_tracking(connections: int) -> None:
    """Where a firewall tracks connections, its table must hold them: what does not fit is dropped in silence."""
    limit = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    needed = connections * 2  # those of the kind before linger for a while
    if limit.exists() and int(limit.read_text()) < needed:
        print(
            f"  {limit} is {limit.read_text().strip()}; set {needed} or more, or packets may be dropped",
            file=sys.stderr,
        )


def fds() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def hold(side: str, url: str, connections: int) -> None:
    """A client process: open, say how that went, hold until told."""
    import locust  # isort: skip - first: it patches the process for gevent
    import gc

    import gevent
    import psutil
    from gevent.event import Event
    from gevent.lock import BoundedSemaphore

    from harness.swarm.recording.clock import ReleaseInstant
    from harness.swarm.recording.recorder import Recorder, prepare_arrow
    from harness.swarm.recording.request_hook import EachFired

    fds()
    prepare_arrow()
    recorder = Recorder(1, EachFired(locust.events.request.fire))
    opener = OPENERS[side](url, recorder)
    door, done = BoundedSemaphore(OPENING), Event()
    opened, failures = [0], []

    def come(number: int) -> None:
        try:
            stay = opener(number)
            opened[0] += 1
        except OSError as error:
            failures.append(f"{type(error).__name__}: {error}")
            return
        finally:
            door.release()
            if opened[0] + len(failures) == connections:
                done.set()
        stay()

    def all_come() -> None:
        """One after another: releasing a semaphore costs as much as it has waiters."""
        for number in range(connections):
            door.acquire()
            parked.append(gevent.spawn(come, number))

    first = [opener(connections + number) for number in range(WARM_UP)]  # what they load is no cost of the others
    gc.collect()
    print("ready", flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.readline)
    before_bytes, begun_s = psutil.Process().memory_info().rss, monotonic()
    parked: list[gevent.Greenlet] = []
    coming = gevent.spawn(all_come)
    done.wait(OPENING_S)
    ended_s = monotonic()
    coming.kill()
    recorder.take(ReleaseInstant(begun_s, time()))
    gc.collect()
    figures = {
        "opened": opened[0],
        "failed": len(failures),
        "why": sorted(set(failures))[:3],
        "begun_s": begun_s,
        "ended_s": ended_s,
        "client_bytes": psutil.Process().memory_info().rss - before_bytes,
    }
    print(json.dumps(figures), flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.readline)
    print(json.dumps({"still_held": sum(not one.dead for one in parked)}), flush=True)
    del first


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def held_at(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/held", timeout=ANSWER_S) as answer:
        return json.load(answer)


def kernel_bytes() -> int:
    """What the kernel's own structures take, sockets among them."""
    lines = Path("/proc/meminfo").read_text().splitlines() if sys.platform == "linux" else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Slab:")), 0)


def measure(side: str, connections: int, pairs: int) -> dict[str, object]:
    """All pairs at once: open, count on both sides, let go."""
    shares = [connections // pairs + (number < connections % pairs) for number in range(pairs)]
    with ExitStack() as stack:
        urls, clients = [], []
        for number in range(pairs):
            address = f"127.0.1.{number + 1}"
            server = stack.enter_context(child("tests.bench.held_server", address))
            urls.append(f"http://{address}:{server.stdout.readline().strip()}")
        before = [held_at(url)["rss_bytes"] for url in urls]
        for url, share in zip(urls, shares, strict=True):
            options = ("--side", side, "--url", url, "--connections", str(share))
            clients.append(stack.enter_context(child("tests.bench.held", *options)))
        for client in clients:
            assert client.stdout.readline() == "ready\n"
        kernel_before = kernel_bytes()
        tell(clients)
        told = [json.loads(client.stdout.readline()) for client in clients]
        kernel = kernel_bytes() - kernel_before
        servers = [held_at(url) for url in urls]
        tell(clients)
        still_held = sum(json.loads(client.stdout.readline())["still_held"] for client in clients)
    opened = sum(one["opened"] for one in told)
    seconds = max(one["ended_s"] for one in told) - min(one["begun_s"] for one in told)
    at_servers = sum(one["rss_bytes"] for one in servers) - sum(before)
    return {
        "held": opened,
        "failed": sum(one["failed"] for one in told),
        "why": sorted({why for one in told for why in one["why"]}),
        "still_held_at_the_end": still_held,
        "held_says_the_server": sum(one["held"] for one in servers) - pairs * WARM_UP,
        "opened_per_s": round(opened / seconds),
        "client_bytes_each": round(sum(one["client_bytes"] for one in told) / max(opened, 1)),
        "server_bytes_each": round(at_servers / max(opened, 1)),
        "kernel_bytes_each": round(kernel / max(opened, 1)),
    }


def tell(clients: list[subprocess.Popen[str]]) -> None:
    """All of them, to go on."""
    for client in clients:
        client.stdin.write("\n")
        client.stdin.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.held")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help="of each kind")
    parser.add_argument(
        "--per-process", type=int, default=most_per_process(), help="at most, for descriptors and ports"
    )
    parser.add_argument("--side", choices=list(OPENERS))
    parser.add_argument("--url")
    parser.add_argument("--rounds", type=int, help="ignored: each kind is opened once")
    asked = parser.parse_args()
    if asked.side:
        hold(asked.side, asked.url, asked.connections)
        return 0
    require_tracking(asked.connections)
    pairs = math.ceil(asked.connections / asked.per_process)
    figures: dict[str, dict[str, object]] = {}
    for side in SIDES:
        figures[side] = measure(side, asked.connections, pairs)
        print(f"  {side}: {figures[side]}", file=sys.stderr)
    raw = figures["raw"]["opened_per_s"]
    document = {
        "what": "connections opened and held at once, one after another kind; recording on; raw: bare gevent sockets",
        "asked": asked.connections,
        "process_pairs": pairs,
        **figures,
        "sse_share_of_raw_rate": round(figures["sse"]["opened_per_s"] / raw, 2),
        "ws_share_of_raw_rate": round(figures["ws"]["opened_per_s"] / raw, 2),
    }
    path = rounds.write("held", document)
    rounds.publish("held", table(document))
    print(f"held: {figures['sse']['held']:,} event streams, {figures['ws']['held']:,} WebSockets ({path})")
    whole = all(one["held"] == one["still_held_at_the_end"] == asked.connections for one in figures.values())
    return 0 if whole else 1


def table(document: dict[str, object]) -> list[str]:
    lines = [
        f"{document['asked']:,} of each kind, one kind after another, "
        f"over {document['process_pairs']} pairs of processes.",
        "",
        "| Held at once | How many | Opened per second | Share of the raw rate "
        "| Client's memory of one | Server's | Kernel's, both ends |",
        "|---|---|---|---|---|---|---|",
    ]
    shares = {"raw": 1.0, "sse": document["sse_share_of_raw_rate"], "ws": document["ws_share_of_raw_rate"]}
    names = {"raw": "bare gevent sockets", "sse": "event streams", "ws": "WebSockets"}
    for side, name in names.items():
        one = document[side]
        sizes = " | ".join(f"{one[f'{end}_bytes_each'] / 1000:.1f} kB" for end in ("client", "server", "kernel"))
        lines.append(f"| {name} | {one['held']:,} | {one['opened_per_s']:,} | {shares[side]:.0%} | {sizes} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
