"""What toxics do to bytes and to time, black-box over real sockets: the same of the embedded server and a real one.

No single time is judged: each is measured several times over, and the whole set must be neither early nor all late.
How whole distributions shift is judged in `test_timing.py`.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable

import pytest

from tests.chaos.servers import ProxyServer, Upstream, connect, echo, elapsed_s, receive
from tests.waiting import wait_until

LATE_MS = 150.0  # how much later than due the best of several may be on a busy machine
EARLY_MS = 1.0  # timers have a grain
TIMES = 5

Start = Callable[[Callable[[socket.socket], None]], Upstream]


def round_trip_ms(link: socket.socket, data: bytes = b"x") -> float:
    def once() -> None:
        link.sendall(data)
        assert receive(link, len(data)) == data

    return elapsed_s(once) * 1000


def judge(measure_ms: Callable[[], float], due_ms: float, *, times: int = TIMES) -> None:
    """None is early, and not all are late."""
    found_ms = [measure_ms() for _ in range(times)]
    assert min(found_ms) == pytest.approx(due_ms, abs=EARLY_MS) or due_ms < min(found_ms) <= due_ms + LATE_MS


def wait_until_time(due_s: float) -> None:
    wait_until(lambda: time.monotonic() >= due_s)


def ended(link: socket.socket) -> bool:
    """The other side closed it, one way or the other."""
    try:
        return link.recv(65536) == b""
    except ConnectionResetError:
        return True


def test_latency_is_added_once_in_its_direction(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    with connect(address) as link:
        round_trip_ms(link)
        server.toxic("a", "latency", latency=100)
        judge(lambda: round_trip_ms(link), 100)
        server.call("DELETE", "/proxies/a/toxics/latency_downstream")
        assert min(round_trip_ms(link) for _ in range(TIMES)) < 90


def test_latencies_of_both_directions_and_of_two_toxics_add(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", "upstream", latency=100)
    server.call("POST", "/proxies/a/toxics", {"type": "latency", "name": "one", "attributes": {"latency": 100}})
    server.call("POST", "/proxies/a/toxics", {"type": "latency", "name": "two", "attributes": {"latency": 100}})
    with connect(address) as link:
        judge(lambda: round_trip_ms(link), 300)


def test_latency_is_pipelined(server: ProxyServer, upstream: Start) -> None:
    """Ten chunks on their way at once take one latency, not ten."""
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", latency=200)
    with connect(address) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ten_chunks() -> None:
            started_s = time.monotonic()
            for number in range(10):
                link.sendall(bytes([number]))
                wait_until_time(started_s + number * 0.01)
            assert receive(link, 10) == bytes(range(10))

        took_s = min(elapsed_s(ten_chunks) for _ in range(TIMES))
        assert 0.199 <= took_s < 10 * 0.2


def test_latency_does_not_delay_the_handshake(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", "upstream", latency=3000)
    server.toxic("a", "latency", "downstream", latency=3000)
    assert min(elapsed_s(lambda: connect(address).close()) for _ in range(TIMES)) < 1


def test_jitter_spreads_and_keeps_the_order(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", latency=40, jitter=30)
    with connect(address) as link:
        times = [round_trip_ms(link) for _ in range(15)]
        assert min(times) >= 9
        assert max(times) - min(times) > 5
        text = bytes(range(256)) * 4
        link.sendall(text)
        assert receive(link, len(text)) == text


def test_removing_latency_hands_on_at_once_what_was_held(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", latency=20_000)
    with connect(address) as link:
        link.sendall(b"held")
        server.call("DELETE", "/proxies/a/toxics/latency_downstream")
        assert elapsed_s(lambda: receive(link, 4)) < 5


def test_an_updated_latency_holds_for_open_connections(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", latency=300)
    with connect(address) as link:
        judge(lambda: round_trip_ms(link), 300)
        server.call("PATCH", "/proxies/a/toxics/latency_downstream", {"attributes": {"latency": 20}})
        judge(lambda: round_trip_ms(link), 20)


def test_toxicity_zero_spares_and_one_hits(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", toxicity=0, latency=2000)
    with connect(address) as link:
        assert min(round_trip_ms(link) for _ in range(TIMES)) < 1000
        server.call("PATCH", "/proxies/a/toxics/latency_downstream", {"toxicity": 1, "attributes": {"latency": 300}})
        judge(lambda: round_trip_ms(link), 300)


def test_bandwidth_keeps_its_rate(server: ProxyServer, upstream: Start) -> None:
    """480 KB at 1,000 KB/s take 480 ms."""
    address = server.create("a", upstream(lambda link: link.sendall(b"x" * 480_000)).address)
    server.toxic("a", "bandwidth", rate=1000)

    def fetch() -> None:
        with connect(address) as link:
            receive(link, 480_000)

    times_s = [elapsed_s(fetch) for _ in range(3)]
    assert 0.44 <= min(times_s) <= 0.48 + LATE_MS / 1000


def test_bandwidth_zero_stalls_and_loses_nothing(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    with connect(address) as link:
        round_trip_ms(link)
        server.toxic("a", "bandwidth", rate=0)
        link.sendall(b"stalled")
        link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.recv(1)
        link.settimeout(10)
        server.call("DELETE", "/proxies/a/toxics/bandwidth_downstream")
        assert receive(link, 7) == b"stalled"
        round_trip_ms(link)


def test_a_stalled_stream_pushes_back_on_its_sender(server: ProxyServer, upstream: Start) -> None:
    """The proxy must not take in what it cannot hand on."""
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "bandwidth", "upstream", rate=0)
    with connect(address) as link:
        link.settimeout(0.5)
        with pytest.raises(TimeoutError):
            link.sendall(b"x" * 64 * 1024 * 1024)


def test_slow_close_delays_the_end_only(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(lambda link: link.sendall(b"bye")).address)
    server.toxic("a", "slow_close", delay=300)
    data_ms, end_ms = [], []
    for _ in range(TIMES):
        started_s = time.monotonic()
        with connect(address) as link:
            assert receive(link, 3) == b"bye"
            data_ms.append((time.monotonic() - started_s) * 1000)
            assert ended(link)
            end_ms.append((time.monotonic() - started_s) * 1000)
    assert min(data_ms) < 250
    assert min(end_ms) >= 300 - EARLY_MS


def test_timeout_swallows_and_then_closes(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "timeout", "upstream", timeout=300)

    def until_closed_ms() -> float:
        with connect(address) as link:
            started_s = time.monotonic()
            link.sendall(b"lost")
            assert ended(link)
            return (time.monotonic() - started_s) * 1000

    judge(until_closed_ms, 300)


def test_timeout_counts_idle_time_only(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "timeout", "upstream", timeout=1500)
    with connect(address) as link:
        started_s = time.monotonic()
        for number in range(1, 4):
            wait_until_time(started_s + number * 0.4)
            link.sendall(b"lost")
        assert ended(link)
        assert time.monotonic() - started_s >= 1.2 + 1.5 - EARLY_MS / 1000


def test_removing_a_timeout_closes_its_connections(server: ProxyServer, upstream: Start) -> None:
    gone = threading.Event()

    def watch(link: socket.socket) -> None:
        echo(link)
        gone.set()

    address = server.create("a", upstream(watch).address)
    server.toxic("a", "timeout", "upstream", timeout=0)
    with connect(address) as link:
        link.sendall(b"lost")
        link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.recv(1)
        link.settimeout(5)
        server.call("DELETE", "/proxies/a/toxics/timeout_upstream")
        assert ended(link)
    assert gone.wait(5)


def test_reset_peer_resets_when_data_comes(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "reset_peer", timeout=200)

    def until_reset_ms() -> float:
        with connect(address) as link:
            started_s = time.monotonic()
            link.sendall(b"x")
            with pytest.raises(ConnectionResetError):
                link.recv(1)
            return (time.monotonic() - started_s) * 1000

    judge(until_reset_ms, 200)


def test_slicer_cuts_and_loses_nothing(server: ProxyServer, upstream: Start) -> None:
    text = bytes(range(256)) * 40
    address = server.create("a", upstream(lambda link: link.sendall(text)).address)
    server.toxic("a", "slicer", average_size=100, size_variation=40, delay=2000)
    with connect(address) as link:
        reads = []
        while data := link.recv(65536):
            reads.append(data)
    assert b"".join(reads) == text
    assert len(reads) > 40  # 10,240 bytes in pieces of about 100


def segments_received(link: socket.socket) -> int:
    """tcpi_data_segs_in of linux/tcp.h: with data, however few reads it took to get them."""
    info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 156)
    return int.from_bytes(info[152:156], sys.byteorder)


def test_each_slice_is_a_segment_of_its_own(server: ProxyServer, upstream: Start) -> None:
    text = b"x" * 10_240
    address = server.create("a", upstream(lambda link: link.sendall(link.recv(1) * len(text))).address)
    server.toxic("a", "slicer", average_size=100, size_variation=40, delay=50)
    with connect(address) as link:
        link.sendall(b"x")
        assert receive(link, len(text)) == text
        assert segments_received(link) > 40


def test_limit_data_passes_exactly_so_much(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(lambda link: link.sendall(b"x" * 100_000)).address)
    server.toxic("a", "limit_data", bytes=12_345)
    with connect(address) as link:
        assert len(receive(link, 100_000)) == 12_345


def test_the_count_of_limit_data_survives_an_update(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "limit_data", bytes=100)
    with connect(address) as link:
        round_trip_ms(link, b"x" * 60)
        server.call("PATCH", "/proxies/a/toxics/limit_data_downstream", {"attributes": {"bytes": 90}})
        link.sendall(b"x" * 60)
        assert len(receive(link, 60)) == 30


def test_an_end_in_one_direction_closes_the_other(server: ProxyServer, upstream: Start) -> None:
    gone = threading.Event()

    def watch(link: socket.socket) -> None:
        echo(link)
        gone.set()

    address = server.create("a", upstream(watch).address)
    with connect(address) as link:
        round_trip_ms(link)
        link.shutdown(socket.SHUT_WR)
        assert gone.wait(5)
        assert ended(link)


def test_an_upstream_that_is_down_is_accepted_then_closed(server: ProxyServer, upstream: Start) -> None:
    dead = upstream(echo)
    dead.close()
    address = server.create("a", dead.address)
    with connect(address) as link:
        assert ended(link)


@pytest.mark.parametrize("change", [{"enabled": False}, {"upstream": "127.0.0.1:9"}])
def test_open_connections_are_closed(server: ProxyServer, upstream: Start, change: dict[str, object]) -> None:
    address = server.create("a", upstream(echo).address)
    with connect(address) as link:
        round_trip_ms(link)
        server.call("PATCH", "/proxies/a", change)
        assert ended(link)


def test_toxics_survive_disabling(server: ProxyServer, upstream: Start) -> None:
    address = server.create("a", upstream(echo).address)
    server.toxic("a", "latency", latency=200)
    server.call("PATCH", "/proxies/a", {"enabled": False})
    server.call("PATCH", "/proxies/a", {"enabled": True})
    with connect(address) as link:
        assert round_trip_ms(link) >= 199


def test_no_byte_is_lost_while_toxics_come_and_go(server: ProxyServer, upstream: Start) -> None:
    """A stream of numbered records through a proxy whose toxics change all the time."""
    count = 20_000
    expected = b"".join(number.to_bytes(4, "big") for number in range(count))

    def pour(link: socket.socket) -> None:
        for start in range(0, len(expected), 400):
            link.sendall(expected[start : start + 400])

    address = server.create("a", upstream(pour).address)
    done = threading.Event()

    def churn() -> None:
        toxics: list[tuple[str, dict[str, int]]] = [
            ("latency", {"latency": 5, "jitter": 4}),
            ("bandwidth", {"rate": 500}),
            ("slicer", {"average_size": 64, "size_variation": 32, "delay": 10}),
            ("noop", {}),
        ]
        while not done.is_set():
            for kind, attributes in toxics:
                name = server.toxic("a", kind, **attributes)
                server.call("DELETE", f"/proxies/a/toxics/{name}")

    server.toxic("a", "bandwidth", "upstream", rate=100)
    churner = threading.Thread(target=churn)
    churner.start()
    try:
        with connect(address, timeout_s=30) as link:
            received = receive(link, len(expected))
    finally:
        done.set()
        churner.join()
    assert received == expected
