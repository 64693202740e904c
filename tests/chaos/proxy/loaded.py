"""How late a latency of 200 ms is on a machine whose processors are busy, ours and a real server in turn.

`python -m tests.chaos.proxy.loaded`: each sample is a new connection and one round trip. `--steady`: client and
upstream run at a real-time priority, so that only the proxy's own delay is left (needs CAP_SYS_NICE).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from tests.chaos import servers
from tests.chaos.servers import HOST, ProxyServer, connect

LATENCY_MS = 200
TOLERANCE_MS = 10


def steady() -> None:
    """Of the calling thread."""
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(5))


def echo_all(listener: socket.socket, is_steady: bool) -> None:
    """Echo on every connection, in one thread."""
    if is_steady:
        steady()
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                link = key.fileobj
                assert isinstance(link, socket.socket)
                if link is listener:
                    ready.register(link.accept()[0], selectors.EVENT_READ)
                elif data := link.recv(64):
                    link.sendall(data)
                else:
                    ready.unregister(link)
                    link.close()


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """Processes that use all they get."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def late_by_ms(address: tuple[str, int]) -> float:
    with connect(address) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began_s = time.perf_counter()
        link.sendall(b"x")
        link.recv(1)
        return (time.perf_counter() - began_s) * 1000 - LATENCY_MS


def row(name: str, late_ms: Sequence[float]) -> str:
    ordered = sorted(late_ms)
    within = sum(abs(each) <= TOLERANCE_MS for each in ordered)
    p50, p90, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.9, 0.99))
    return f"| {name} | {within} of {len(ordered)} | {p50:.1f} | {p90:.1f} | {p99:.1f} |"


def measure(proxies: dict[str, ProxyServer], samples: int, loops: int, is_steady: bool) -> dict[str, list[float]]:
    listener = socket.create_server((HOST, 0), backlog=64)
    threading.Thread(target=echo_all, args=(listener, is_steady), daemon=True).start()
    addresses = {}
    for name, server in proxies.items():
        addresses[name] = server.create("late", f"{HOST}:{listener.getsockname()[1]}")
        server.toxic("late", "latency", latency=LATENCY_MS)
    if is_steady:
        steady()
    found: dict[str, list[float]] = {name: [] for name in proxies}
    with busy(loops):
        for number in range(samples):
            for name in sorted(proxies, reverse=number % 2 == 0):
                found[name].append(late_by_ms(addresses[name]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.proxy.loaded", description=__doc__)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--steady", action="store_true")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        proxies = {"gatecrash": stack.enter_context(servers.embedded("--strict"))}
        if binary := servers.real_toxiproxy():
            proxies["Toxiproxy"] = stack.enter_context(servers.real(binary))
        print("| Proxy | within 10 ms | late by, p50 (ms) | p90 | p99 |\n|---|---|---|---|---|")
        for name, late_ms in measure(proxies, given.samples, given.loops, given.steady).items():
            print(row(name, late_ms))
    return 0


if __name__ == "__main__":
    sys.exit(main())
