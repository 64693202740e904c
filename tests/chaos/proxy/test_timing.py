"""Toxics' timing, judged on distributions: what a toxic adds to the same exchange through a proxy without it.

The tolerance is 10 ms and what the machine itself spreads at that moment: a busy machine widens both distributions.
What it was not busy with during both is measured again: a toxic that is wrong is wrong every time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import statistics
import time
from collections.abc import Callable, Sequence

import pytest

from tests.chaos.servers import ProxyServer, Upstream, connect, echo, elapsed_s, receive

Start = Callable[[Callable[[socket.socket], None]], Upstream]
TOLERANCE_MS = 10.0
CONNECTIONS = 20
ATTEMPTS = 5


def round_trips_ms(address: tuple[str, int], rounds: int) -> list[float]:
    """Of many connections at once, each round sent together."""
    times_ms: list[float] = []
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(connect(address)) for _ in range(CONNECTIONS)]
        for _ in range(rounds):
            sent_s = {}
            for link in links:
                sent_s[link] = time.monotonic()
                link.sendall(b"x")
            while sent_s:
                readable, _, _ = select.select(list(sent_s), [], [], 10)
                assert readable
                for link in readable:
                    times_ms.append((time.monotonic() - sent_s.pop(link)) * 1000)
                    assert link.recv(2) == b"x"
    return times_ms


def deciles(values: Sequence[float]) -> list[float]:
    return statistics.quantiles(values, n=10)


def slack_ms(control: Sequence[float]) -> float:
    low, high = deciles(control)[0], deciles(control)[-1]
    return TOLERANCE_MS + high - low


def agrees(measured: Callable[[], Sequence[tuple[float, float, float]]]) -> bool:
    """Whether one of the attempts gives nothing but (found, due, tolerance) in ms that agree."""
    return any(all(abs(found - due) <= tolerance for found, due, tolerance in measured()) for _ in range(ATTEMPTS))


@pytest.mark.parametrize("toxics", [1, 2])
def test_latency_shifts_the_whole_distribution(server: ProxyServer, upstream: Start, toxics: int) -> None:
    address = upstream(echo).address
    plain, delayed = server.create("plain", address), server.create("delayed", address)
    for number in range(toxics):
        body = {"type": "latency", "name": f"late_{number}", "attributes": {"latency": 150}}
        assert server.call("POST", "/proxies/delayed/toxics", body).ok

    def measured() -> list[tuple[float, float, float]]:
        before, late, after = round_trips_ms(plain, 3), round_trips_ms(delayed, 3), round_trips_ms(plain, 3)
        control = before + after
        added_ms = [high - low for low, high in zip(deciles(control), deciles(late), strict=True)]
        assert min(late) >= 150 * toxics - 1
        return [(statistics.median(added_ms), 150 * toxics, slack_ms(control))]

    assert agrees(measured)


def test_jitter_is_spread_evenly_over_its_range(server: ProxyServer, upstream: Start) -> None:
    """latency 200, jitter 150: the quartiles of U[50, 350) are 125, 200 and 275."""
    address = upstream(echo).address
    plain, spread = server.create("plain", address), server.create("spread", address)
    server.toxic("spread", "latency", latency=200, jitter=150)

    def measured() -> list[tuple[float, float, float]]:
        control, times = round_trips_ms(plain, 4), round_trips_ms(spread, 12)
        sampling_ms = 3 * 300 * (0.25 / len(times)) ** 0.5  # three standard errors of a quantile of that range
        assert min(times) >= 49
        assert max(times) - min(times) > 200
        tolerance_ms = slack_ms(control) + sampling_ms
        quartiles = zip(statistics.quantiles(times, n=4), (125, 200, 275), strict=True)
        return [(found, due, tolerance_ms) for found, due in quartiles]

    assert agrees(measured)


def fetch_ms(where: tuple[str, int], count: int) -> float:
    with connect(where) as link:
        return 1000 * elapsed_s(lambda: receive(link, count))


def test_bandwidth_gives_each_connection_its_rate(server: ProxyServer, upstream: Start) -> None:
    """300 KB at 1,000 KB/s take 300 ms, never less."""
    judge_rate(server, upstream, rate=1000)


def test_a_fast_bandwidth_is_kept_too(ours: ProxyServer, upstream: Start) -> None:
    """More than the sockets' buffers a second: the line must not run dry between two reads. A real server's does."""
    judge_rate(ours, upstream, rate=20_000)


def judge_rate(server: ProxyServer, upstream: Start, rate: int) -> None:
    due_ms, count = 300, 300 * rate
    address = upstream(lambda link: link.sendall(b"x" * count)).address
    plain, narrow = server.create("plain", address), server.create("narrow", address)
    server.toxic("narrow", "bandwidth", rate=rate)
    control = [fetch_ms(plain, count) for _ in range(10)]
    times = [fetch_ms(narrow, count) for _ in range(10)]
    assert min(times) >= 0.9 * due_ms
    assert statistics.median(times) == pytest.approx(due_ms, abs=0.02 * due_ms + slack_ms(control) + max(control))
