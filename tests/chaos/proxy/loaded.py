"""How late a latency of 200 ms is on a machine whose processors are busy, ours and a real server in turn.

Each sample is a new connection and one round trip. A steady client and upstream run at a real-time priority, so that
only the proxy's own delay is left; that needs CAP_SYS_NICE. `python -m tests.trust proxy` measures both ways.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

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


def summary(late_ms: Sequence[float]) -> dict[str, float]:
    """How many samples are within the tolerance, and quantiles."""
    ordered = sorted(late_ms)
    late = {f"late_ms_p{share}": round(ordered[len(ordered) * share // 100], 1) for share in (50, 90, 99)}
    within = sum(abs(each) <= TOLERANCE_MS for each in ordered)
    return {"samples": len(ordered), f"within_{TOLERANCE_MS}_ms": within, **late}


def measure(
    proxies: dict[str, ProxyServer], samples: int, loops: int, *, is_steady: bool
) -> dict[str, dict[str, float]]:
    """By the proxies' names, while so many processes are busy. Leaves the calling thread steady if asked to."""
    listener = socket.create_server((HOST, 0), backlog=64)
    threading.Thread(target=echo_all, args=(listener, is_steady), daemon=True).start()
    addresses = {}
    for name, server in proxies.items():
        server.clear()
        addresses[name] = server.create("late", f"{HOST}:{listener.getsockname()[1]}")
        server.toxic("late", "latency", latency=LATENCY_MS)
    if is_steady:
        steady()
    found: dict[str, list[float]] = {name: [] for name in proxies}
    with busy(loops):
        for number in range(samples):
            for name in sorted(proxies, reverse=number % 2 == 0):
                found[name].append(late_by_ms(addresses[name]))
    return {name: summary(late_ms) for name, late_ms in found.items()}
